"""The bench: the models that may be opened, a desk for each that is, the book of runs, the jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic

from residuum.apps.workbench.book import ROOM, Book
from residuum.apps.workbench.desk import Desk
from residuum.apps.workbench.jobs import Jobs
from residuum.apps.workbench.refusals import NotFound
from residuum.models.embedded import INSIDE
from residuum.runs import Model, load

Loader = Callable[[str], Model]
LEAVE_S = 5.0
"""Seconds that running work gets to end when the server stops."""


class Bench:
    """Everything that the server's routes work on.

    Args:
        models: names or folders that may be opened beside the embedded ones; the first is opened
            at once.
        store: folder of the history, of tensors and of unfinished sweeps.
        loader: opens a model by name.
        room: bytes of captured tensors kept in memory.
        options: what the loader was told, ``dtype`` and ``device``, for scripts to do the same.

    Attributes:
        current: name of the model that was opened last.
    """

    def __init__(
        self,
        models: Sequence[str],
        store: str | Path,
        *,
        loader: Loader = load,
        room: int = ROOM,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.book = Book(store, room)
        self.jobs = Jobs()
        self.options = dict(options or {})
        self.named = tuple(dict.fromkeys(models)) or ("microworld",)
        self.allowed = tuple(dict.fromkeys((*self.named, *INSIDE)))
        self.current = self.named[0]
        self._loader = loader
        self._desks: dict[str, Desk] = {}
        self._lock = threading.Lock()
        self.open(self.current)

    @property
    def desks(self) -> dict[str, Desk]:
        """Models that are open or being opened."""
        with self._lock:
            return dict(self._desks)

    def open(self, name: str) -> Desk:
        """Begin to open a model, unless it is; one that could not be opened is tried again.

        Raises:
            NotFound: it is not among the allowed ones.
        """
        self._check(name)
        with self._lock:
            desk = self._desks.get(name)
            if desk is not None and desk.failure is not None:
                desk.close()
            if desk is None or desk.failure is not None:
                desk = self._desks[name] = Desk(name, lambda: self._loader(name))
            self.current = name
            return desk

    def desk(self, name: str) -> Desk:
        """The desk of a model that is open.

        Raises:
            NotFound: it is not among the allowed ones, or nobody opened it.
        """
        self._check(name)
        desk = self.desks.get(name)
        if desk is None:
            raise NotFound(f"{name} is not open", mend="open it first: POST /api/models")
        return desk

    def close(self) -> bool:
        """Stop taking work, and wait for what runs.

        Returns:
            Whether every thread has ended; one inside a long pass or a load may not have.
        """
        self.jobs.close()
        desks = list(self.desks.values())
        for desk in desks:
            desk.close()
        end = monotonic() + LEAVE_S
        ended = [desk.close(max(0.0, end - monotonic())) for desk in desks]
        self.book.close()
        return all(ended)

    def _check(self, name: str) -> None:
        if name not in self.allowed:
            raise NotFound(
                f"no model {name[:80]!r} here",
                mend=f"one of: {', '.join(self.allowed)}; others are named at the start: "
                "residuum serve MODEL",
            )
