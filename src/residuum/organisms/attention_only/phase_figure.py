"""The picture of the phase change: prefix matching and in-context learning over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from residuum.figures import Guide, Lines, Panel, Series
from residuum.organisms.attention_only.looking import LOOK_SEED, LOOKED_AT, uniform_matching
from residuum.organisms.attention_only.sequences import draws, repeated_blocks

if TYPE_CHECKING:
    from residuum.organisms.attention_only.phase import PhaseChange

_NAMES = {
    "induction_2l": "two layers",
    "induction_2l_nopos": "two layers, no positions",
    "induction_1l": "one layer",
}
Log = Sequence[Mapping[str, Any]]


def phase_figure(change: PhaseChange, title: str) -> Panel:
    """Two line charts, each organism a line: mean over seeds, band from lowest to highest."""
    mean = f"{change.matching.mean:.0f} and {change.learning.mean:.0f}"
    seeds = ", ".join(f"{e.matching.midpoint:.0f}/{e.learning.midpoint:.0f}" for e in change.seeds)
    uniform = uniform_matching(repeated_blocks(LOOKED_AT, draws(LOOK_SEED, 0))[0])
    matching = _chart(
        change, lambda entry: max(map(max, entry["prefix_matching"])), "prefix matching, best head",
        "share of attention", (Guide(uniform, "attention to all alike"),),
    )  # fmt: skip
    learning = _chart(
        change, lambda entry: entry["icl_nats"], "in-context learning", "nats, late minus early", ()
    )
    return Panel(
        [matching, learning], columns=2, thumbnails=False, title=title,
        caption=f"Mean over {len(change.seeds)} seeds, band from lowest to highest. Midpoints of "
        f"{change.organism} (prefix matching / in-context learning beyond one layer), steps: "
        f"{seeds}; means {mean}. A checkpoint every {change.spacing} steps.",
        does_not_show="that prefix matching causes the fall in loss; and nothing about the order "
        "of the two within one spacing.",
    )  # fmt: skip


def _chart(change: PhaseChange, value: Any, y: str, unit: str, guides: tuple[Guide, ...]) -> Lines:
    steps = [entry["step"] for entry in next(iter(change.curves[change.organism].values()))]
    series = []
    for name, words in _NAMES.items():
        logs = [log for log in change.curves.get(name, {}).values()]
        if not logs:
            continue
        rows = [[_at(log, step, value) for log in logs] for step in steps]
        series.append(
            Series(
                words,
                [sum(row) / len(row) for row in rows],
                lo=[min(row) for row in rows],
                hi=[max(row) for row in rows],
            )
        )
    return Lines(steps, series, x="step", y=y, unit=unit, guides=guides, title=y)


def _at(log: Log, step: int, value: Any) -> float:
    """The value at a step; NaN where this training was not measured."""
    found = [value(entry) for entry in log if entry["step"] == step]
    return found[0] if found else float("nan")
