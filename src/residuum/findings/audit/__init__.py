"""A safety review: a suite of questions asked of a model, each answered by stated rules."""
