"""Finished cells of long work: one append-only file, every record with its checksum.

The layout, little endian, without pickles: a header (magic, format, SHA-256 of the work, CRC-32),
then records (index, passes, shape, float64 values, CRC-32). A record counts once all of it is
there. Whoever is killed while writing leaves a torn tail, which the next writer cuts off.

A kill loses nothing, since what was written is with the operating system. When the machine itself
fails, at most the last second's records are lost: ``fsync`` is called once a second and at the end
(a call takes about a millisecond, a record of 25 kB 0.03 ms).
"""

from __future__ import annotations

import math
import os
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from zlib import crc32

import numpy as np

from residuum.core import StoreError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: one writer at a time is up to the caller
    fcntl = None

_MAGIC = b"residuum cells\r\n"
_FORMAT = 1
_HEADER = struct.Struct("<16sI32s")
_HEAD = struct.Struct("<4sQdI")  # mark, index, passes, number of dims
_MARK = b"cell"
_CRC = struct.Struct("<I")
_MOST_DIMS = 32
_SECONDS_BETWEEN_SYNCS = 1.0


@dataclass(frozen=True)
class Cell:
    """One finished piece of work.

    Attributes:
        values: float64, any shape.
        passes: forward-pass equivalents spent on it.
    """

    values: np.ndarray
    passes: float


class CellLog:
    """The finished cells of one piece of work, open for writing; a context manager.

    Args:
        path: the file; it and its folder are made if missing.
        work: SHA-256 of the work in hex, as ``content_hash`` gives it.

    Raises:
        StoreError: the file is another work's, of another format, or damaged before its end;
            another process has it open; it cannot be opened.

    >>> import tempfile, numpy as np
    >>> path = f"{tempfile.mkdtemp()}/sweep.cells"
    >>> with CellLog(path, "ab" * 32) as log:
    ...     log.append(3, np.ones((2, 2)), passes=0.5)
    >>> with CellLog(path, "ab" * 32) as log:
    ...     log.cells[3].values.shape, log.cells[3].passes
    ((2, 2), 0.5)
    """

    def __init__(self, path: str | Path, work: str) -> None:
        self.path = Path(path)
        self._header = _header(work)
        self._cells: dict[int, Cell] = {}
        self._end = 0
        self._synced = -math.inf
        self._file = self._open()
        try:
            self._read()
        except BaseException:
            os.close(self._file)
            raise

    @property
    def cells(self) -> Mapping[int, Cell]:
        """Finished cells by index, in the order in which they were finished; read-only."""
        return MappingProxyType(self._cells)

    def append(self, index: int, values: np.ndarray, passes: float = 0.0) -> None:
        """Write a finished cell; when this returns, a kill does not lose it.

        Raises:
            StoreError: the cell is in the file already; the values are no real numbers; the disk
                does not take it.
        """
        if index in self._cells:
            raise self._error(f"cell {index} is in the file already", "write each cell once")
        values = _as_float64(values)
        record = _record(index, values, passes)
        try:
            self._write(record)
        except OSError as error:
            raise self._error(
                f"cannot write cell {index}: {error.strerror}",
                "free some space and start again; the cells finished so far are kept",
            ) from error
        self._cells[index] = Cell(values, float(passes))

    def close(self) -> None:
        """Write everything to the disk and let other writers in."""
        if self._file >= 0:
            file, self._file = self._file, -1
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def __enter__(self) -> CellLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the file ----------------------------------------------------------------------------

    def _open(self) -> int:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise self._error(
                f"cannot open the file of finished cells: {error.strerror}",
                "give a folder that can be written to",
            ) from error
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(file)
                raise self._error(
                    "another process is at this work and writes to the same file",
                    "wait until it ends, or give another folder",
                ) from error
            except OSError:
                pass  # a file system without locks: one writer at a time is up to the caller
        return file

    def _write(self, data: bytes) -> None:
        """Put a record at the end of the finished ones, in place of one that was interrupted."""
        os.ftruncate(self._file, self._end)
        os.lseek(self._file, self._end, os.SEEK_SET)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._end += len(data)
        if time.monotonic() - self._synced >= _SECONDS_BETWEEN_SYNCS:
            os.fsync(self._file)
            self._synced = time.monotonic()

    def _read(self) -> None:
        """Take in the finished cells and cut off a torn tail."""
        with open(self._file, "rb", closefd=False) as file:
            data = file.read()
        if len(data) < len(self._header) and self._header.startswith(data):
            os.ftruncate(self._file, 0)
            self._write(self._header)
            return
        self._check_header(data)
        self._end = len(self._header)
        while (after := self._take(data, self._end)) is not None:
            self._end = after
        if self._end < len(data):
            os.ftruncate(self._file, self._end)

    def _check_header(self, data: bytes) -> None:
        size = _HEADER.size
        if len(data) < len(self._header) or not data.startswith(_MAGIC):
            raise self._damaged(0)
        if crc32(data[:size]) != _CRC.unpack_from(data, size)[0]:
            raise self._damaged(0)
        _, number, work = _HEADER.unpack_from(data)
        if number != _FORMAT:
            raise self._error(
                f"format {number} of finished cells; this version reads {_FORMAT}",
                "give another folder, or use the version that wrote it",
            )
        if data[: len(self._header)] != self._header:
            raise self._error(
                f"these are the finished cells of other work ({work.hex()[:8]})",
                "give another folder",
            )

    def _take(self, data: bytes, start: int) -> int | None:
        """Read the record at this byte; None at the end of the file and at a torn tail."""
        sized = start + _HEAD.size
        if sized > len(data):
            return None
        mark, index, passes, dims = _HEAD.unpack_from(data, start)
        if mark != _MARK and not any(data[start:]):
            return None  # the machine failed after the file had grown, before the record was in it
        if mark != _MARK or dims > _MOST_DIMS:
            raise self._damaged(start)
        sizes = struct.Struct(f"<{dims}Q")
        head_end = sized + sizes.size
        if head_end + _CRC.size > len(data):
            return None
        if crc32(data[start:head_end]) != _CRC.unpack_from(data, head_end)[0]:
            raise self._damaged(start)
        shape = sizes.unpack_from(data, sized)
        values_at = head_end + _CRC.size
        values_end = values_at + 8 * math.prod(shape)
        end = values_end + _CRC.size
        if end > len(data):
            return None
        if crc32(data[values_at:values_end]) != _CRC.unpack_from(data, values_end)[0]:
            if end == len(data):
                return None
            raise self._damaged(start)
        if index in self._cells:
            raise self._damaged(start)
        values = np.frombuffer(data, "<f8", math.prod(shape), values_at)
        self._cells[index] = Cell(values.reshape(shape).astype(np.float64), passes)
        return end

    def _damaged(self, at: int) -> StoreError:
        return self._error(
            f"the file of finished cells is damaged at byte {at}",
            "move it away; the work then begins anew",
        )

    def _error(self, what: str, mend: str) -> StoreError:
        return StoreError(what, mend=mend, where=str(self.path))


def _header(work: str) -> bytes:
    head = _HEADER.pack(_MAGIC, _FORMAT, bytes.fromhex(work))
    return head + _CRC.pack(crc32(head))


def _as_float64(values: np.ndarray) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise StoreError(
            f"a cell holds real numbers, got {array.dtype}", mend="give an array of float64"
        )
    return array.astype(np.float64)


def _record(index: int, values: np.ndarray, passes: float) -> bytes:
    """Head with its own checksum, so that its sizes can be relied on; values with theirs."""
    head = _HEAD.pack(_MARK, index, passes, values.ndim)
    head += struct.pack(f"<{values.ndim}Q", *values.shape)
    raw = values.astype("<f8").tobytes(order="C")
    return head + _CRC.pack(crc32(head)) + raw + _CRC.pack(crc32(raw))
