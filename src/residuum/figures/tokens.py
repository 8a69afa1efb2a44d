"""Token strips: a prompt, token by token, each with a value as its background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from residuum.core.errors import ShapeError
from residuum.figures import markup, palette, paper, record
from residuum.figures.figure import Figure
from residuum.figures.frame import colour_key, frame, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

Numbers = Sequence[float | None] | np.ndarray


@dataclass(frozen=True, eq=False)
class TokenStrip(Figure):
    """A prompt as tokens with ids, coloured by a value each.

    Args:
        tokens: the tokens as text, in order.
        values: one value per token; NaN is greyed out; ``None`` colours nothing.
        ids: the token ids, which are the identity of a prompt.
        unit: unit of the values.
        scale: ``"diverging"`` or ``"sequential"``.
        limits: values at the ends of the palette; ``None`` takes them from the values.

    >>> TokenStrip(["The", " cat"], [0.0, 1.0], ids=[5, 7]).to_json()["ids"]
    [5, 7]
    """

    kind: ClassVar[str] = "tokens"
    tokens: Sequence[str]
    values: Numbers | None = None
    ids: Sequence[int] | None = None
    unit: str = ""
    scale: palette.Scale = "diverging"
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        tokens = tuple(str(token) for token in self.tokens)
        if not tokens:
            raise ShapeError("TokenStrip has no tokens", mend="pass at least one token")
        values = None
        if self.values is not None:
            values = record.as_values(self.values, 1, "TokenStrip.values")
        ids = None if self.ids is None else tuple(int(i) for i in self.ids)
        for name, part in (("values", values), ("ids", ids)):
            if part is not None and len(part) != len(tokens):
                raise ShapeError(
                    f"TokenStrip.{name} has {len(part)} entries for {len(tokens)} tokens",
                    mend=f"give one of {name} for each token, or none at all",
                )
        record.as_choice(self.scale, palette.SCALES, "TokenStrip.scale")
        limits = record.as_limits(self.limits, "TokenStrip.limits")
        record.settle(self, tokens=tokens, values=values, ids=ids, limits=limits)

    def colour_range(self) -> tuple[float, float]:
        """Return the values at the two ends of the palette."""
        values = np.zeros(0) if self.values is None else np.asarray(self.values)
        return palette.colour_range(values, self.scale, self.limits)

    def fragment(self, *, compact: bool = False) -> str:
        """Return the figure's HTML without style sheet and script."""
        spans = "".join(self._span(index) for index in range(len(self.tokens)))
        describe = f"Prompt of {len(self.tokens)} tokens."
        key = ""
        if self.values is not None and not compact:
            key = legend(self.scale, *self.colour_range(), self.unit)
        body = f'<ol class="rz-strip">{spans}</ol>{key}'
        return frame(self, "tokens", body=body, describe=describe, compact=compact)

    def _span(self, index: int) -> str:
        token = self.tokens[index]
        facts = [f"position {index}", f"token {token!r}"]
        number, style = "", ""
        if self.ids is not None:
            facts.append(f"id {self.ids[index]}")
            number = f'<span class="rz-id">{self.ids[index]}</span>'
        if self.values is not None:
            value = float(np.asarray(self.values)[index])
            facts.append("impossible" if np.isnan(value) else f"{value:.5g} {self.unit}".rstrip())
            style = f' style="{self._style(value)}"'
        return (
            f'<li class="rz-token" tabindex="0" data-tip="{markup.escape(" · ".join(facts))}"'
            f'{style}><span class="rz-token-text">{markup.escape(visible(token))}</span>'
            f"{number}</li>"
        )

    def _style(self, value: float) -> str:
        low, high = self.colour_range()
        parts = []
        for theme, short in (("light", "l"), ("dark", "d")):
            colour = palette.colours(np.array(value), self.scale, low, high, theme)  # type: ignore[arg-type]
            parts.append(f"--{short}:{palette.hex_of(colour)};--{short}i:{palette.ink_on(colour)}")
        return ";".join(parts)

    def paper_inches(self) -> tuple[float, float]:
        """Return width and height on paper."""
        extra = paper.caption_inches(self.title, self._paper_caption(), self.does_not_show, 6.5)
        return 6.5, 0.35 + 0.42 * len(self._wrapped()) + extra

    def _wrapped(self) -> list[list[tuple[int, float, float]]]:
        """Return lines of ``(token, left, width)`` in characters, 84 to a line."""
        lines: list[list[tuple[int, float, float]]] = [[]]
        left = 0.0
        for index, token in enumerate(self.tokens):
            wide = (
                max(len(visible(token)), len(str(self.ids[index])) * 0.8 if self.ids else 0) + 1.4
            )
            if left + wide > 84 and lines[-1]:
                lines.append([])
                left = 0.0
            lines[-1].append((index, left, wide))
            left += wide + 0.4
        return lines

    def paint(self, area: SubFigure) -> None:
        """Draw onto a Matplotlib figure area, with title, axes and caption."""
        self.sketch(area.subplots())
        paper.caption(area, self.title, self._paper_caption(), self.does_not_show, 6.5)

    def sketch(self, axes: Axes) -> None:
        """Draw a thumbnail onto Matplotlib axes: the picture alone."""
        from matplotlib.patches import Rectangle

        axes.set_axis_off()
        lines = self._wrapped()
        axes.set_xlim(0, 84)
        axes.set_ylim(len(lines), 0)
        low, high = self.colour_range()
        for row, line in enumerate(lines):
            for index, left, wide in line:
                value = np.nan if self.values is None else np.asarray(self.values)[index]
                colour = palette.colours(np.array(value), self.scale, low, high)
                face = "#ffffff" if self.values is None else palette.hex_of(colour)
                box = Rectangle((left, row + 0.08), wide, 0.84, facecolor=face,
                                edgecolor=paper.RULE, linewidth=0.5)  # fmt: skip
                axes.add_patch(box)
                ink = paper.INK if self.values is None else palette.ink_on(colour)
                self._write(axes, index, left + wide / 2, row, ink)

    def _paper_caption(self) -> str:
        if self.values is None:
            return self.caption
        key = colour_key(self.scale, *self.colour_range(), self.unit)
        return f"{self.caption} {key}".lstrip()

    def _write(self, axes: Axes, index: int, x: float, row: int, ink: str) -> None:
        put = axes.text
        text = paper.plain(visible(self.tokens[index]))
        middle = 0.5 if self.ids is None else 0.36
        put(
            x,
            row + middle,
            text,
            ha="center",
            va="center",
            fontsize=7,
            family="monospace",
            color=ink,
        )
        if self.ids is not None:
            put(
                x, row + 0.72, str(self.ids[index]), ha="center", va="center", fontsize=5, color=ink
            )


def visible(token: str) -> str:
    r"""Show the white space of a token.

    >>> visible(" cat\n")
    '·cat⏎'
    """
    shown = token.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "·")
    return shown or "∅"
