"""A steering as a panel: dose-response beside side effects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from residuum.directions.said_table import said_table
from residuum.figures import Figure, Guide, Lines, Moment, Panel, Series
from residuum.runs.arguments import need_text

_X = "strength (typical norms)"
TALLEST_UP_FRAC = 0.5
"""Perplexity is drawn up to this much higher; what is beyond is marked, with its largest."""


def steering_figure(steering: Any, title: str = "") -> Panel:
    """Share flipped and effect, perplexity, divergence, other tasks; each against strength.

    Args:
        steering: a ``Steering``; its type is not named, since its module draws with this one.

    Raises:
        OptionError: a title that is no text.
    """
    need_text(title, "title")
    figures: list[Figure] = _responses(steering) + _costs(steering)
    if steering.said:
        figures.append(said_table(steering))
    low, high = steering.usable
    return Panel(
        figures,
        columns=2,
        thumbnails=False,
        title=title or f"Steering at {steering.at}, {steering.tokens}",
        caption=f"Strength in typical norms ({steering.typical_norm:.3g}) of the site. Usable from "
        f"{low:g} to {high:g}: perplexity on {steering.neutral_n} neutral texts rises by less than "
        "10 %. Above 0: corrupt prompts that become clean answers; below 0: clean ones that become "
        "corrupt. Bands: 95 % intervals.",
        does_not_show="that the model uses the direction by itself, or what steering does to text "
        "unlike the neutral texts.",
    )


def _responses(steering: Any) -> list[Figure]:
    doses = steering.doses
    if not doses:
        return []
    flipped = [
        _banded("along or against the direction", doses, "flipped"),
        Series("random directions", [each.random_flipped for each in doses]),
    ]
    return [
        _lines(steering, flipped, "answers flipped", "share"),
        _lines(
            steering,
            [_banded(steering.metric, doses, "effect")],
            f"{steering.metric}, change towards clean",
            steering.unit,
            [Guide(0.0)],
            short=f"{steering.metric}, change",
        ),
    ]


def _costs(steering: Any) -> list[Figure]:
    kl = [each.kl_bits if each.kl_bits > 0 else None for each in steering.side_effects]
    figures: list[Figure] = [
        _lines(
            steering,
            _perplexity(steering),
            "perplexity on neutral text, change",
            "%",
            [Guide(10.0, "10 %")],
            short="perplexity, change",
        )
    ]
    if any(kl):
        figures.append(
            _lines(
                steering, [Series("KL", kl)], "KL from the unsteered model, a token", "bits",
                short="KL, a token", log=True,
            )
        )  # fmt: skip
    names = dict.fromkeys(each.task for each in steering.off_target)
    if names:
        lines = [
            _banded(name, [each for each in steering.off_target if each.task == name], "accuracy")
            for name in names
        ]
        title = f"accuracy on {next(iter(names))}" if len(names) == 1 else "accuracy on other tasks"
        figures.append(_lines(steering, lines, title, "share", short="accuracy"))
    if steering.repetition:
        shares = [steering.repetition[scale] for scale in steering.scales]
        figures.append(
            _lines(steering, [Series("repetition", shares)], "repeated word pairs", "share")
        )
    return figures


def _perplexity(steering: Any) -> list[Series]:
    """The change in per cent, and a line at the top where it is too large to be drawn."""
    rows = steering.side_effects
    up = np.array([each.perplexity_up_frac for each in rows])
    low, high = np.array([each.perplexity_up_interval for each in rows]).T
    top = 100 * TALLEST_UP_FRAC
    beyond = ~(up <= TALLEST_UP_FRAC)
    shown = [np.where(beyond, np.nan, 100 * np.minimum(each, TALLEST_UP_FRAC))
             for each in (up, low, high)]  # fmt: skip
    lines = [Series("perplexity", *shown)]
    if beyond.any():
        most = f"beyond {top:.0f} %, up to {100 * up[beyond].max():,.0f} %"
        lines.append(Series(most, np.where(beyond, top, np.nan)))
    return lines


def _banded(name: str, rows: Sequence[Any], field: str) -> Series:
    ends = [getattr(each, f"{field}_interval") for each in rows]
    return Series(
        name, [getattr(each, field) for each in rows], [e[0] for e in ends], [e[1] for e in ends]
    )


def _lines(
    steering: Any,
    series: list[Series],
    title: str,
    unit: str,
    guides: Sequence[Guide] = (),
    short: str = "",
    log: bool = False,
) -> Lines:
    """One panel, the usable range shaded; ``short`` names the axis where the title is too long."""
    low, high = steering.usable
    return Lines(
        steering.scales, series, x=_X, y=short or title, unit=unit, guides=guides, title=title,
        y_scale="log" if log else "linear", moments=[Moment(0.0, low, high, "usable")],
    )  # fmt: skip
