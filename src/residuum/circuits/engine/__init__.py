"""Runs in which only a circuit's edges carry their own values."""
