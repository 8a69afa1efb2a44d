"""Lenses: what the residual stream already says, read through the model's own unembedding."""

from residuum.lenses.logit_lens import LensReading, logit_lens

__all__ = ["LensReading", "logit_lens"]
