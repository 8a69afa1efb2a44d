"""Activations of tokens on disk: shards ``[row site d]`` with each row's token id, position, text.

A folder holds one harvest: ``harvest.json`` says what it is, ``shard-000000.safetensors`` and so on
hold the rows. Shards may hold different numbers of rows. Each is there in full or not at all, and
depends on nothing but the work and its number: the same work opens the folder again and says which
are missing. Ten lines of plain NumPy read a shard (``docs/howto/harvest.md``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from residuum.core import OptionError, ShapeError, StoreError, content_hash
from residuum.core.paths import as_path
from residuum.stores.array_file import (
    ArrayHeader,
    map_array,
    read_header,
    values_hash,
    write_arrays,
)
from residuum.stores.shard_folder import ShardFolder

_FORMAT = 1
RECORD = "harvest.json"
TOKEN_DTYPES = {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}
"""Dtypes of the values -> their code in the file."""
_NUMPY = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4"}
_COLUMNS = {"token_ids": "I32", "positions": "I32", "documents": "I32", "norms": "F32"}


@dataclass(frozen=True, eq=False)
class TokenRows:
    """Some tokens and what the model held at them.

    Attributes:
        token_ids, positions, documents: ``[row]`` int32: the token, its position in the row that
            the model read, the number of its text.
        norms: ``[row site]`` float32, lengths of the vectors before they were rounded.
        values: ``[row site d]`` in the dtype of the shards; for bfloat16 the ``uint16`` of its
            bits.
    """

    token_ids: np.ndarray
    positions: np.ndarray
    documents: np.ndarray
    norms: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.token_ids)

    def where(self, keep: np.ndarray) -> TokenRows:
        """The rows that a mask or an index picks."""
        columns = (self.token_ids, self.positions, self.documents, self.norms, self.values)
        return TokenRows(*(column[keep] for column in columns))


@dataclass(frozen=True)
class TokenShards:
    """The shards of one harvest of tokens.

    Made by :meth:`open` and :meth:`load`.

    Attributes:
        folder: where they are.
        work: plain data that says what is harvested; its hash is the key.
        lineage: plain data that goes with it, but decides nothing.
        sites: names of the site axis.
        width: length of a vector, ``d``.
        dtype: of the values.
        count: shards when all are finished.

    >>> import tempfile, numpy as np
    >>> shards = TokenShards.open(tempfile.mkdtemp(), {"model": "m"}, ["L0.embed"], 2, count=2)
    >>> one, column = np.ones((3, 1, 2), "<f2"), np.arange(3, dtype="<i4")
    >>> _ = shards.write(0, TokenRows(column, column, column, np.ones((3, 1), "<f4"), one))
    >>> shards.missing, shards.read(0).values.shape
    ((1,), (3, 1, 2))
    """

    folder: Path
    work: dict[str, Any]
    lineage: dict[str, Any]
    sites: tuple[str, ...]
    width: int
    dtype: str
    count: int

    @staticmethod
    def open(
        folder: str | Path, work: dict[str, Any], sites: Any, width: int, *, count: int,
        dtype: str = "float16", lineage: Mapping[str, Any] | None = None,
    ) -> TokenShards:  # fmt: skip
        """Open the shards of this work, or begin them.

        Args:
            folder: made if missing; it must be empty or hold this very work.
            count: how many shards there will be.
            dtype: ``"float16"``, ``"bfloat16"`` or ``"float32"``.

        Raises:
            OptionError: another dtype; a width or count below 1.
            StoreError: the folder holds something else, or cannot be read or written.
        """
        if dtype not in TOKEN_DTYPES:
            raise OptionError(
                f"dtype={dtype!r} is not stored here", mend=f"use one of: {', '.join(TOKEN_DTYPES)}"
            )
        for name, size in (("width", width), ("count", count)):
            if type(size) is not int or size < 1:
                raise OptionError(f"{name}={size!r} is out of range", mend="give 1 or more")
        names, given = tuple(map(str, sites)), dict(lineage or {})
        shards = TokenShards(as_path(folder), dict(work), given, names, width, dtype, count)
        shards._files.claim(shards._record(), _differ, empty=True)
        return shards

    @staticmethod
    def load(folder: str | Path) -> TokenShards:
        """The shards of a folder, whatever the work was.

        Raises:
            StoreError: it holds no harvest, or one of another format.
        """
        path = as_path(folder)
        try:
            data = _sound(json.loads((path / RECORD).read_text(encoding="utf-8")))
        except OSError as error:
            raise _no_harvest(path, f"no {RECORD}") from error
        except RecursionError as error:
            raise _no_harvest(path, "its record is nested too deeply") from error
        except json.JSONDecodeError as error:
            raise _no_harvest(path, f"its record is no JSON ({error})") from error
        except ValueError as error:
            raise _no_harvest(path, str(error)) from error
        fields = (data["work"], data["lineage"], tuple(data["sites"]), data["width"])
        return TokenShards(path, *fields, data["dtype"], data["count"])

    @property
    def key(self) -> str:
        """Hash of the work."""
        return content_hash(self.work)

    @property
    def missing(self) -> tuple[int, ...]:
        """Shards that are not finished."""
        return self._files.missing(self.count)

    def path(self, index: int) -> Path:
        """The file of a shard."""
        return self._files.shard(index)

    def write(self, index: int, rows: TokenRows, words: Mapping[str, str] | None = None) -> str:
        """Finish a shard; when this returns, a kill does not lose it.

        Args:
            words: kept in the file's header, such as how many tokens were left out.

        Returns:
            SHA-256 of the shard's values.

        Raises:
            ShapeError: another shape or dtype.
            StoreError: the disk does not take it.
        """
        wanted = (len(rows), len(self.sites), self.width)
        if rows.values.shape != wanted or rows.values.dtype != np.dtype(_NUMPY[self.dtype]):
            raise ShapeError(
                f"shard {index} takes {self.dtype} of shape {list(wanted)}, got "
                f"{rows.values.dtype} of shape {list(rows.values.shape)}",
                mend="give [row site d] in the dtype of the shards (bits of bfloat16 as uint16)",
                where=str(self.folder),
            )
        arrays = {name: (code, getattr(rows, name)) for name, code in _COLUMNS.items()}
        arrays["values"] = (TOKEN_DTYPES[self.dtype], rows.values)
        found: list[str] = []
        self._files.finish(index, lambda at: found.append(write_arrays(at, arrays, words or {})))
        return found[0]

    def read(self, index: int) -> TokenRows:
        """The rows of a shard, mapped from the file: what is not looked at is not read.

        Raises:
            StoreError: it is not finished, or damaged.
        """
        header, path = self.header(index), self.path(index)
        return TokenRows(*(map_array(path, header, name) for name in (*_COLUMNS, "values")))

    def header(self, index: int) -> ArrayHeader:
        """The header of a shard.

        Raises:
            StoreError: it is not finished, or damaged.
        """
        try:
            header = read_header(self.path(index))
            if list(header.entries) != [*_COLUMNS, "values"]:
                raise ValueError("other arrays than a harvest's")
            found = header.entries["values"]
            if found["shape"][1:] != [len(self.sites), self.width]:
                raise ValueError(f"values of shape {found['shape']}")
        except FileNotFoundError as error:
            raise self._files.not_there(index) from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._files.damaged(index, str(error)) from error
        return header

    def check(self, index: int) -> str:
        """Read a shard in full and compare it with the hash in its header; returns the hash.

        Raises:
            StoreError: it is not finished, or damaged.
        """
        header = self.header(index)
        found = values_hash(self.path(index), header)
        if found != header.words.get("sha256"):
            raise self._files.damaged(index, "its values are not those that were written")
        return found

    def note(self, name: str) -> Any:
        """Plain data beside the shards, or None where there is none yet."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def take_note(self, name: str, data: Any) -> None:
        """Keep plain data beside the shards.

        Raises:
            StoreError: the disk does not take it.
        """
        self._files.note(name, data)

    @property
    def _files(self) -> ShardFolder:
        return ShardFolder(self.folder, RECORD)

    def _record(self) -> dict[str, Any]:
        return {
            "format": _FORMAT, "key": self.key, "sites": list(self.sites), "width": self.width,
            "dtype": self.dtype, "count": self.count, "work": self.work, "lineage": self.lineage,
        }  # fmt: skip


def _sound(data: Any) -> dict[str, Any]:
    """The record of a harvest, if it is one."""
    if not isinstance(data, dict):
        raise ValueError("its record is no object")
    for name in ("format", "key", "work", "lineage", "sites", "width", "dtype", "count"):
        if name not in data:
            raise ValueError(f"its record lacks {name}")
    right = {
        "work": isinstance(data["work"], dict), "lineage": isinstance(data["lineage"], dict),
        "sites": isinstance(data["sites"], list), "dtype": data["dtype"] in list(TOKEN_DTYPES),
        "width": type(data["width"]) is int, "count": type(data["count"]) is int,
    }  # fmt: skip
    for name, good in right.items():
        if not good:
            raise ValueError(f"{name} in its record is of another type")
    if data["format"] != _FORMAT or data["key"] != content_hash(data["work"]):
        raise ValueError("its record is of another format, or damaged")
    return data


def _no_harvest(folder: Path, why: str) -> StoreError:
    return StoreError(
        f"no harvest of activations here: {why}",
        mend="give the folder that rz.harvest(..., keep=FOLDER) made",
        where=str(folder),
    )


def as_float32(values: np.ndarray) -> np.ndarray:
    """Stored values as float32; ``uint16`` holds the bits of bfloat16."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return np.asarray(values, np.float32)


def _differ(found: dict[str, Any], record: dict[str, Any]) -> list[str]:
    """What differs, by the names of the work where they say it; the lineage decides nothing."""
    mine, theirs = record["work"], found.get("work")
    if isinstance(theirs, dict):
        names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
        if names:
            return names
    return [n for n in record if n != "lineage" and found.get(n) != record[n]]
