r"""The tables of a finding's report in LaTeX, for a paper: ``\input{tables}`` with booktabs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from residuum.core import package_version
from residuum.figures import Bars, Figure, Heading, Part, Table
from residuum.findings.record.found import Found
from residuum.findings.report.figure_tables import as_table, flat
from residuum.findings.report.page import title
from residuum.findings.report.sections import report_parts

_WIDE = 24
"""Characters from which a column's text is broken into lines."""
_LINE = 85
"""Characters of a line in this size, about."""
_TALL = 42
"""Lines of a table's body, about, that a page holds beside the caption."""
_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
    "#": r"\#", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "\u00a0": "~", "–": "--", "—": "---", "…": r"\ldots{}", "“": "``", "”": "''", "‘": "`",
    "’": "'", "×": r"$\times$", "−": r"$-$", "±": r"$\pm$", "≥": r"$\geq$", "≤": r"$\leq$",
    "→": r"$\to$", "·": r"$\cdot$", "∞": r"$\infty$", "Σ": r"$\Sigma$", "λ": r"$\lambda$",
    "√": r"$\surd$", "✓": r"$\surd$", "✗": r"$\times$", "␣": r"\textvisiblespace{}",
}  # fmt: skip
_HEADER = r"""% The tables of a finding of Residuum {version}: {title}
% finding {hash}
% In the preamble: \usepackage[T1]{{fontenc}} and \usepackage{{booktabs}}. Then: \input{{tables}}
% The widest need about 17 cm: \usepackage[margin=2cm]{{geometry}} on A4.
"""


def report_latex(finding: Found) -> str:
    """Every table of the report, and every picture with named bars, as LaTeX tables.

    A character that LaTeX's own fonts do not have is written as its code point, so that the file
    compiles with every engine.
    """
    head = _HEADER.format(version=package_version(), title=title(finding), hash=finding.hash)
    name = re.sub(r"[^a-z0-9]+", "-", finding.task["name"].lower()).strip("-")
    tables = latex_tables(report_parts(finding, "finding.json"), f"{name}-{finding.hash[:6]}")
    return "\n".join([head, *tables])


def latex_tables(parts: Iterable[Part], name: str) -> Iterator[str]:
    """A ``table`` each; a table without a title is headed by its section.

    Args:
        parts: of a report.
        name: how labels begin: ``tab:name-1``, ``tab:name-2``, …
    """
    section, count = "", 0
    for part in flat(parts):
        if isinstance(part, Heading):
            section = part.text
        elif isinstance(part, (Table, Bars)):
            for piece in _pages(part, section):
                count += 1
                yield latex_table(piece, section, f"tab:{name}-{count}")


def _pages(figure: Figure, section: str) -> Iterator[Table]:
    """The table, or several of it where it is taller than a page; the caption is on the last."""
    table = as_table(figure)
    assert table is not None
    room = [0.01 * int(w) for w in re.findall(r"p\{0\.(\d\d)", _spec(table))]
    pieces: list[list[int]] = [[]]
    height = 0
    for row in range(len(table.rows)):
        lines = _lines(table, row, room)
        if pieces[-1] and height + lines > _TALL:
            pieces.append([])
            height = 0
        pieces[-1].append(row)
        height += lines
    for i, rows in enumerate(pieces):
        of = f" ({i + 1} of {len(pieces)})" if len(pieces) > 1 else ""
        last = i == len(pieces) - 1
        yield replace(
            table,
            rows=[table.rows[row] for row in rows],
            title=f"{table.title or section}{of}",
            caption=table.caption if last else "",
            does_not_show=table.does_not_show if last else "",
        )


def _lines(table: Table, row: int, room: list[float]) -> int:
    """About how many lines a row takes: its longest text in the widest paragraph."""
    longest = max(len(table.shown(row, c)) for c in range(len(table.heads)))
    return max(1, math.ceil(longest / (_LINE * max(room)))) if room else 1


def latex_table(figure: Figure, section: str, label: str) -> str:
    """One floating table.

    Args:
        figure: a table, or bars.
        section: its title where it has none.
        label: of the float.
    """
    table = as_table(figure)
    assert table is not None
    titled = text(figure.title or section)
    caption = f"{titled}{'' if titled[-1:] in '.?!' else '.'}" if titled else ""
    more = [text(figure.caption)] if figure.caption else []
    if figure.does_not_show:
        more.append(f"\\textbf{{Does not show:}} {text(figure.does_not_show)}")
    heads = " & ".join(text(column.heading) for column in table.heads)
    rows = [
        " & ".join(_cell(table.shown(r, c)) for c in range(len(table.heads)))
        for r in range(len(table.rows))
    ]
    lines = [
        r"\begin{table}[htbp]", r"\centering", r"\footnotesize", r"\setlength{\tabcolsep}{3pt}",
        f"\\caption{{{' '.join([caption, *more])}}}", f"\\label{{{label}}}",
        f"\\begin{{tabular}}{{{_spec(table)}}}", r"\toprule", f"{heads} \\\\", r"\midrule",
        *(f"{row} \\\\" for row in rows), r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _spec(table: Table) -> str:
    r"""Columns: ``l``, ``r``, ``c``, and paragraphs where a text is long.

    >>> _spec(Table(["a", "b"], [["x", 1.0]]))
    '@{}lr@{}'
    >>> _spec(Table(["a", "b"], [["x", "a text that is much longer than a line should be"]]))
    '@{}lp{0.97\\linewidth}@{}'
    """
    widths = [
        max([len(table.shown(r, c)) for r in range(len(table.rows))] + [len(column.heading)])
        for c, column in enumerate(table.heads)
    ]
    kept = [min(width, _WIDE) for width in widths]
    wide = [min(width, 4 * _WIDE) if width > _WIDE else 0 for width in widths]
    room = max(0.2, 1 - 0.0105 * sum(k for k, w in zip(kept, wide, strict=True) if not w))
    room -= 0.012 * len(widths)
    spec = [
        f"p{{{max(room * w / sum(wide), 0.1):.2f}\\linewidth}}" if w else table.alignment(i)[0]
        for i, w in enumerate(wide)
    ]
    return f"@{{}}{''.join(spec)}@{{}}"


def _cell(words: str) -> str:
    """A cell; a bracket at its start is kept from being read as an option of the line before."""
    escaped = text(words)
    return f"{{}}{escaped}" if escaped[:1] in "[*" else escaped


def text(words: str) -> str:
    r"""Plain text with `` `code` `` and ``**strong**``, all else escaped.

    >>> text("**Head** `L2.z[H3]`: 5 % of a_b < 3 {x}")
    '\\textbf{Head} \\texttt{L2.z[H3]}: 5~\\% of a\\_b \\textless{} 3 \\{x\\}'
    >>> text("-0.5 [-1, 2], well-known"), text("猫")
    ('$-$0.5 [$-$1, 2], well-known', '\\texttt{U+732B}')
    """
    pieces = re.split(r"(`[^`\n]+`|\*\*[^*\n]+\*\*)", re.sub(r"\s*\n\s*", " ", words))
    for i, piece in enumerate(pieces):
        if i % 2 == 0:
            pieces[i] = _plain(piece)
        elif piece.startswith("**"):
            pieces[i] = f"\\textbf{{{_plain(piece[2:-2])}}}"
        else:
            pieces[i] = f"\\texttt{{{_escape(piece[1:-1])}}}"
    return "".join(pieces)


def _plain(words: str) -> str:
    escaped = re.sub(r"(?<=\d) (?=\\%)", "~", _escape(words))
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", escaped)


def _escape(words: str) -> str:
    return "".join(_ESCAPES.get(each) or _known(each) for each in words)


def _known(character: str) -> str:
    """Itself where every LaTeX has it: ASCII and the accented letters of Latin-1."""
    code = ord(character)
    if 0x20 <= code < 0x7F or (0xC0 <= code <= 0xFF and character.isalpha()):
        return character
    return f"\\texttt{{U+{code:04X}}}"
