"""A finding as Markdown: the text and the tables of its report, for notes and pull requests."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

from residuum.core import package_version
from residuum.figures import (
    Bullets,
    Callout,
    Code,
    Columns,
    Contents,
    Figure,
    Fold,
    Heading,
    KeyValues,
    Paragraph,
    Part,
    Stats,
    Table,
)
from residuum.findings.record.found import Found
from residuum.findings.report.figure_tables import as_table
from residuum.findings.report.page import subtitle, title
from residuum.findings.report.sections import report_parts

_SPECIAL = re.compile(r"[\\*~|<]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)|\](?=\()")
_LEADING = re.compile(r"^(\s*)(?:([-+#>=])|(\d+)([.)])(?=\s))")


def report_markdown(finding: Found, replay_path: str = "finding.json") -> str:
    """The report as CommonMark with GitHub's tables; pictures are named, not drawn.

    Args:
        finding: what to report.
        replay_path: path of the JSON file for the replay command.
    """
    blocks = [f"# {text(title(finding))}", text(subtitle(finding))]
    blocks += markdown(report_parts(finding, replay_path))
    blocks.append(f"residuum {package_version()} · finding `{finding.hash}`")
    return "\n\n".join(blocks) + "\n"


def markdown(parts: Iterable[Part]) -> Iterator[str]:
    """The blocks of parts, in order; folds are ``<details>``, which viewers keep closed too."""
    for part in parts:
        if isinstance(part, Columns):
            for column in part.columns:
                yield from markdown(column)
        elif isinstance(part, Fold):
            yield f"<details>\n<summary>{_summary(part.title)}</summary>"
            yield from markdown(part.parts)
            yield "</details>"
        elif isinstance(part, Figure):
            yield from _figure(part)
        elif not isinstance(part, Contents):
            yield _block(part)


def _summary(words: str) -> str:
    """The line of a fold that is always seen; it is HTML, so Markdown has no say in it."""
    return html.escape(re.sub(r"[`*]", "", words.replace("\n", " ")), quote=False)


def _block(part: Part) -> str:
    match part:
        case str() | Paragraph():
            return text(part if isinstance(part, str) else part.text)
        case Heading(words, level):
            return f"{'#' * level} {text(words)}"
        case Bullets(items, ordered):
            return "\n".join(f"{'1.' if ordered else '-'} {text(item)}" for item in items)
        case Callout(words, head, _, badge):
            label = text(". ".join(each for each in (badge, head) if each))
            lines = [*([f"**{label}.**"] if label else []), *map(text, words.split("\n"))]
            return "\n>\n".join(f"> {line}" for line in lines)
        case Stats(items):
            rows = [[s.label, f"{s.value} {s.unit}".strip(), s.detail] for s in items]
            return _rows(["", "", ""], rows, ["left", "right", "left"])
        case KeyValues(items):
            pairs = items.items() if hasattr(items, "items") else items  # type: ignore[union-attr]
            return _rows(["", ""], [[key, str(value)] for key, value in pairs], ["left"] * 2)
        case Code(words):
            return f"```sh\n{words}\n```"
    raise TypeError(type(part).__name__)


def _figure(figure: Figure) -> Iterator[str]:
    table = as_table(figure)
    if figure.title:
        yield f"**{text(figure.title)}**"
    if table is None:
        yield "*A picture; see report.html.*"
    else:
        yield _table(table)
    told = [text(figure.caption)] if figure.caption else []
    if figure.does_not_show:
        told.append(f"**Does not show:** {text(figure.does_not_show)}")
    if told:
        yield " ".join(told)


def _table(table: Table) -> str:
    cells = [[table.shown(r, c) for c in range(len(table.heads))] for r in range(len(table.rows))]
    aligned = [table.alignment(i) for i in range(len(table.heads))]
    return _rows([column.heading for column in table.heads], cells, aligned)


_RULES = {"left": "---", "right": "---:", "center": ":---:"}


def _rows(heads: list[str], rows: list[list[str]], aligned: list[str]) -> str:
    lines = [heads, [_RULES[each] for each in aligned], *rows]
    cells = [
        [each if i == 1 else text(each, line=False) for each in line]
        for i, line in enumerate(lines)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def text(words: str, *, line: bool = True) -> str:
    r"""Plain text with `` `code` `` and ``**strong**``, all else escaped.

    Args:
        words: as parts of a page hold it.
        line: it begins a line, so that nothing at its start may look like a list or a heading.

    >>> text("**Head** `L2.z[H3]` <s> a|b, greater_than * 2")
    '**Head** `L2.z[H3]` \\<s> a\\|b, greater_than \\* 2'
    >>> text("1. not a list"), text("# none"), text("- 3 %", line=False)
    ('1\\. not a list', '\\# none', '- 3 %')
    """
    pieces = re.split(r"(`[^`\n]+`|\*\*[^*\n]+\*\*)", words.replace("\n", " "))
    for i, piece in enumerate(pieces):
        if i % 2 == 0:
            pieces[i] = _escape(piece)
        elif piece.startswith("**"):
            pieces[i] = f"**{_escape(piece[2:-2])}**"
        else:
            pieces[i] = piece.replace("|", r"\|")
    joined = "".join(pieces)
    return _LEADING.sub(_lead, joined) if line else joined


def _escape(plain: str) -> str:
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", plain).replace("`", r"\`")


def _lead(found: re.Match[str]) -> str:
    space, mark, digits, stop = found.groups()
    return f"{space}\\{mark}" if mark else f"{space}{digits}\\{stop}"
