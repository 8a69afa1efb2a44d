"""Progress of long work, told to whoever listens; silent when nobody does.

Rooms below the applications never print. They take ``progress: Progress = SILENT`` and call
it; the command line hands in one that draws a bar, the workbench one that sends events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Listener for long work. One stage is open at a time; stages follow each other."""

    def start(self, stage: str, total: int) -> None:
        """A stage of ``total`` equal steps begins."""
        ...

    def advance(self, steps: int = 1) -> None:
        """``steps`` steps of the current stage are finished."""
        ...

    def finish(self) -> None:
        """The current stage is over."""
        ...


class Silent:
    """The listener that hears nothing."""

    def start(self, stage: str, total: int) -> None:
        """Ignore the stage."""

    def advance(self, steps: int = 1) -> None:
        """Ignore the steps."""

    def finish(self) -> None:
        """Ignore the end."""


SILENT = Silent()


def track(items: Iterable[T], progress: Progress, stage: str, total: int) -> Iterator[T]:
    """Yield ``items``, telling ``progress`` of each finished one; the stage ends on errors too."""
    progress.start(stage, total)
    try:
        for item in items:
            yield item
            progress.advance()
    finally:
        progress.finish()
