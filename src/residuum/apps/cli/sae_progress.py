"""How a training goes on the terminal: a bar with its figures, or a line now and then."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from residuum.apps.cli.console import Bar
from residuum.core import SILENT, Progress

if TYPE_CHECKING:
    from residuum.dictionaries.training.progress import Standing

_LINES = 10


def training_progress(arguments: argparse.Namespace) -> Progress:
    """A bar on a terminal, lines elsewhere, nobody with ``--json``."""
    if arguments.json:
        return SILENT
    return TrainingBar() if sys.stderr.isatty() else TrainingLines()


class TrainingBar:
    """A bar with loss, L0, explained variance and dead share before it, and the time left."""

    def __init__(self) -> None:
        self._bar = Bar()

    def start(self, stage: str, total: int) -> None:
        """Show it."""
        self._bar.start(stage, total)

    def advance(self, steps: int = 1) -> None:
        """Move it."""
        self._bar.advance(steps)

    def finish(self) -> None:
        """Take it away."""
        self._bar.finish()

    def stands(self, standing: Standing) -> None:
        """Show the figures of a window of steps."""
        self._bar.say(
            f"loss {standing.loss:.3g}  L0 {standing.l0:.1f}  "
            f"explained {standing.explained_variance:.3f}  dead {standing.dead_share:.0%}"
        )


class TrainingLines:
    """Ten lines over the whole training, each with the figures and the time left, for logs."""

    def __init__(self) -> None:
        self._told = 0

    def start(self, stage: str, total: int) -> None:
        """A training begins."""
        self._told = 0

    def advance(self, steps: int = 1) -> None:
        """Steps are done; the figures tell."""

    def finish(self) -> None:
        """It is over."""

    def stands(self, standing: Standing) -> None:
        """Write a line where a tenth is over."""
        part = _LINES * standing.step // standing.steps
        if part > self._told:
            self._told = part
            print(standing, file=sys.stderr, flush=True)
