"""What each latent does to a task's answers: the record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.dictionaries.use.agreement import Agreement

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars

_SHOWN = 20
WAYS = {
    "ablate": "clean prompts lose the latent",
    "patch": "corrupt prompts get the latent's clean value",
}


@dataclass(frozen=True, eq=False, repr=False)
class FeatureEffects:
    """Effects of single latents on a task, signed towards clean.

    Shows: which latents' directions move the answer on these prompts, the rest kept as it is. Does
    not show: that a latent without effect is idle, nor that the latent is the model's own unit.

    Attributes:
        latents: which were measured: those active in the prompts; all others have no effect.
        effects: ``[latent]`` mean change of the metric, larger made better; in its unit.
        low, high: 95 % intervals, whole templates drawn again (pairs where there is one template).
        values: ``[latent pair]`` the same by pair.
        control: ``[latent]`` mean absolute effect of the same changes in other latents' directions;
            NaN where none was asked for.
        clean, corrupt: mean metric without edits.
        way: ``"ablate"`` or ``"patch"``.
        method: in words.
        agreement: of the gradient with exact effects; None where the effects are exact.
        metric, at, n_latents: metric's name, site, size of the dictionary.
        labels: latent -> words.
        provenance: model, task, method, seed.
    """

    latents: tuple[int, ...]
    effects: np.ndarray
    low: np.ndarray
    high: np.ndarray
    values: np.ndarray
    control: np.ndarray
    clean: float
    corrupt: float
    way: str
    method: str
    agreement: Agreement | None
    metric: str
    at: str
    n_latents: int
    labels: dict[int, str]
    provenance: Provenance

    @property
    def gap_frac(self) -> np.ndarray:
        """``[latent]`` effects as shares of the gap between clean and corrupt answers."""
        return self.effects / (self.clean - self.corrupt)

    def top(self, n: int = 5) -> list[tuple[int, float]]:
        """The latents with the largest absolute effects, and these effects."""
        order = np.argsort(-np.abs(self.effects), kind="stable")[:n]
        return [(self.latents[i], float(self.effects[i])) for i in order]

    def __repr__(self) -> str:
        best = ", ".join(f"F{latent} {effect:+.2f}" for latent, effect in self.top(3))
        return (
            f"FeatureEffects({self.at}, {self.way}, {self.method}: {len(self.latents)} of "
            f"{self.n_latents} latents active; {best}; gap {self.clean - self.corrupt:.2f})"
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each latent measured, the largest effect first."""
        import pandas as pd

        table = pd.DataFrame(
            {
                "latent": self.latents, "effect": self.effects, "low": self.low, "high": self.high,
                "gap_frac": self.gap_frac, "control": self.control,
                "label": [self.labels.get(latent, "") for latent in self.latents],
            }
        )  # fmt: skip
        return table.sort_values("effect", key=abs, ascending=False, ignore_index=True)

    def figure(self) -> Bars:
        """The largest effects, with intervals."""
        from residuum.figures import Bars

        table = self.to_dataframe().head(_SHOWN)
        named = zip(table["latent"], table["label"], strict=True)
        return Bars(
            [f"F{latent} {words}".strip() for latent, words in named],
            table["effect"].to_numpy(), lo=table["low"].to_numpy(), hi=table["high"].to_numpy(),
            x=f"change of {self.metric}: {WAYS[self.way]}", order="magnitude",
            title=f"Latents of {self.at}",
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the values by pair."""
        columns = ("effects", "low", "high", "control")
        plain = ("clean", "corrupt", "way", "method", "metric", "at", "n_latents")
        return {
            "latents": list(self.latents),
            **{name: [_number(x) for x in getattr(self, name)] for name in columns},
            **{name: getattr(self, name) for name in plain},
            "agreement": None if self.agreement is None else asdict(self.agreement),
            "labels": {str(latent): words for latent, words in self.labels.items()},
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write as ``.json``, ``.csv``, ``.html``, ``.svg`` or ``.png``.

        Raises:
            OptionError, StoreError: another suffix; no place to write to.
        """
        save_result(self, path, "feature effects")


def _number(x: float) -> float | None:
    return float(x) if np.isfinite(x) else None
