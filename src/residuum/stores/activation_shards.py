"""Activations on disk: memory-mapped shards ``[row, cell, d]``, each there in full or not at all.

A folder holds one harvest: a record of what it is (key, shape), and ``shard-000000.safetensors``
and so on. A shard that was finished survives a kill; the same key opens the folder again and says
which shards are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from residuum.core import OptionError, ShapeError, content_hash
from residuum.core.paths import as_path
from residuum.stores.atomic import write_atomically
from residuum.stores.shard_folder import ShardFolder
from residuum.stores.tensor_file import StoredTensor, encode

_FORMAT = 1
_RECORD = "activations.json"
_DTYPE = np.dtype("<f4")


@dataclass(frozen=True)
class ActivationShards:
    """The shards of one harvest, float32.

    Made by :meth:`open`.

    Attributes:
        folder: where they are.
        key: hash of what was harvested: model, examples, sites.
        n: rows in all.
        cells: sites (and positions) of each row.
        width: length of a vector, ``d``.
        rows_per_shard: rows of each shard but the last.

    >>> import tempfile, numpy as np
    >>> shards = ActivationShards.open(tempfile.mkdtemp(), {"model": "m"}, 3, 1, 2, 2)
    >>> shards.write(0, np.zeros((2, 1, 2)))
    >>> shards.missing, shards.read(0).shape
    ((1,), (2, 1, 2))
    """

    folder: Path
    key: str
    n: int
    cells: int
    width: int
    rows_per_shard: int

    @staticmethod
    def open(
        folder: str | Path, work: Any, n: int, cells: int, width: int, rows_per_shard: int
    ) -> ActivationShards:
        """Open the shards of this work, or begin them.

        Args:
            folder: made if missing.
            work: plain data that says what is harvested; another work's folder is refused.
            n, cells, width, rows_per_shard: the shape, see above; each 1 or more.

        Raises:
            OptionError: a size below 1.
            StoreError: the folder holds another harvest, or cannot be read or written.
        """
        sizes = {"n": n, "cells": cells, "width": width, "rows_per_shard": rows_per_shard}
        for name, size in sizes.items():
            if type(size) is not int or size < 1:
                raise OptionError(f"{name}={size!r} is out of range", mend="give 1 or more")
        record = {"format": _FORMAT, "key": content_hash(work), **sizes}
        shards = ActivationShards(as_path(folder), record["key"], **sizes)
        shards._files.claim(record, _differ)
        return shards

    def __len__(self) -> int:
        """How many shards there are when all are finished."""
        return -(-self.n // self.rows_per_shard)

    def path(self, index: int) -> Path:
        """The file of a shard."""
        return self._files.shard(index)

    def rows(self, index: int) -> range:
        """The rows that a shard holds."""
        start = index * self.rows_per_shard
        return range(start, min(start + self.rows_per_shard, self.n))

    @property
    def missing(self) -> tuple[int, ...]:
        """Shards that are not finished."""
        return self._files.missing(len(self))

    def write(self, index: int, values: np.ndarray) -> None:
        """Finish a shard: ``[row cell d]``; when this returns, a kill does not lose it.

        Raises:
            ShapeError: another shape, or NaN.
            StoreError: the disk does not take it.
        """
        array = np.ascontiguousarray(values, dtype=_DTYPE)
        wanted = (len(self.rows(index)), self.cells, self.width)
        if array.shape != wanted or not np.isfinite(array).all():
            raise ShapeError(
                f"shard {index} takes finite numbers of shape {list(wanted)}, got "
                f"{list(array.shape)}{'' if np.isfinite(array).all() else ' with NaN or infinity'}",
                mend="give [row cell d] of the rows that shards.rows(index) names",
                where=str(self.folder),
            )
        data = encode(StoredTensor("float32", array))
        self._files.finish(index, lambda path: write_atomically(path, data))

    def read(self, index: int) -> np.ndarray:
        """A shard ``[row cell d]``, mapped from the file: what is not looked at is not read.

        Raises:
            StoreError: it is not finished, or damaged.
        """
        path, shape = self.path(index), (len(self.rows(index)), self.cells, self.width)
        try:
            with path.open("rb") as file:
                start = 8 + int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
        except OSError as error:
            raise self._files.not_there(index) from error
        if size != start + int(np.prod(shape)) * _DTYPE.itemsize:
            raise self._files.damaged(index, f"{size} bytes")
        return np.memmap(path, _DTYPE, "r", start, shape)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.read(index) for index in range(len(self)))

    @property
    def _files(self) -> ShardFolder:
        return ShardFolder(self.folder, _RECORD)


def _differ(found: dict[str, Any], record: dict[str, Any]) -> list[str]:
    return [name for name in {**record, **found} if found.get(name) != record.get(name)]
