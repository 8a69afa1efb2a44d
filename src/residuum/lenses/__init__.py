"""Lenses: what the residual stream already says, read through the model's own unembedding."""

from residuum.lenses.attention_view import AttentionView, attention_view
from residuum.lenses.direct_attribution import direct_logit_attribution
from residuum.lenses.lens_fit import LensFit
from residuum.lenses.lens_reading import LensReading
from residuum.lenses.logit_attribution import Contribution, LogitAttribution
from residuum.lenses.logit_lens import logit_lens
from residuum.lenses.stream_contributions import StreamContributions, stream_contributions
from residuum.lenses.token_attribution import token_attribution
from residuum.lenses.token_record import TokenAttribution
from residuum.lenses.tuned_lens import TunedLens

__all__ = [
    "AttentionView",
    "Contribution",
    "LensFit",
    "LensReading",
    "LogitAttribution",
    "StreamContributions",
    "TokenAttribution",
    "TunedLens",
    "attention_view",
    "direct_logit_attribution",
    "logit_lens",
    "stream_contributions",
    "token_attribution",
]
