"""Activations on disk: memory-mapped shards ``[row, cell, d]``, each there in full or not at all.

A folder holds one harvest: a record of what it is (key, shape), and ``shard-000000.safetensors``
and so on. A shard that was finished survives a kill; the same key opens the folder again and says
which shards are missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from residuum.core import OptionError, ShapeError, StoreError, content_hash
from residuum.core.paths import as_path
from residuum.stores.atomic import write_atomically
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
        shards._claim(record)
        return shards

    def __len__(self) -> int:
        """How many shards there are when all are finished."""
        return -(-self.n // self.rows_per_shard)

    def path(self, index: int) -> Path:
        """The file of a shard."""
        return self.folder / f"shard-{index:06d}.safetensors"

    def rows(self, index: int) -> range:
        """The rows that a shard holds."""
        start = index * self.rows_per_shard
        return range(start, min(start + self.rows_per_shard, self.n))

    @property
    def missing(self) -> tuple[int, ...]:
        """Shards that are not finished."""
        return tuple(i for i in range(len(self)) if not self.path(i).is_file())

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
        try:
            write_atomically(self.path(index), encode(StoredTensor("float32", array)))
        except OSError as error:
            raise StoreError(
                f"cannot write shard {index}: {error.strerror}",
                mend="free some space and start again; finished shards are kept",
                where=str(self.folder),
            ) from error

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
            raise StoreError(
                f"shard {index} is not there", mend="harvest again; finished shards are kept",
                where=str(path),
            ) from error  # fmt: skip
        if size != start + int(np.prod(shape)) * _DTYPE.itemsize:
            raise StoreError(
                f"shard {index} is damaged: {size} bytes", mend="delete the file and harvest again",
                where=str(path),
            )  # fmt: skip
        return np.memmap(path, _DTYPE, "r", start, shape)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.read(index) for index in range(len(self)))

    def _claim(self, record: dict[str, Any]) -> None:
        path = self.folder / _RECORD
        try:
            if not path.exists():
                self._need_empty()
                write_atomically(path, (json.dumps(record) + "\n").encode())
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"the folder of activations cannot be used: {error}",
                mend="give an empty folder, or one that does not exist yet",
                where=str(self.folder),
            ) from error
        if found != record:
            differ = [name for name in record if found.get(name) != record[name]]
            raise StoreError(
                f"the folder holds another harvest: {', '.join(differ)} differ",
                mend="give another folder; this one belongs to another model, data or sites",
                where=str(self.folder),
            )

    def _need_empty(self) -> None:
        if self.folder.is_dir() and any(self.folder.glob("shard-*")):
            raise ValueError("it has shards but no record")
