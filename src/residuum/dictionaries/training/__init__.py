"""Training: options, loop, checkpoints that resume bit for bit, synthetic data."""
