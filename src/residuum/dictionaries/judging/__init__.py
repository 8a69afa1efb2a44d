"""Judging: evaluation, sparse probing, absorption, ground truth, stability over seeds."""
