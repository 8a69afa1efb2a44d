"""Discovery of circuits: a score for every edge, by gradients or by measuring."""
