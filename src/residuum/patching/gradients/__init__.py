"""Approximations of patching by gradients, with their measured error."""
