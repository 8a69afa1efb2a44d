"""``residuum lens``: what each layer would answer if the model stopped there."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from residuum.apps.cli.console import put_json, put_table, put_text, width
from residuum.apps.cli.loading import bos_line, headline, open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading, counted
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.figures import Table
    from residuum.lenses import LensReading

SUFFIXES = (".html", ".svg", ".png", ".json")
_WIDEST = 12


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "lens", run, "read every layer through the unembedding (logit lens)"
    )
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument("prompt", metavar="PROMPT", help="text")
    parser.add_argument("--top", type=counted, default=1, help="words for each cell (default: 1)")
    parser.add_argument(
        "--track", nargs="+", default=[], metavar="WORD",
        help="follow these words' probability at the last token",
    )  # fmt: skip
    parser.add_argument("--out", metavar="FILE", help="also write .html, .svg, .png or .json")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read and show."""
    if arguments.out:
        check_suffix(arguments.out, SUFFIXES)
    from residuum.lenses import logit_lens

    model = open_model(arguments)
    reading = logit_lens(model, arguments.prompt, top=arguments.top, track=arguments.track)
    if arguments.out:
        reading.save(arguments.out)
    if arguments.json:
        put_json(reading.to_json())
        return 0
    put_text(headline(model))
    print()
    put_text(
        "Most likely next word after each layer (rows) and token (columns), with its probability "
        f"in %, as if the model stopped there. {bos_line(model)}."
    )
    for table in tables(reading):
        print()
        put_table(table)
    if arguments.track:
        print()
        put_table(_tracked(reading, arguments.track))
    if arguments.out:
        print(f"\nwritten: {arguments.out}")
    return 0


def check_suffix(path: str, suffixes: tuple[str, ...]) -> None:
    """Refuse a file name that cannot be written, before any work is done."""
    target = Path(path)
    if target.suffix not in suffixes:
        raise OptionError(
            f"cannot write {target.name!r}", mend=f"end the file name in {', '.join(suffixes)}"
        )
    if not target.parent.is_dir():
        raise OptionError(f"no folder {str(target.parent)!r}", mend="make it, or name another")
    if target.is_dir():
        raise OptionError(f"cannot write {path}: it is a folder", mend="name a file")
    if not os.access(target.parent, os.W_OK):
        raise OptionError(
            f"cannot write {path}: its folder is read-only", mend="name a file in another folder"
        )


def tables(reading: LensReading) -> list[Table]:
    """Layers by tokens, the last layer on top, as many tokens to a table as fit."""
    columns = [_column(reading, pos) for pos in range(len(reading.tokens))]
    left = max(map(len, reading.layers))
    blocks: list[list[list[str]]] = [[]]
    used = left
    for column in columns:
        wide = max(map(len, "\n".join(column).split("\n"))) + 2
        if used + wide > width() and blocks[-1]:
            blocks.append([])
            used = left
        blocks[-1].append(column)
        used += wide
    return [_table(reading, block) for block in blocks]


def _column(reading: LensReading, pos: int) -> list[str]:
    """Heading and cells of one token, top to bottom."""
    cells = [f"{pos} {_short(reading.tokens[pos])}"]
    for layer in reversed(range(len(reading.layers))):
        words = reading.top_words[layer][pos]
        shares = (100 * reading.top_probs[layer, pos]).tolist()
        cells.append("\n".join(f"{_short(w)} {p:.0f}" for w, p in zip(words, shares, strict=True)))
    return cells


def _short(word: str) -> str:
    from residuum.figures.tokens import visible

    text = visible(word.strip() or word)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _table(reading: LensReading, block: list[list[str]]) -> Table:
    from residuum.figures import Table

    layers = list(reversed(reading.layers))
    rows = [[layers[i], *(column[i + 1] for column in block)] for i in range(len(layers))]
    return Table(["", *(column[0] for column in block)], rows)


def _tracked(reading: LensReading, words: list[str]) -> Table:
    from residuum.figures import Column, Table

    rows = [
        [reading.layers[i], *(100 * reading.tracked_probs[i, -1]).tolist()]
        for i in reversed(range(len(reading.layers)))
    ]
    columns = [Column(word, "%", digits=2) for word in words]
    return Table(["", *columns], rows, title="Probability at the last token")
