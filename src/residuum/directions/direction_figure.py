"""Pictures of a direction: what each token holds along it, or its largest entries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from residuum.figures import Bars

_ENTRIES = 20
_DOES_NOT_SHOW = "whether the model uses the direction; see its proof"


def token_bars(
    at: str, words: Sequence[str], values: Sequence[float], threshold: float, above: str
) -> Bars:
    """One bar a token, in order: its coordinate along the direction, less the threshold."""
    from residuum.figures import Bars

    known = math.isfinite(threshold)
    base = threshold if known else 0.0
    side = f"; above 0 reads as {above!r}" if above and known else ""
    return Bars(
        names=[f"{number} {word}" for number, word in enumerate(words)],
        values=np.asarray(values) - base,
        x="coordinate along the direction" + (" above its threshold" if known else ""),
        unit="activation units",
        order="given",
        title=f"{at}: projection of each token",
        caption=f"Dot product with the unit vector{side}.",
        does_not_show=_DOES_NOT_SHOW,
    )


def entry_bars(at: str, vector: np.ndarray, method: str) -> Bars:
    """The largest entries of the (first) vector."""
    from residuum.figures import Bars

    order = np.argsort(-np.abs(vector))[:_ENTRIES]
    return Bars(
        names=[f"dim {index}" for index in order],
        values=vector[order],
        x="entry",
        unit="activation units",
        order="magnitude",
        title=f"{at}: largest entries of the direction",
        caption=f"{method}; {len(order)} of {len(vector)} entries.",
        does_not_show=_DOES_NOT_SHOW,
    )
