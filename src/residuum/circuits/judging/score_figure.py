"""A circuit's scores as a figure: faithfulness over sizes, or one bar for each choice."""

from __future__ import annotations

import numpy as np

from residuum.circuits.judging.judged import Judged
from residuum.circuits.judging.ratios import Estimate
from residuum.circuits.judging.reference_scores import AVERAGES
from residuum.figures import Bars, Guide, Lines, Series

_DOES_NOT_SHOW = "that a random circuit or a rival of the same size does worse."


def score_figure(scores: Judged, by: str, title: str) -> Lines | Bars:
    """Lines where there are sizes, else bars."""
    return _curves(scores, by, title) if scores.sizes else _bars(scores, title)


def _curves(scores: Judged, by: str, title: str) -> Lines:
    series = []
    for name, each in scores.by_reference.items():
        found = each.curve(by)
        value, low, high = _columns(found)
        banded = bool(np.isfinite(low).all())
        series.append(Series(name, value, *((low, high) if banded else (None, None))))
    return Lines(
        scores.sizes,
        series,
        x=f"share of the edges, chosen by {by} score ({scores.how})",
        x_scale="log" if len(scores.sizes) > 1 else "linear",
        y="faithfulness, ratio of means",
        guides=[Guide(y=1.0, label="the model"), Guide(y=0.0, label="no edge")],
        title=title or "Faithfulness over sizes, by what the rest is replaced with",
        caption=f"{scores.metric} over {scores.examples} pairs; bands: 95 % bootstrap intervals.",
        does_not_show=_DOES_NOT_SHOW,
    )


def _bars(scores: Judged, title: str) -> Bars:
    names, found = [], []
    for name, each in scores.by_reference.items():
        for average in AVERAGES:
            names.append(name + " *" * (average == AVERAGES[1]))
            found.append(each.faithfulness(average))
    value, low, high = _columns(found)
    banded = bool(np.isfinite(low).all())
    return Bars(
        names,
        value,
        low if banded else None,
        high if banded else None,
        x="faithfulness",
        order="given",
        title=title or "Faithfulness by what the rest is replaced with and how it is averaged",
        caption=f"{scores.metric} over {scores.examples} pairs, {AVERAGES[0]}; * {AVERAGES[1]} of "
        "the pairs; 95 % bootstrap intervals.",
        does_not_show=_DOES_NOT_SHOW,
    )


def _columns(found: list[Estimate] | tuple[Estimate, ...]) -> tuple[np.ndarray, ...]:
    table = np.array([[each.value, each.low, each.high] for each in found])
    return tuple(table.T)
