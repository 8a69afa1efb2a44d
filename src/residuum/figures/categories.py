"""Maps of names instead of numbers: what they must hold, how their key is drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from residuum.core.errors import OptionError, ShapeError
from residuum.figures import palette, paper, record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HATCH = "////"
MOST = len(palette.CATEGORIES["light"])
_LINE = 0.17
"""Height of a line of the key on paper, inches."""


class Categorical(Protocol):
    """What is read of a map of categories."""

    @property
    def matrix(self) -> np.ndarray:
        """``[rows, cols]``: index of a category, or NaN."""
        ...

    @property
    def categories(self) -> Sequence[str] | None:
        """Their names."""
        ...

    @property
    def unsure(self) -> Sequence[Sequence[bool]] | np.ndarray | None:
        """``[rows, cols]``: where the category is not sure."""
        ...

    @property
    def unsure_name(self) -> str:
        """What hatched means."""
        ...


def settle(figure: Any, values: np.ndarray) -> dict[str, Any]:
    """Check the fields of a map that belong to categories, and return them settled.

    Raises:
        OptionError: categories, ``unsure`` or limits that do not go with the scale; too many names.
        ShapeError: a value that is the index of none, or ``unsure`` of another shape.
    """
    if figure.scale != "categorical":
        given = [key for key in ("categories", "unsure") if getattr(figure, key) is not None]
        if given:
            raise OptionError(
                f"HeatMap.{given[0]} goes with scale='categorical', not {figure.scale!r}",
                mend=f"leave {given[0]} out, or use scale='categorical'",
            )
        return {}
    names = tuple(str(name) for name in figure.categories or ())
    if not 1 <= len(names) <= MOST or figure.limits is not None:
        what = "limits" if figure.limits is not None else f"{len(names)} categories"
        raise OptionError(
            f"a categorical HeatMap got {what}",
            mend=f"pass 1 to {MOST} names, the first for 'none of them', and no limits",
        )
    known = values[np.isfinite(values)]
    if ((known != np.round(known)) | (known < 0) | (known >= len(names))).any():
        raise ShapeError(
            f"HeatMap.values must be indices of {len(names)} categories",
            mend=f"pass whole numbers from 0 to {len(names) - 1}, or NaN",
        )
    return {"categories": names, "unsure": _unsure(figure.unsure, values)}


def _unsure(given: Any, values: np.ndarray) -> tuple[tuple[bool, ...], ...] | None:
    if given is None:
        return None
    marks = record.as_values(given, 2, "HeatMap.unsure")
    if marks.shape != values.shape:
        raise ShapeError(
            f"HeatMap.unsure has shape {marks.shape} for values of {values.shape}",
            mend="pass True or False for each cell",
        )
    held = (marks != 0) & np.isfinite(values)
    return tuple(tuple(bool(each) for each in row) for row in held)


def marks(figure: Categorical) -> np.ndarray:
    """``[rows, cols]``: True where a cell is hatched."""
    if figure.unsure is None:
        return np.zeros(figure.matrix.shape, dtype=bool)
    return np.asarray(figure.unsure, dtype=bool)


def colours(figure: Categorical, theme: palette.Theme = "light") -> np.ndarray:
    """Bytes ``[rows, cols, 3]``."""
    return palette.category_colours(figure.matrix, marks(figure), theme)


def present(figure: Categorical) -> list[int]:
    """Indices of the categories that stand in a cell, ascending."""
    return sorted({int(value) for value in figure.matrix[np.isfinite(figure.matrix)]})


def texts(figure: Categorical) -> list[list[str]]:
    """The name in each cell, with ``?`` where it is not sure; empty where none is possible."""
    names, unsure = tuple(figure.categories or ()), marks(figure)
    return [
        [
            "" if np.isnan(v) else names[int(v)] + ("?" if u else "")
            for v, u in zip(*row, strict=True)
        ]
        for row in zip(figure.matrix, unsure, strict=True)
    ]


def describe(figure: Categorical) -> str:
    """One sentence for readers who cannot see the picture."""
    names, rows, cols = tuple(figure.categories or ()), *figure.matrix.shape
    counts = Counter(int(value) for value in figure.matrix[np.isfinite(figure.matrix)])
    told = ", ".join(f"{names[index]} {counts[index]}" for index in present(figure))
    doubt = int(marks(figure).sum())
    more = f"; {doubt} {figure.unsure_name}" if doubt else ""
    return f"Map of categories, {rows} rows by {cols} columns: {told or 'none possible'}{more}."


def key_inches(figure: Categorical) -> float:
    """Height of the key on paper."""
    return _LINE * (len(present(figure)) + bool(marks(figure).any())) + 0.1


def paint_hatch(axes: Axes, figure: Categorical) -> None:
    """Hatch the unsure cells in their full colour."""
    from matplotlib.patches import Rectangle

    stops = palette.CATEGORIES["light"]
    for row, col in zip(*np.nonzero(marks(figure)), strict=True):
        axes.add_patch(
            Rectangle(
                (col - 0.5, row - 0.5),
                1,
                1,
                fill=False,
                linewidth=0,
                hatch=HATCH,
                edgecolor=stops[int(figure.matrix[row, col])],
            )
        )


def paint_key(axes: Axes, figure: Categorical) -> None:
    """Names beside their colours, right of the map."""
    from matplotlib.patches import Patch

    names, stops = tuple(figure.categories or ()), palette.CATEGORIES["light"]
    entries = [
        Patch(facecolor=stops[i], edgecolor=paper.RULE, linewidth=0.6, label=paper.plain(names[i]))
        for i in present(figure)
    ]
    if marks(figure).any():
        entries.append(
            Patch(facecolor="white", edgecolor=paper.FAINT, linewidth=0.0, hatch=HATCH * 2,
                  label=paper.plain(figure.unsure_name))
        )  # fmt: skip
    axes.legend(
        handles=entries, loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False,
        fontsize=paper.SMALL, labelcolor=paper.INK, handlelength=1.4, borderaxespad=0,
        labelspacing=0.35,
    )  # fmt: skip
