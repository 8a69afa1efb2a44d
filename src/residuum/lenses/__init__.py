"""Lenses: what the residual stream already says, read through the model's own unembedding."""

from residuum.lenses.direct_attribution import direct_logit_attribution
from residuum.lenses.logit_attribution import Contribution, LogitAttribution
from residuum.lenses.logit_lens import LensReading, logit_lens

__all__ = [
    "Contribution",
    "LensReading",
    "LogitAttribution",
    "direct_logit_attribution",
    "logit_lens",
]
