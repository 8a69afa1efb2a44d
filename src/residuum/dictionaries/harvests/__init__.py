"""Activations to learn from: harvested to disk or streamed from the model, token by token."""
