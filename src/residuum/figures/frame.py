"""The HTML frame around one figure: title, picture, data, caption, buttons."""

from __future__ import annotations

from typing import Any, Protocol

from residuum.figures import markup, record


class Captioned(Protocol):
    """What the frame needs of a figure."""

    @property
    def title(self) -> str:
        """One line above the figure."""
        ...

    @property
    def caption(self) -> str:
        """What the figure shows."""
        ...

    @property
    def does_not_show(self) -> str:
        """What a reader might wrongly take from it."""
        ...


def frame(
    figure: Captioned,
    kind: str,
    *,
    data: Any = None,
    body: str = "",
    describe: str = "",
    compact: bool = False,
) -> str:
    """Return ``<figure>`` with its title, its picture and its caption.

    Args:
        figure: where title and caption come from.
        kind: what the script draws here.
        data: JSON data for the script, if it draws something.
        body: HTML of the figure itself, already escaped, where there is no script needed.
        describe: one sentence for readers who cannot see the picture.
        compact: a thumbnail: its caption is kept for the view in full.
    """
    title = f'<div class="rz-title">{markup.escape(figure.title)}</div>' if figure.title else ""
    block = markup.data_block(record.pack(data)) if data is not None else ""
    size = " rz-compact" if compact else ""
    unseen = (
        f"<noscript><p>Needs JavaScript. {markup.escape(describe)}</p></noscript>" if data else ""
    )
    label = markup.escape(" ".join(part for part in (figure.title, describe) if part))
    return (
        f'<figure class="rz-fig rz-{kind}{size}" data-kind="{kind}" aria-label="{label}">'
        f'<div class="rz-top">{title}<div class="rz-tools"></div></div>'
        f'<div class="rz-body">{body}{unseen}</div>{block}'
        f"{caption_html(figure)}</figure>"
    )


def caption_html(figure: Captioned) -> str:
    """Return the caption, or nothing where there is none."""
    shows = f"<p>{markup.inline(figure.caption)}</p>" if figure.caption else ""
    not_shows = (
        f'<p class="rz-not"><b>Does not show:</b> {markup.inline(figure.does_not_show)}</p>'
        if figure.does_not_show
        else ""
    )
    return f"<figcaption>{shows}{not_shows}</figcaption>" if shows or not_shows else ""


def legend(scale: str, low: float, high: float, unit: str) -> str:
    """Return a small colour bar with its ends, for figures that have no bar of their own."""
    ends = [f"{end:.3g}".replace("-", "−") for end in (low, high)]
    return (
        f'<div class="rz-legend"><span>{ends[0]}</span>'
        f'<span class="rz-ramp rz-ramp-{markup.escape(scale)}"></span>'
        f"<span>{ends[1]} {markup.escape(unit)}</span></div>"
    )


def colour_key(scale: str, low: float, high: float, unit: str) -> str:
    """Return the same in words, for paper."""
    ends = ("orange", "blue") if scale == "diverging" else ("light", "dark")
    return f"Colour: {ends[0]} {low:.3g} to {ends[1]} {high:.3g} {unit}".rstrip() + "."
