"""The picture of the phase change: prefix matching and in-context learning over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from residuum.figures import Guide, Lines, Moment, Panel, Series
from residuum.organisms.attention_only.looking import LOOK_SEED, LOOKED_AT, uniform_matching
from residuum.organisms.attention_only.sequences import draws, repeated_blocks
from residuum.organisms.attention_only.sigmoid import seed_interval

_NAMES = {
    "induction_2l": "two layers",
    "induction_2l_nopos": "two layers, no positions",
    "induction_1l": "one layer",
}
Log = Sequence[Mapping[str, Any]]
Curves = Mapping[str, Mapping[int, Log]]


def phase_figure(
    curves: Curves,
    *,
    organism: str,
    spacing: int,
    midpoints: Sequence[tuple[float, float]],
    title: str,
) -> Panel:
    """Two line charts, each organism a line: mean over seeds, band from lowest to highest.

    Steps are on a log scale, from the first checkpoint after step 0: the rise takes a small part of
    the training. Upright lines are the organism's mean midpoints with their interval over seeds.

    Args:
        curves: training logs by organism and seed.
        organism: whose midpoints are drawn, and stand in the caption.
        spacing: steps between two checkpoints.
        midpoints: of prefix matching and of in-context learning, steps, by seed.
        title: of the panel.
    """
    seeds = ", ".join(f"{matching:.0f} / {learning:.0f}" for matching, learning in midpoints)
    uniform = uniform_matching(repeated_blocks(LOOKED_AT, draws(LOOK_SEED, 0))[0])
    steps = [entry["step"] for entry in next(iter(curves[organism].values())) if entry["step"] > 0]

    def chart(which: int, y: str, unit: str, value: Any, guides: tuple[Guide, ...] = ()) -> Lines:
        series = [
            _line(words, steps, list(curves[name].values()), value)
            for name, words in _NAMES.items()
            if curves.get(name)
        ]
        return Lines(
            steps, series, x="step", y=y, unit=unit, guides=guides, title=y, x_scale="log",
            moments=_midpoint([pair[which] for pair in midpoints]),
        )  # fmt: skip

    return Panel(
        [
            chart(
                0,
                "prefix matching, best head",
                "share of attention",
                lambda entry: max(map(max, entry["prefix_matching"])),
                (Guide(uniform, "uniform attention"),),
            ),
            chart(
                1,
                "in-context learning",
                "nats, late minus early",
                lambda entry: entry["icl_nats"],
            ),
        ],
        columns=2,
        thumbnails=False,
        title=title,
        caption=f"Mean over {len(midpoints)} seeds, band from lowest to highest. "
        f"Upright: mean midpoint of {organism} with its 95 % interval over seeds. Midpoints of "
        f"{organism} by seed (prefix matching / in-context learning beyond one layer): steps "
        f"{seeds}. A checkpoint every {spacing} steps.",
        does_not_show="that prefix matching causes the fall in loss; and nothing about the order "
        "of the two within one spacing.",
    )


def _midpoint(steps: Sequence[float]) -> tuple[Moment, ...]:
    """The mean over seeds and its interval; nothing where a seed has no midpoint."""
    if not steps or any(step != step for step in steps):
        return ()
    found = seed_interval(steps)
    known = found.low == found.low and found.high == found.high and found.low > 0
    lo, hi = (found.low, found.high) if known else (None, None)
    return (Moment(found.mean, lo, hi, f"midpoint {found.mean:.0f}"),)


def _line(words: str, steps: Sequence[int], logs: Sequence[Log], value: Any) -> Series:
    rows = [[_at(log, step, value) for log in logs] for step in steps]
    mean = [sum(row) / len(row) for row in rows]
    return Series(words, mean, lo=[min(row) for row in rows], hi=[max(row) for row in rows])


def _at(log: Log, step: int, value: Any) -> float:
    """The value at a step; NaN where this training was not measured."""
    found = [value(entry) for entry in log if entry["step"] == step]
    return found[0] if found else float("nan")
