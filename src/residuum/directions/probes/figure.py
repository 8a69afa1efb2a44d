"""The picture of a sweep of probes: accuracy by layer, with its interval and what chance gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from residuum.directions.probes.scores import ProbeScore

if TYPE_CHECKING:
    from residuum.figures import Lines

_DOES_NOT_SHOW = "that the model uses what can be read; see a direction's proof"


def accuracy_figure(
    scores: Sequence[ProbeScore], best: int, majority: float, title: str, caption: str
) -> Lines:
    """Test accuracy of every place, the controls' beside it, the majority rate as a line."""
    from residuum.figures import Guide, Lines, Series

    lines = [
        Series(
            "test", [each.test for each in scores], [each.low for each in scores],
            [each.high for each in scores],
        ),
        Series("validation", [each.validation for each in scores]),
        Series("control task", [each.control for each in scores]),
        Series("shuffled labels", [each.shuffled for each in scores]),
    ]  # fmt: skip
    lines = [line for line in lines if bool(np.isfinite(np.asarray(line.y)).any())]
    return Lines(
        list(range(len(scores))),
        lines,
        x="place",
        y="accuracy",
        unit="share",
        x_labels=_places(scores),
        guides=[Guide(majority, "majority")],
        title=title,
        caption=f"{caption} Best on validation: {scores[best].at}.",
        does_not_show=_DOES_NOT_SHOW,
    )


def _places(scores: Sequence[ProbeScore]) -> list[str]:
    """Layers where only those differ, else addresses without a position that all share."""
    sites = {each.at.split(".", 1)[-1] for each in scores}
    if len(sites) == 1 and all(each.layer is not None for each in scores):
        return [f"L{each.layer}" for each in scores]
    if len({each.position for each in scores}) == 1:
        return [each.at.split("@")[0] for each in scores]
    return [each.at for each in scores]
