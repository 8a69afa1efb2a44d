"""Where a harvest goes: an array in memory, or shards that a thread writes behind the passes."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from residuum.stores import ActivationShards

IN_MEMORY_BYTES = 2**24
"""Activations above this go to disk even if no folder is given (into a temporary one)."""
SHARD_BYTES = 2**23
"""A shard takes as many batches as fit in here, at least one; so many rows a kill can cost."""


class ArrayWriter:
    """Into an array ``[n cell d]``; the same face as :class:`ShardWriter`."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.array = np.empty(shape, dtype=np.float32)

    @property
    def missing(self) -> list[range]:
        """Runs of rows that are still to come."""
        return [range(len(self.array))]

    def take(self, start: int, values: np.ndarray) -> None:
        """Rows ``[row cell d]`` from ``start``."""
        self.array[start : start + len(values)] = values

    def pieces(self) -> Iterator[np.ndarray]:
        """All rows, in order."""
        yield self.array

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(self, kind: Any, error: Any, trace: TracebackType | None) -> None:
        return None


class ShardWriter:
    """Into shards on disk, each written by a thread while the next is computed.

    At most one shard is being written and one being filled. Leaving the context, by an error too,
    waits for the one that is being written; what the disk refuses is raised at the next shard or at
    the end.
    """

    def __init__(self, store: ActivationShards) -> None:
        self.store = store
        self._buffer = np.empty(0, dtype=np.float32)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shards")
        self._pending: Future[None] | None = None

    @property
    def missing(self) -> list[range]:
        """Runs of rows that are still to come: one for each shard."""
        return [self.store.rows(index) for index in self.store.missing]

    def take(self, start: int, values: np.ndarray) -> None:
        """Rows ``[row cell d]`` from ``start``; those of one run come in order."""
        index = start // self.store.rows_per_shard
        rows = self.store.rows(index)
        if start == rows.start:
            shape = (len(rows), self.store.cells, self.store.width)
            self._buffer = np.empty(shape, dtype=np.float32)
        self._buffer[start - rows.start : start - rows.start + len(values)] = values
        if start + len(values) == rows.stop:
            self._settle()
            self._pending = self._thread.submit(self.store.write, index, self._buffer)

    def pieces(self) -> Iterator[np.ndarray]:
        """All rows, in order, mapped shard by shard."""
        yield from self.store

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: Any, error: Any, trace: TracebackType | None) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            self._settle()

    def _settle(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None


def writer_for(
    shape: tuple[int, int, int], keep: str | Path | None, work: Any, batch_size: int
) -> tuple[ArrayWriter | ShardWriter, Any]:
    """Where ``[n cell d]`` go, and the temporary folder that has to live as long as they do.

    Args:
        shape: of all.
        keep: folder of the shards; None decides by size between memory and a temporary folder.
        work: what is harvested, for the folder's key.
        batch_size: rows that come at once; a shard holds whole batches.

    Raises:
        StoreError: ``keep`` holds another harvest.
    """
    if keep is None and 4 * math.prod(shape) <= IN_MEMORY_BYTES:
        return ArrayWriter(shape), None
    folder = tempfile.TemporaryDirectory(prefix="residuum-") if keep is None else None
    batches = max(1, SHARD_BYTES // (4 * shape[1] * shape[2] * batch_size))
    where = keep if folder is None else folder.name
    assert where is not None
    store = ActivationShards.open(where, work, *shape, rows_per_shard=batches * batch_size)
    return ShardWriter(store), folder
