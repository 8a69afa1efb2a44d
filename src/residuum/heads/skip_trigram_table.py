"""Skip-trigrams as a record: what the weights hold, what the model does, and what chance holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Table


@dataclass(frozen=True)
class SkipTrigram:
    """``source … here → predicted`` in one head.

    Attributes:
        head: such as ``L0H2``.
        source, here, predicted: token ids A, B, C; ``words`` the same as texts.
        strength: ``score`` × ``raised``: the list's order.
        score: attention score of A asked by B, above the mean over all tokens A (after the head's
            own scaling).
        raised: logit of C that attending to A adds, above the mean over C.
        direct: logit that B alone gives C by the direct path, above the mean over C.
        moved: mean change of C's logit (above the vocabulary's mean) at B when a random token
            before it is replaced with A; NaN when unchecked.
        interval: 95 % bootstrap interval of ``moved``.
        rank: share of the vocabulary that A moved less than C, 0 to 1.
        chance: share of other tokens (64 at random) whose interval lies above zero as well.
        beyond: whether ``strength`` is above that of every triple in circuits turned at random.
    """

    head: str
    source: int
    here: int
    predicted: int
    words: tuple[str, str, str]
    strength: float
    score: float
    raised: float
    direct: float
    moved: float = float("nan")
    interval: tuple[float, float] = (float("nan"), float("nan"))
    rank: float = float("nan")
    chance: float = float("nan")
    beyond: bool = False

    def __str__(self) -> str:
        source, here, predicted = self.words
        return f"{source} … {here} → {predicted}"

    @property
    def risen(self) -> bool:
        """Whether C's logit rose, its interval above zero."""
        return self.interval[0] > 0

    @property
    def obeyed(self) -> bool:
        """Whether it rose, and the weights hold the triple more strongly than noise would."""
        return self.risen and self.beyond


@dataclass(frozen=True, eq=False, repr=False)
class SkipTrigrams:
    """The strongest skip-trigrams of a one-layer model, largest first.

    Shows: which triples the weights favour, more than noise would, and whether putting A before B
    raises C in the model. A model of random weights raises its own largest products too (weights
    say what they do); only their size tells that nothing was learned. So a triple is *obeyed* where
    it rises and is stronger than the strongest that chance makes of the same circuits.
    Does not show: that the model owes them to this head alone (``moved`` is of the whole model, all
    heads together), or that they ever occur in text.

    Attributes:
        found: the triples.
        checks: contexts for each triple.
        null_strength: the largest strength in ``draws`` of the same circuits turned at random
            against the embedding: what the strongest triple of noise of this size would have.
        draws: of the null.
        notes: what was left out of the weights.
    """

    found: tuple[SkipTrigram, ...]
    checks: int
    null_strength: float
    draws: int
    notes: tuple[str, ...]
    provenance: Provenance

    def __repr__(self) -> str:
        lines = [f"  {each.head} {each}  {each.strength:.3g}" for each in self.found[:5]]
        head = f"SkipTrigrams({len(self.found)} triples, {self._said()}"
        return "\n".join([head, *lines]) + ")"

    def _said(self) -> str:
        if not self.found:
            return "no product of positive strength"
        beyond = f"{self.beyond_frac:.0%} stronger than noise ({self.null_strength:.3g})"
        if not self.checks:
            return beyond
        risen = f"{self.risen_frac:.0%} rise (random tokens {self.chance_frac:.0%})"
        return f"{self.obeyed_frac:.0%} obeyed: {risen}, {beyond}"

    @property
    def obeyed_frac(self) -> float:
        """Share of the triples that rise and are stronger than noise; NaN when unchecked."""
        return self._mean([each.obeyed for each in self.found]) if self.checks else float("nan")

    @property
    def risen_frac(self) -> float:
        """Share of the triples whose logit rose (interval above zero); NaN when unchecked."""
        return self._mean([each.risen for each in self.found]) if self.checks else float("nan")

    @property
    def chance_frac(self) -> float:
        """Share of random tokens in C's place that rise as well: what ``risen_frac`` must beat."""
        return self._mean([each.chance for each in self.found]) if self.checks else float("nan")

    @property
    def beyond_frac(self) -> float:
        """Share of the triples that are stronger than the strongest of turned circuits."""
        return self._mean([each.beyond for each in self.found])

    @staticmethod
    def _mean(values: Sequence[float]) -> float:
        return float(np.mean(values)) if values else float("nan")

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def figure(self) -> Table:
        """The triples with their strength and how far the model's logit moved."""
        from residuum.figures import Column, Table

        columns = [
            "head",
            "A … B → C",
            Column("score", digits=2),
            Column("A raises C", "logits", digits=2),
            Column("B raises C", "logits", digits=2),
            Column("measured", "logits", digits=2),
            Column("from", digits=2),
            Column("to", digits=2),
            Column("rank of C", digits=2),
            Column("chance", digits=2),
            "obeyed",
        ]
        rows = [
            [
                e.head,
                str(e),
                e.score,
                e.raised,
                e.direct,
                e.moved,
                *e.interval,
                e.rank,
                e.chance,
                "yes" if e.obeyed else "no" if e.beyond else "no stronger than noise",
            ]
            for e in self.found[:40]
        ]
        return Table(
            columns,
            rows,
            title="Skip-trigrams",
            caption=(
                f"By the weights, and the change of C's logit when A stands before B in "
                f"{self.checks} random contexts (95 % interval). {self._said()}. "
                f"{' '.join(self.notes)}"
            ),
            does_not_show="That one head alone does it, or that the triple occurs in text.",
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each triple."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    **{k: v for k, v in vars(e).items() if k not in ("words", "interval")},
                    **dict(zip(("A", "B", "C"), e.words, strict=True)),
                    "low": e.interval[0],
                    "high": e.interval[1],
                    "obeyed": e.obeyed,
                }
                for e in self.found
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""

        def plain(value: Any) -> Any:
            if isinstance(value, tuple):
                return [plain(each) for each in value]
            return None if isinstance(value, float) and np.isnan(value) else value

        return {
            "found": [
                {k: plain(v) for k, v in vars(e).items()} | {"obeyed": e.obeyed} for e in self.found
            ],
            "checks": self.checks,
            "obeyed_frac": plain(self.obeyed_frac),
            "risen_frac": plain(self.risen_frac),
            "chance_frac": plain(self.chance_frac),
            "beyond_frac": plain(self.beyond_frac),
            "null_strength": self.null_strength,
            "draws": self.draws,
            "notes": list(self.notes),
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write JSON, the table as CSV, or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, or a folder that does not exist.
        """
        save_result(self, path)
