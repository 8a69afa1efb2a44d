"""Pages: a list of parts, headings, text, figures, set as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from residuum.core.errors import OptionError
from residuum.figures import markup, record
from residuum.figures.document import document
from residuum.figures.figure import Figure

Tone = Literal["note", "good", "warning", "bad"]
TONES = ("note", "good", "warning", "bad")


@dataclass(frozen=True)
class Heading:
    """A section heading; level 2 and 3 are in the table of contents."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Running text; `` `code` `` and ``**strong**`` are set as such, all else is plain."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of short texts, numbered if ``ordered``."""

    items: Sequence[str]
    ordered: bool = False


@dataclass(frozen=True)
class Callout:
    """A boxed remark: ``"note"``, ``"good"``, ``"warning"`` or ``"bad"``; a line each paragraph."""

    text: str
    title: str = ""
    tone: Tone = "note"
    badge: str = ""
    """A word or two, such as a status, set as a label before the title."""

    def __post_init__(self) -> None:
        record.as_choice(self.tone, TONES, "Callout.tone")


@dataclass(frozen=True)
class KeyValues:
    """Facts as names and values, such as provenance."""

    items: Mapping[str, object] | Sequence[tuple[str, object]]
    title: str = ""


@dataclass(frozen=True)
class Stat:
    """One number that matters, with its unit and a line of detail such as its interval."""

    label: str
    value: str
    unit: str = ""
    detail: str = ""
    tone: Tone = "note"

    def __post_init__(self) -> None:
        record.as_choice(self.tone, TONES, "Stat.tone")


@dataclass(frozen=True)
class Stats:
    """A row of numbers that matter."""

    items: Sequence[Stat]


@dataclass(frozen=True)
class Code:
    """Code or a command, set as it is, with a copy button."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Fold:
    """Parts that are closed until the reader opens them.

    Args:
        title: what is inside.
        parts: the parts.
        opened: open from the start.
        printed: opened on paper; if not, and the reader left it closed, paper says where it is.
    """

    title: str
    parts: Sequence[Part]
    opened: bool = False
    printed: bool = True


@dataclass(frozen=True)
class Columns:
    """Parts side by side; one below the other where the page is narrow."""

    columns: Sequence[Sequence[Part]]


@dataclass(frozen=True)
class Contents:
    """The table of contents, at this place; without it, it stands above all parts."""


Part = (
    str | Heading | Paragraph | Bullets | Callout | KeyValues | Stats | Code | Fold | Columns
    | Contents | Figure
)  # fmt: skip


def page(
    title: str,
    parts: Sequence[Part],
    *,
    subtitle: str = "",
    footer: str = "",
    contents: bool | None = None,
) -> str:
    """Return one HTML page that needs nothing but itself.

    Args:
        title: page title and first heading.
        parts: what is on the page, top to bottom; a plain text is a paragraph.
        subtitle: one line under the title.
        footer: one line at the end, such as version and date.
        contents: whether to put a table of contents above the parts; ``None`` does so from four
            headings on. A ``Contents`` part says where else.

    Returns:
        The whole HTML text; every text in it is escaped.

    Raises:
        OptionError: a part of an unknown type.

    >>> "&lt;script&gt;alert" in page("Report", ["<script>alert(1)</script>"])
    True
    """
    heads = [part for part in parts if isinstance(part, Heading) and part.level in (2, 3)]
    placed = any(isinstance(part, Contents) for part in parts)
    wanted = len(heads) >= 4 if contents is None else contents
    anchors = _Anchors()
    rendered = [
        part if isinstance(part, Contents) else render_part(part, anchors) for part in parts
    ]
    links = _contents(anchors.seen)
    body = "\n".join(links if isinstance(each, Contents) else each for each in rendered)
    listing = links if wanted and not placed else ""
    return document(title, body, subtitle=subtitle, contents=listing, footer=footer)


class _Anchors:
    """Hands each heading an anchor of its own."""

    def __init__(self) -> None:
        self.seen: list[tuple[Heading, str]] = []

    def add(self, heading: Heading) -> str:
        """Return the anchor for ``heading``."""
        name = f"part-{len(self.seen) + 1}"
        self.seen.append((heading, name))
        return name


def render_part(part: Part, anchors: _Anchors) -> str:
    """Return the HTML of one part."""
    match part:
        case Figure():
            return part.fragment()
        case str():
            return f"<p>{markup.inline(part)}</p>"
        case Paragraph(text):
            return f"<p>{markup.inline(text)}</p>"
        case Heading(text, level):
            rank = min(max(int(level), 2), 4)
            name = anchors.add(part)
            return f'<h{rank} id="{name}">{markup.inline(text)}</h{rank}>'
        case Fold(title, parts, opened, printed):
            inner = "\n".join(render_part(item, anchors) for item in parts)
            state = " open" if opened else ""
            kept = "" if printed else " rz-unprinted"
            return (
                f'<details class="rz-fold{kept}"{state}><summary>{markup.inline(title)}</summary>'
                f"{inner}</details>"
            )
        case Columns(columns):
            inside = "".join(
                f"<div>{''.join(render_part(item, anchors) for item in column)}</div>"
                for column in columns
            )
            return f'<div class="rz-columns">{inside}</div>'
        case _:
            return _render_block(part)


def _render_block(part: object) -> str:
    match part:
        case Bullets(items, ordered):
            tag = "ol" if ordered else "ul"
            inside = "".join(f"<li>{markup.inline(item)}</li>" for item in items)
            return f'<{tag} class="rz-bullets">{inside}</{tag}>'
        case Callout(text, title, tone, badge):
            label = f'<span class="rz-badge">{markup.escape(badge)}</span> ' if badge else ""
            told = "".join(f"<p>{markup.inline(line)}</p>" for line in text.split("\n"))
            named = f"{label}{markup.inline(title)}"
            head = f'<p class="rz-callout-title">{named}</p>' if named else ""
            return f'<aside class="rz-callout rz-tone-{tone}" role="note">{head}{told}</aside>'
        case KeyValues(items, title):
            return _key_values(items, title)
        case Stats(items):
            return f'<div class="rz-stats">{"".join(map(_stat, items))}</div>'
        case Code(text, title):
            name = markup.escape(title or "Code")
            return (
                f'<div class="rz-code"><div class="rz-code-top"><span>{name}</span>'
                '<button type="button" class="rz-button rz-copy">Copy</button></div>'
                f'<pre tabindex="0" aria-label="{name}"><code>{markup.escape(text)}</code></pre>'
                "</div>"
            )
        case _:
            raise OptionError(
                f"a page cannot hold {type(part).__name__}",
                mend="pass text, a figure, or one of the parts in residuum.figures",
            )


def _key_values(items: Mapping[str, object] | Sequence[tuple[str, object]], title: str) -> str:
    pairs = items.items() if isinstance(items, Mapping) else items
    rows = "".join(
        f"<div><dt>{markup.escape(key)}</dt><dd>{markup.inline(str(value))}</dd></div>"
        for key, value in pairs
    )
    head = f'<p class="rz-facts-title">{markup.inline(title)}</p>' if title else ""
    return f'<div class="rz-facts">{head}<dl>{rows}</dl></div>'


def _stat(stat: Stat) -> str:
    unit = f' <span class="rz-unit">{markup.escape(stat.unit)}</span>' if stat.unit else ""
    detail = (
        f'<div class="rz-stat-detail">{markup.inline(stat.detail)}</div>' if stat.detail else ""
    )
    return (
        f'<div class="rz-stat rz-tone-{stat.tone}">'
        f'<div class="rz-stat-label">{markup.escape(stat.label)}</div>'
        f'<div class="rz-stat-value">{markup.escape(stat.value)}{unit}</div>{detail}</div>'
    )


def _contents(seen: Sequence[tuple[Heading, str]]) -> str:
    links = "".join(
        f'<li class="rz-level-{min(heading.level, 3)}"><a href="#{name}">'
        f"{markup.inline(heading.text)}</a></li>"
        for heading, name in seen
        if heading.level <= 3
    )
    return f'<nav class="rz-contents" aria-label="Contents"><ul>{links}</ul></nav>'
