"""What every figure has: a title, a caption that says what it does not show, and ``save``."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from residuum.core.errors import OptionError
from residuum.core.paths import writing
from residuum.figures import document, markup, paper, record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

SUFFIXES = (".html", ".svg", ".png", ".json")


@dataclass(frozen=True, eq=False, kw_only=True)
class Figure(ABC):
    """A figure as plain data; the kinds add their own fields.

    Args:
        title: one line above the figure.
        caption: what the figure shows.
        does_not_show: what a reader might wrongly take from it.
    """

    kind: ClassVar[str]
    title: str = ""
    caption: str = ""
    does_not_show: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; NaN is ``None``. ``from_json`` reads it back."""
        return {"kind": self.kind, **record.pack(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build the figure that ``to_json`` wrote.

        Raises:
            OptionError: another kind of figure, an unknown key or a missing one.
        """
        kind = data.get("kind")
        if kind != cls.kind:
            raise OptionError(
                f"this is figure data of kind {kind!r}, not {cls.kind!r}",
                mend="read it with figure_from_json(data), which takes every kind",
            )
        rest = {key: value for key, value in data.items() if key != "kind"}
        return record.unpack(cls, rest, cls.__name__)

    def html(self, *, runtime: bool = True) -> str:
        """Return an HTML fragment that draws itself.

        Args:
            runtime: put the shared style sheet and script in; leave out where the page
                already has them. Several fragments with it in one page do no harm.
        """
        fragment = self.fragment()
        if not runtime:
            return fragment
        return (
            f"<style>{markup.stylesheet()}</style>\n{fragment}\n"
            f"<script>{markup.runtime()}</script>\n"
        )

    def _repr_html_(self) -> str:
        return self.html()

    def svg(self) -> str:
        """Return a stand-alone SVG document, for paper."""
        return paper.render(self.paint, self.paper_inches(), "svg").decode("utf-8")

    def png(self, *, dpi: int = 200) -> bytes:
        """Return PNG bytes on white; size in pixels is ``paper_inches()`` times ``dpi``."""
        return paper.render(self.paint, self.paper_inches(), "png", dpi=dpi)

    def save(self, path: str | Path) -> Path:
        """Write the figure in the format that the suffix names.

        Args:
            path: a file name ending in ``.html``, ``.svg``, ``.png`` or ``.json``.

        Returns:
            The path written.

        Raises:
            OptionError: any other suffix.
            StoreError: no path, a folder, a file in a folder that does not exist or cannot be
                written to.
        """
        with writing(path) as target:
            suffix = target.suffix.lower()
            if suffix == ".html":
                text = document.document(self.title or "Figure", self.fragment(), headed=False)
                target.write_text(text, encoding="utf-8")
            elif suffix == ".svg":
                target.write_text(self.svg(), encoding="utf-8")
            elif suffix == ".png":
                target.write_bytes(self.png())
            elif suffix == ".json":
                text = json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False, indent=1)
                target.write_text(text, encoding="utf-8")
            else:
                raise OptionError(
                    f"cannot save a figure as {target.suffix or 'a file without suffix'}",
                    mend=f"end the file name in {', '.join(SUFFIXES)}",
                    where=str(target),
                )
        return target

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Figure):
            return NotImplemented
        return self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_json(), sort_keys=True))

    @abstractmethod
    def fragment(self, *, compact: bool = False) -> str:
        """Return the figure's HTML without style sheet and script.

        Args:
            compact: a thumbnail in a panel: title and picture only.
        """

    @abstractmethod
    def paper_inches(self) -> tuple[float, float]:
        """Return width and height on paper."""

    @abstractmethod
    def paint(self, area: SubFigure) -> None:
        """Draw onto a Matplotlib figure area, with title, axes and caption."""

    @abstractmethod
    def sketch(self, axes: Axes) -> None:
        """Draw a thumbnail onto Matplotlib axes: the picture alone."""
