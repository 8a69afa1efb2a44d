"""How good a dictionary is: the record."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.dictionaries.judging.ground_truth_result import Measured

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars

SHARES = (
    "explained_variance", "cosine", "shrinkage", "dead_share", "dense_share",
    "loss_recovered_zero_frac", "loss_recovered_mean_frac", "kl_recovered_zero_frac",
    "kl_recovered_mean_frac",
)  # fmt: skip
UNITS = {
    "l0": "latents", "mse": "squared units of the site", "loss_model_nats": "nats",
    "loss_spliced_nats": "nats", "loss_zero_nats": "nats", "loss_mean_nats": "nats",
    "kl_spliced_bits": "bits", "kl_zero_bits": "bits", "kl_mean_bits": "bits",
}  # fmt: skip
FIGURES = (*UNITS, *SHARES)


@dataclass(frozen=True, eq=False, repr=False)
class DictionaryScores:
    """A dictionary judged on its own model and site.

    Shows: how sparse and how exact the dictionary is on this text, and how much of the model's
    prediction stays with its reconstruction in place. Does not show: that its latents mean
    something or are the model's own units; that what is lost is unimportant; what holds on other
    text. Against zeros almost everything recovers much: look at the mean's share beside it.

    Attributes:
        l0: active latents in a token.
        explained_variance: ``1 - Σ|x - x̂|² / Σ|x - mean|²``, about the mean; 0 is the mean alone.
        mse: mean squared error of a number of the vector.
        cosine: mean cosine of vector and reconstruction (not about the mean).
        shrinkage: ``1 - Σ ŷ·ŷ / Σ ŷ·y`` of deviations from the mean; 0 right, above: too short.
        dead_share, dense_share: of latents: never active; active in more than a tenth of tokens.
        loss_model_nats, loss_spliced_nats, loss_zero_nats, loss_mean_nats: cross-entropy of the
            next token: the model, with the reconstruction, with zeros, with the mean.
        kl_spliced_bits, kl_zero_bits, kl_mean_bits: from the model's own prediction.
        loss_recovered_zero_frac, loss_recovered_mean_frac: share of the ablation's loss that the
            reconstruction gives back; 1 the model, 0 the ablation; NaN where it costs nothing.
        kl_recovered_zero_frac, kl_recovered_mean_frac: the same of the divergence.
        sites: written ones.
        n_latents, n_tokens, n_documents: sizes.
        frequencies: ``[latent]`` share of tokens in which each is active.
        level: of the intervals, which come from drawing whole documents again (the mean is held;
            of dead and dense shares: leaving out a twentieth of the documents in turn).
        provenance: model, text by its hash, seed.
    """

    l0: Measured
    explained_variance: Measured
    mse: Measured
    cosine: Measured
    shrinkage: Measured
    dead_share: Measured
    dense_share: Measured
    loss_model_nats: Measured
    loss_spliced_nats: Measured
    loss_zero_nats: Measured
    loss_mean_nats: Measured
    kl_spliced_bits: Measured
    kl_zero_bits: Measured
    kl_mean_bits: Measured
    loss_recovered_zero_frac: Measured
    loss_recovered_mean_frac: Measured
    kl_recovered_zero_frac: Measured
    kl_recovered_mean_frac: Measured
    sites: tuple[str, ...]
    n_latents: int
    n_tokens: int
    n_documents: int
    frequencies: np.ndarray
    level: float
    provenance: Provenance

    def __repr__(self) -> str:
        return (
            f"DictionaryScores({', '.join(self.sites)}: L0 {self.l0}, explained variance "
            f"{self.explained_variance}, cross-entropy recovered {self.loss_recovered_zero_frac} "
            f"against zeros, {self.loss_recovered_mean_frac} against the mean)"
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row a figure: ``figure, value, low, high, unit``."""
        import pandas as pd

        rows = [
            {"figure": name, **asdict(getattr(self, name)), "unit": UNITS.get(name, "share")}
            for name in FIGURES
        ]
        return pd.DataFrame(rows)

    def figure(self, title: str = "") -> Bars:
        """The shares as bars, with their intervals."""
        from residuum.figures import Bars

        found = [getattr(self, name) for name in SHARES]
        return Bars(
            [name.removesuffix("_frac").replace("_", " ") for name in SHARES],
            [each.value for each in found],
            lo=[each.low for each in found],
            hi=[each.high for each in found],
            unit="share",
            order="given",
            title=title or f"A dictionary of {', '.join(self.sites)}",
            caption=f"{self.n_latents} latents, L0 {self.l0}; {self.n_tokens} tokens of "
            f"{self.n_documents} documents; {self.level:.0%} intervals over documents. "
            f"Cross-entropy {self.loss_model_nats} nats, with the dictionary "
            f"{self.loss_spliced_nats}.",
            does_not_show="that the latents mean something, or that what is lost is unimportant.",
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN is null."""
        return {
            "sites": list(self.sites),
            "n_latents": self.n_latents,
            "n_tokens": self.n_tokens,
            "n_documents": self.n_documents,
            **{name: plain(getattr(self, name)) for name in FIGURES},
            "frequencies": self.frequencies.tolist(),
            "level": self.level,
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write plain data (``.json``), the table (``.csv``) or the figure (HTML, SVG, PNG).

        Raises:
            OptionError: another suffix.
            StoreError: it cannot be written.
        """
        save_result(self, path, "a dictionary's scores")


def plain(found: Measured) -> dict[str, float | None]:
    """A figure as plain data; NaN is null."""
    pairs = asdict(found).items()
    return {name: None if math.isnan(value) else value for name, value in pairs}
