"""One model and the one thread that owns it: everything that touches the model waits in its queue.

Two kinds of work wait: short ones (a run, a view) and long ones (a sweep). Short ones go first, and
a long one lets those that wait through whenever it calls :meth:`Desk.breathe` between its steps.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

from residuum.apps.workbench.load_failures import load_failure
from residuum.apps.workbench.refusals import Busy, Closed
from residuum.core import ResiduumError
from residuum.runs import Model

T = TypeVar("T")
BOUND = 256
"""Works that may wait at one desk."""


@dataclass
class _Item:
    work: Callable[[Model], Any]
    future: Future[Any] = field(default_factory=Future)


class Desk:
    """A model being loaded or loaded, its thread and its bounded queue.

    Args:
        name: of the model, as asked for.
        load: opens it; called on the desk's own thread.
        bound: works that may wait.

    Attributes:
        model: None until it is loaded.
        failure: why it could not be loaded; everything asked for then raises it anew.
        found: what routes have computed once for this model (its vocabulary, its tasks).
    """

    def __init__(self, name: str, load: Callable[[], Model], bound: int = BOUND) -> None:
        self.name = name
        self.model: Model | None = None
        self.failure: ResiduumError | None = None
        self.found: dict[str, Any] = {}
        self.since = monotonic()
        self._load = load
        self._bound = bound
        self._short: deque[_Item] = deque()
        self._long: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name=f"desk {name}", daemon=True)
        self._thread.start()

    @property
    def state(self) -> str:
        """``loading``, ``ready`` or ``failed``."""
        if self.failure is not None:
            return "failed"
        return "loading" if self.model is None else "ready"

    @property
    def waiting(self) -> int:
        """Works in the queue."""
        return len(self._short) + len(self._long)

    def submit(self, work: Callable[[Model], T], *, long: bool = False) -> Future[T]:
        """Put work into the queue; it is called with the model on the desk's thread.

        Cancelling the future takes it out while it waits.

        Args:
            long: it calls :meth:`breathe` between its steps and comes after short ones.

        Raises:
            Busy: too many wait already.
            Closed: the server is stopping.
        """
        item = _Item(work)
        with self._changed:
            if self._closed:
                raise Closed("the server is stopping", mend="start it again: residuum serve")
            if self.waiting >= self._bound:
                raise Busy(
                    f"{self._bound} requests are waiting for {self.name}",
                    mend="wait a moment and ask again; cancel a sweep if one is running",
                )
            (self._long if long else self._short).append(item)
            self._changed.notify()
        return item.future

    def breathe(self) -> None:
        """Run the short works that wait now; called by long work, on the desk's thread."""
        for _ in range(len(self._short)):
            with self._changed:
                item = self._short.popleft() if self._short else None
            if item is not None:
                self._do(item)

    def close(self, wait_s: float = 0.0) -> bool:
        """Take nothing more, cancel what waits, and wait for the work that runs.

        A process that ends while a thread of its own is inside torch is aborted.

        Returns:
            Whether the thread has ended.
        """
        with self._changed:
            self._closed = True
            waiting = [*self._short, *self._long]
            self._short.clear()
            self._long.clear()
            self._changed.notify()
        for item in waiting:
            item.future.cancel()
        if threading.current_thread() is not self._thread:
            self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        try:
            self.model = self._load()
        except BaseException as error:  # told to whoever asks; the thread goes on answering
            self.failure = load_failure(self.name, error)
        while (item := self._next()) is not None:
            self._do(item)

    def _next(self) -> _Item | None:
        with self._changed:
            while not self._closed and not self.waiting:
                self._changed.wait()
            if self._closed:
                return None
            return (self._short or self._long).popleft()

    def _do(self, item: _Item) -> None:
        """One work; whatever it raises goes to whoever waits for it, and the thread lives on."""
        if not item.future.set_running_or_notify_cancel():
            return
        try:
            if self.failure is not None:
                raise _again(self.failure)
            assert self.model is not None
            item.future.set_result(item.work(self.model))
        except BaseException as error:
            item.future.set_exception(error)


def _again(failure: ResiduumError) -> ResiduumError:
    """The same failure for another listener, without the first one's traceback."""
    return type(failure)(failure.what, mend=failure.mend, where=failure.where)
