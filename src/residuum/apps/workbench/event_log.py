"""The events of a job: numbered, bounded, read by several listeners, each from where it stands.

Old events are folded: of progress the last one counts, of cells the last value of each. So whoever
comes late gets a summary of what was folded, then the events since; nothing is ever lost.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

Event = dict[str, Any]
MOST = 512
"""Events kept as they were; half of them are folded when there are more."""
_AT_ONCE = 2000
"""Cells in one event."""


class EventLog:
    """Events ``{"n": 1, "type": ..., ...}``, counted from 1.

    Any thread may write; listeners live in event loops.

    >>> log = EventLog()
    >>> log.add("progress", done=1, total=2)
    >>> log.since(0)
    [{'n': 1, 'type': 'progress', 'done': 1, 'total': 2}]
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = max(most, 8)
        self._lock = threading.Lock()
        self._events: deque[Event] = deque()
        self._count = 0
        self._cells: dict[tuple[int, ...], tuple[float, bool]] = {}
        self._bells: set[Callable[[], None]] = set()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the last event was written."""
        return self._closed

    @property
    def listeners(self) -> int:
        """How many follow it now."""
        return len(self._bells)

    @property
    def last(self) -> Event:
        """The newest event, or an empty one."""
        with self._lock:
            return self._events[-1] if self._events else {}

    def add(self, kind: str, *, last: bool = False, **fields: Any) -> None:
        """Write an event and wake the listeners; nothing is written after the last one."""
        with self._lock:
            if self._closed:
                return
            self._count += 1
            self._events.append({"n": self._count, "type": kind, **fields})
            self._closed = last
            if len(self._events) > self._most:
                self._fold(self._most // 2)
            bells = list(self._bells)
        for bell in bells:
            bell()

    def since(self, n: int) -> list[Event]:
        """Everything after event ``n``; a summary first where some of it was folded."""
        with self._lock:
            folded = self._count - len(self._events)
            summary = self._summary(folded) if n < folded else []
            return summary + [each for each in self._events if each["n"] > n]

    async def follow(self, since: int = 0) -> AsyncIterator[Event]:
        """Everything after event ``since``, and what comes, until the last one."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def bell() -> None:
            with suppress(RuntimeError):  # the loop ended with its server
                loop.call_soon_threadsafe(news.set)

        with self._lock:
            self._bells.add(bell)
        try:
            while True:
                news.clear()
                closed = self._closed
                for event in self.since(since):
                    since = event["n"]
                    yield event
                if closed:
                    return
                await news.wait()
        finally:
            with self._lock:
                self._bells.discard(bell)

    def _fold(self, many: int) -> None:
        for _ in range(many):
            event = self._events.popleft()
            if event["type"] == "cells":
                partial = bool(event.get("partial"))
                for cell, value in zip(event["cells"], event["values"], strict=True):
                    self._cells[tuple(cell)] = (value, partial)

    def _summary(self, folded: int) -> list[Event]:
        """The cells of folded events, under the number of the last of them."""
        found = []
        for partial in (True, False):
            some = [(cell, value) for cell, (value, part) in self._cells.items() if part is partial]
            for at in range(0, len(some), _AT_ONCE):
                found.append(cells_event(some[at : at + _AT_ONCE], partial))
        many = len(found)  # all but the last under a lower number: who stops between reads again
        return [
            {"n": folded if i == many - 1 else folded - 1, **each} for i, each in enumerate(found)
        ]


def cells_event(cells: list[tuple[tuple[int, ...], float]], partial: bool) -> Event:
    """An event of cells, without its number.

    Args:
        partial: the values are means over the examples computed so far.
    """
    return {
        "type": "cells",
        "cells": [list(cell) for cell, _ in cells],
        "values": [value for _, value in cells],
        "partial": partial,
    }
