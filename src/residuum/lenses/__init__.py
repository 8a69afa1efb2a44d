"""Lenses: what the residual stream already says, read through the model's own unembedding."""

from residuum.lenses.direct_attribution import direct_logit_attribution
from residuum.lenses.lens_fit import LensFit
from residuum.lenses.lens_reading import LensReading
from residuum.lenses.logit_attribution import Contribution, LogitAttribution
from residuum.lenses.logit_lens import logit_lens
from residuum.lenses.tuned_lens import TunedLens

__all__ = [
    "Contribution",
    "LensFit",
    "LensReading",
    "LogitAttribution",
    "TunedLens",
    "direct_logit_attribution",
    "logit_lens",
]
