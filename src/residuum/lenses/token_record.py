"""The record of a token attribution: scores, causal effects, and how far they agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.core import OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.lenses.result_file import plain
from residuum.runs import shown

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import HeatMap

_SHORT = {"integrated_gradients": "IG", "grad_input": "grad × input"}


@dataclass(frozen=True, eq=False, repr=False)
class TokenAttribution:
    """Scores of tokens beside the effect of replacing each.

    Shows: tokens whose embedding moves the metric, and whether gradients say the same as replacing
    them does. Does not show: through which parts; tokens that act together may each be replaced
    without loss.

    Attributes:
        scores: ``[example pos]`` attribution in the metric's unit; NaN behind a prompt's end.
        effects: ``[example pos]`` metric minus the metric with this token replaced.
        tokens: of each prompt.
        agreement: mean over prompts of Spearman's correlation between the two, over the tokens that
            the baseline changes; NaN where no prompt has three of them.
        agreement_interval: its bootstrap interval.
        per_example: the correlation of each prompt; NaN where it cannot be ranked.
        clean, base: metric of the prompts, and with every token at the baseline, ``[example]``.
        completeness_gap: largest difference between the sum of scores and ``clean - base``; small
            for integrated gradients with enough steps, of any size for ``grad_input``.
        method, baseline, metric, unit: how it was made.
    """

    scores: np.ndarray
    effects: np.ndarray
    tokens: tuple[tuple[str, ...], ...]
    agreement: float
    agreement_interval: tuple[float, float]
    per_example: np.ndarray
    clean: np.ndarray
    base: np.ndarray
    completeness_gap: float
    method: str
    baseline: str
    metric: str
    unit: str
    provenance: Provenance

    def summary(self) -> str:
        """One line: method, agreement, completeness."""
        low, high = self.agreement_interval
        rank = f"rank correlation {self.agreement:.2f} [{low:.2f}, {high:.2f}]"
        if self.agreement != self.agreement:
            rank = "too few tokens differ from the baseline to rank"
        return (
            f"{self.method} against replacing by {self.baseline}: {rank}; scores miss "
            f"the difference to the baseline by at most {self.completeness_gap:.2g} {self.unit}"
        )

    def __repr__(self) -> str:
        return f"TokenAttribution({len(self.tokens)} prompts; {self.summary()})"

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each prompt and token: ``example, pos, token, score, effect``."""
        import pandas as pd

        rows = [
            (row, pos, token, float(self.scores[row, pos]), float(self.effects[row, pos]))
            for row, tokens in enumerate(self.tokens)
            for pos, token in enumerate(tokens)
        ]
        return pd.DataFrame(rows, columns=["example", "pos", "token", "score", "effect"])

    def figure(self, example: int = 0, title: str = "") -> HeatMap:
        """One prompt's tokens: the score above, the effect of replacing below.

        Raises:
            OptionError: no such prompt.
        """
        from residuum.figures import HeatMap

        if type(example) is not int or not 0 <= example < len(self.tokens):
            raise OptionError(
                f"no prompt {shown(example)}", mend=f"use 0 to {len(self.tokens) - 1}"
            )
        length = len(self.tokens[example])
        values = np.stack([self.scores[example, :length], self.effects[example, :length]])
        return HeatMap(
            values,
            row_labels=[_SHORT[self.method], f"by {self.baseline}"],
            col_labels=[f"{i} {token}" for i, token in enumerate(self.tokens[example])],
            x="token",
            unit=self.unit,
            cell_text=[[f"{each:.2g}" for each in row] for row in values],
            title=title or f"Which tokens move {self.metric}",
            caption=f"Above {self.method.replace('_', ' ')}, below the effect of replacing the "
            f"token by the {self.baseline} embedding. Prompt {example} of {len(self.tokens)}. "
            f"Over all: {self.summary()}.",
            does_not_show="through which parts; tokens that act together may each be replaced "
            "without loss.",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data, NaN as None."""
        return {
            "scores": plain(self.scores),
            "effects": plain(self.effects),
            "tokens": [list(row) for row in self.tokens],
            "agreement": plain([self.agreement])[0],
            "agreement_interval": plain(list(self.agreement_interval)),
            "per_example": plain(self.per_example),
            "clean": self.clean.tolist(),
            "base": self.base.tolist(),
            "completeness_gap": self.completeness_gap,
            "method": self.method,
            "baseline": self.baseline,
            "metric": self.metric,
            "unit": self.unit,
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write ``.json``, the table as ``.csv``, or the first prompt as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, a folder, or a file in a folder that does not exist.
        """
        save_result(self, path, "a token attribution")
