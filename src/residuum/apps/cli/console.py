"""What commands write: tables and JSON on standard output, progress on standard error."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from residuum.core import SILENT, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from residuum.figures import Table


def put_json(data: Any) -> None:
    """Write one JSON document; NaN becomes null."""
    print(json.dumps(finite(data), ensure_ascii=False, indent=1, allow_nan=False))


def finite(data: Any) -> Any:
    """The same data with None for NaN and infinities, lists for tuples."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {str(key): finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [finite(value) for value in data]
    return data


def put_table(table: Table) -> None:
    """Write a table as aligned text, with its title above and its caption below."""
    from dataclasses import replace

    from residuum.figures import terminal_table
    from residuum.figures.terminal import wants_colour

    if table.title:
        print(f"\033[1m{table.title}\033[0m" if wants_colour() else table.title)
    print(terminal_table(replace(table, title="")))
    if table.caption:
        put_text(table.caption.replace("**", "").replace("`", ""))


def put_text(text: str) -> None:
    """Write running text, wrapped to the terminal."""
    import textwrap

    for line in text.splitlines():
        print(textwrap.fill(line, width=width(), subsequent_indent=_indent(line)) or "")


def _indent(line: str) -> str:
    return " " * (len(line) - len(line.lstrip()))


def put_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Write names and values in two columns."""
    import textwrap

    left = max(len(name) for name, _ in facts) + 2
    for name, value in facts:
        rows = textwrap.wrap(value, width=max(30, width() - left)) or [""]
        print(f"{name:<{left}}{rows[0]}")
        for row in rows[1:]:
            print(f"{'':<{left}}{row}")


def put_tokens(tokens: Iterable[str], ids: Iterable[int]) -> None:
    """Write a prompt: each token above its id, wrapped to the terminal."""
    from residuum.figures.tokens import visible

    cells = [(visible(token), str(index)) for token, index in zip(tokens, ids, strict=True)]
    lines: list[list[tuple[str, str]]] = [[]]
    used = 0
    for cell in cells:
        wide = max(map(len, cell)) + 2
        if used + wide > width() and lines[-1]:
            lines.append([])
            used = 0
        lines[-1].append(cell)
        used += wide
    for line in lines:
        for row in (0, 1):
            texts = [f"{cell[row]:<{max(map(len, cell))}}" for cell in line]
            print("  ".join(texts).rstrip())


def width() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size((100, 24)).columns


def progress_for(arguments: argparse.Namespace, *, lines: bool = False) -> Progress:
    """Who hears of long work: a bar on a terminal, nobody with ``--json``.

    Args:
        arguments: of the command.
        lines: away from a terminal, write one line for each finished stage.
    """
    if arguments.json:
        return SILENT
    if sys.stderr.isatty():
        return Bar()
    return StageLines() if lines else SILENT


class Bar:
    """A bar for each stage, with the time left; gone when the stage is over."""

    def __init__(self) -> None:
        self._drawn: RichProgress | None = None

    def start(self, stage: str, total: int) -> None:
        """Show a new bar."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._drawn = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=Console(stderr=True),
            transient=True,
        )
        self._drawn.start()
        self._task = self._drawn.add_task(stage, total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self._drawn is not None:
            self._drawn.advance(self._task, steps)

    def say(self, words: str) -> None:
        """Put other words before the bar."""
        if self._drawn is not None:
            self._drawn.update(self._task, description=words)

    def finish(self) -> None:
        """Take the bar away."""
        if self._drawn is not None:
            self._drawn.stop()
            self._drawn = None


class StageLines:
    """One line for each finished stage, for logs."""

    def start(self, stage: str, total: int) -> None:
        """A stage begins."""
        self._stage, self._total, self._done = stage, total, 0
        self._began = perf_counter()

    def advance(self, steps: int = 1) -> None:
        """Steps are finished."""
        self._done += steps

    def finish(self) -> None:
        """Write the line."""
        took = perf_counter() - self._began
        print(f"{self._stage}: {self._done} of {self._total}, {took:.1f} s", file=sys.stderr)
