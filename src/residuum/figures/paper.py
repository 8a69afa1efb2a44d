"""Paper: Matplotlib through its objects alone, no pyplot and no global style."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.figures import palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import SubFigure

INK = "#1b1f24"
FAINT = "#6a727d"
RULE = "#d9dce1"
SMALL = 7.5
BODY = 8.5
TITLE = 10.5


def render(
    paint: Callable[[SubFigure], None], inches: tuple[float, float], form: str, *, dpi: int = 200
) -> bytes:
    """Draw with ``paint`` on an Agg canvas of that size and return the file's bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=inches, layout="constrained", facecolor="white")
    FigureCanvasAgg(canvas)
    paint(canvas.subfigures(1, 1, squeeze=False)[0, 0])
    sheet = io.BytesIO()
    nothing: dict[str, Any] = {"Creator": None, "Date": None, "Format": None, "Type": None}
    with warnings.catch_warnings():
        # A token in a script that the font lacks is drawn as a box; that is visible enough.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        canvas.savefig(sheet, format=form, dpi=dpi, metadata=nothing if form == "svg" else {})
    return sheet.getvalue()


def plain(text: str) -> str:
    """Keep Matplotlib from reading dollar signs as mathematics; show line breaks as a mark."""
    return text.replace("$", r"\$").replace("\n", "⏎").replace("\t", "⇥")


def shorten(text: str, most: int) -> str:
    """Cut text to ``most`` characters with an ellipsis.

    >>> shorten("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def caption(area: SubFigure, title: str, shows: str, not_shows: str, inches: float) -> None:
    """Set the title above and the caption below, wrapped to the width."""
    if title:
        wide = max(24, int(inches * 11))
        area.suptitle(
            plain_lines(title, wide),
            fontsize=TITLE,
            fontweight="bold",
            color=INK,
            x=0.01,
            ha="left",
        )
    parts = [shows] if shows else []
    if not_shows:
        parts.append("Does not show: " + not_shows)
    if parts:
        wide = max(30, int(inches * 16))
        area.supxlabel(
            "\n".join(plain_lines(part, wide) for part in parts),
            fontsize=SMALL, color=FAINT, x=0.01, ha="left",
        )  # fmt: skip


def plain_lines(text: str, wide: int) -> str:
    """Wrap text into lines of at most ``wide`` characters, dollar signs kept plain."""
    return "\n".join(plain(line) for line in textwrap.wrap(unmarked(text), wide))


def unmarked(text: str) -> str:
    """Drop the marks of code and strong text, which paper does not set.

    >>> unmarked("the **site** `z`")
    'the site z'
    """
    return text.replace("**", "").replace("`", "")


def caption_lines(shows: str, not_shows: str, inches: float) -> int:
    """Return how many lines ``caption`` will need below the figure."""
    wide = max(30, int(inches * 16))
    texts = [shows, "Does not show: " + not_shows if not_shows else ""]
    return sum(len(textwrap.wrap(text, wide)) for text in texts if text)


def caption_inches(title: str, shows: str, not_shows: str, inches: float) -> float:
    """Return the height that title and caption take."""
    top = 0.3 * len(textwrap.wrap(title, max(24, int(inches * 11))))
    return top + 0.145 * caption_lines(shows, not_shows, inches)


def quiet(axes: Axes) -> None:
    """Style one pair of axes: thin rules, small type, no box."""
    axes.tick_params(labelsize=SMALL, colors=INK, length=2.5, width=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
        spine.set_linewidth(0.6)


def scale_axis(axis: Axis, scale: str) -> None:
    """Make an axis linear or logarithmic, with plain numbers at its ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    if scale != "log":
        return
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})  # pyright: ignore[reportAttributeAccessIssue]
    low, high = axis.get_data_interval()
    wide = high > 100 * low
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def every(count: int, room: int) -> list[int]:
    """Return the indices to label: evenly spaced, the first and the last among them.

    Args:
        count: how many there are.
        room: how many labels fit side by side. The one before the last is left out where it would
            stand closer to it than the others do to each other.

    >>> every(10, 4)
    [0, 3, 6, 9]
    >>> every(12, 4)
    [0, 4, 11]
    """
    if count <= max(room, 1):
        return list(range(count))
    if room < 2:
        return [0]
    stride = -(-(count - 1) // (room - 1))
    shown = list(range(0, count - 1, stride))
    while len(shown) > 1 and count - 1 - shown[-1] < stride:
        shown.pop()
    return [*shown, count - 1]


def label_ticks(axes: Axes, rows: Sequence[str], cols: Sequence[str], inches: Any) -> None:
    """Label rows and columns, with the stride that the space asks for, so that none overlap.

    Long labels are cut and turned; where not all fit, evenly spaced ones stay, with both ends.
    """
    shown_rows = every(len(rows), int(inches[1] / 0.13))
    axes.set_yticks(list(shown_rows), [plain(shorten(rows[i], 18)) for i in shown_rows])
    widest = max((min(len(col), 14) for col in cols), default=1)
    flat = widest * 0.075 * len(cols) <= inches[0]
    room = int(inches[0] / (widest * 0.075 if widest <= 3 else 0.14)) if not flat else len(cols)
    shown_cols = every(len(cols), room)
    texts = [plain(shorten(cols[i], 14)) for i in shown_cols]
    if flat or widest <= 3:
        axes.set_xticks(list(shown_cols), texts)
    else:
        axes.set_xticks(list(shown_cols), texts, rotation=45, ha="right", rotation_mode="anchor")


def colour_bar(area: SubFigure, axes: Axes, scale: str, low: float, high: float, unit: str) -> None:
    """Add the colour bar, drawn from the same palette as the cells."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    steps = palette.colours(np.linspace(low, high, 256), scale, low, high) / 255
    mappable = ScalarMappable(Normalize(low, high), ListedColormap(steps.tolist()))
    bar = area.colorbar(mappable, ax=axes, fraction=0.05, pad=0.02, aspect=22)
    bar.ax.tick_params(labelsize=SMALL, colors=INK, length=2.5, width=0.6)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    if unit:
        bar.set_label(plain(unit), fontsize=SMALL, color=INK)
