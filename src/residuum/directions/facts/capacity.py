"""How many facts can be edited at once before it hurts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.core import SILENT, OptionError, Progress, Provenance
from residuum.core.notebook import html_of
from residuum.core.progress import track
from residuum.core.saving import save_result
from residuum.directions.facts.editing import edit_facts
from residuum.directions.facts.fact import Fact, need_facts
from residuum.runs import Model, bootstrap_mean_interval, shown, whole_number

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Lines

_SHARES = ("requests", "paraphrases", "others")
_NAMES = {
    "requests": "says the new answer",
    "paraphrases": "says it in phrasings not used",
    "others": "other facts as before",
}


@dataclass(frozen=True)
class CapacityRow:
    """One draw of requests, edited at once.

    Attributes:
        n: requests.
        draw: which draw.
        requests, paraphrases, others: shares, see `FactScores`; NaN where there are none.
        loss_change_frac: of plain text.
    """

    n: int
    draw: int
    requests: float
    paraphrases: float
    others: float
    loss_change_frac: float


@dataclass(frozen=True, eq=False, repr=False)
class FactCapacity:
    """Shares against the number of facts edited at once.

    Shows: where edits of this kind begin to hurt on this model. Does not show: the limit of another
    method, layer or search.
    """

    rows: tuple[CapacityRow, ...]
    provenance: Provenance

    def mean(self, name: str, n: int) -> tuple[float, tuple[float, float]]:
        """Mean over the draws of ``n`` requests, and its 95 % interval over draws."""
        values = [getattr(row, name) for row in self.rows if row.n == n]
        return float(np.mean(values)), bootstrap_mean_interval(values)

    def __repr__(self) -> str:
        lines = [
            f"{n} facts: "
            + ", ".join(f"{name} {self.mean(name, n)[0]:.3f}" for name in _SHARES)
            + f", plain text {100 * self.mean('loss_change_frac', n)[0]:+.2f} %"
            for n in self._sizes()
        ]
        return "FactCapacity(" + "\n  ".join(lines) + ")"

    def _sizes(self) -> list[int]:
        return sorted({row.n for row in self.rows})

    def to_dataframe(self) -> pd.DataFrame:
        """One row a draw."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.rows])

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "provenance": self.provenance.to_json(),
        }

    def figure(self, title: str = "Many facts edited at once") -> Lines:
        """Shares by number of facts, with bands over the draws."""
        from residuum.figures import Lines, Series

        sizes = self._sizes()
        series = []
        for name in _SHARES:
            found = [self.mean(name, n) for n in sizes]
            low, high = ([each[1][end] for each in found] for end in (0, 1))
            series.append(Series(_NAMES[name], [each[0] for each in found], low, high))
        return Lines(
            sizes,
            series,
            x="facts edited at once",
            y="facts",
            unit="share",
            title=title,
            caption=f"Mean and 95 % interval over draws. {self.provenance.strategy}.",
            does_not_show="the limit of another method, layer or search.",
        )

    def save(self, path: str | Path) -> None:
        """Write ``.json``, ``.csv``, ``.html``, ``.svg`` or ``.png``."""
        save_result(self, path, "a capacity curve")

    def _repr_html_(self) -> str | None:
        return html_of(self)


def fact_capacity(
    model: Model,
    requests: Sequence[Fact],
    texts: Sequence[str],
    *,
    facts: Sequence[Fact],
    unseen: Sequence[str],
    sizes: Sequence[int] = (1, 2, 4, 8, 16),
    draws: int = 3,
    keep: Sequence[Fact] = (),
    seed: int = 0,
    progress: Progress = SILENT,
    **options: Any,
) -> FactCapacity:
    """Edit more and more of some requests at once, and judge each time.

    Args:
        model: a loaded model; it is as it was afterwards.
        requests: drawn from, without replacement.
        texts: for the keys, as in :func:`edit_facts`.
        facts, unseen: the pool of facts and the plain text to judge by.
        sizes: how many at once.
        draws: of each size.
        keep: facts to keep; those of the drawn subjects are used.
        seed: of the draws.
        progress: who is told.
        options: further ones of :func:`edit_facts`.

    Raises:
        OptionError: sizes beyond the requests, no draws; as of :func:`edit_facts`.
    """
    pool = need_facts(requests, "requests", once=True)
    whole_number(draws, "draws", 1)
    if not isinstance(sizes, (list, tuple, range)):
        raise OptionError(f"sizes={shown(sizes)}", mend="give a list, such as sizes=(1, 4, 8)")
    if not sizes or any(type(n) is not int or not 1 <= n <= len(pool) for n in sizes):
        raise OptionError(
            f"sizes={tuple(sizes)} of {len(pool)} requests", mend=f"give 1 to {len(pool)}"
        )
    rng = Random(f"{seed}/capacity")
    cells = [(n, draw, rng.sample(pool, n)) for n in sizes for draw in range(draws)]
    rows = []
    for n, draw, drawn in track(cells, progress, "edits", len(cells)):
        subjects = {each.subject for each in drawn}
        held = [each for each in keep if each.subject in subjects]
        edit = edit_facts(model, drawn, texts, keep=held, seed=seed, **options)
        found = edit.evaluate(facts=facts, texts=unseen)
        text = float("nan") if found.text is None else found.text.change_frac
        shares = {name: found.shares[name].share for name in _SHARES}
        rows.append(CapacityRow(n=n, draw=draw, loss_change_frac=text, **shares))
    strategy = f"fact_capacity({len(pool)} requests, {draws} draws, seed {seed})"
    return FactCapacity(tuple(rows), model.provenance(strategy=strategy, seed=seed))
