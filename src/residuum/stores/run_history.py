"""The history of runs: one line of JSON per run, only ever appended to.

A line counts once its newline is written. Whoever is killed in the middle of a line leaves a torn
tail; readers ignore it, the next writer cuts it off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from residuum.core import StoreError, content_hash

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: one writer at a time is up to the caller
    fcntl = None


class RunHistory:
    """Records of runs by content hash, in the order in which they were first appended.

    Args:
        path: the file (``.jsonl``); made by the first append.

    >>> import tempfile
    >>> history = RunHistory(f"{tempfile.mkdtemp()}/runs.jsonl")
    >>> key = history.append({"prompt": [1, 2], "edits": []})
    >>> history[key]["prompt"], len(history)
    ([1, 2], 1)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._records: dict[str, Any] = {}
        self._read_to = 0

    def append(self, record: dict[str, Any]) -> str:
        """Add a run, unless the same one is there already.

        Args:
            record: plain data (what JSON can say, no NaN).

        Returns:
            The record's content hash, its key from now on.

        Raises:
            StoreError: the record is not plain data, or the history is damaged.
        """
        key, line = _line(record)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self.path) as file:
            self._refresh()
            if key not in self._records:
                os.ftruncate(file, self._read_to)
                os.lseek(file, 0, os.SEEK_END)
                _write_all(file, line)
                os.fsync(file)
        self._refresh()
        return key

    def __getitem__(self, key: str) -> dict[str, Any]:
        """The record of this hash, or of the only one that begins so; the caller's own copy."""
        self._refresh()
        found = [key] if key in self._records else [k for k in self._records if k.startswith(key)]
        if len(found) != 1 or not key:
            raise StoreError(
                f"{'no' if not found else 'more than one'} run {key!r} in the history",
                mend="list the history for its hashes; eight digits are usually enough",
                where=str(self.path),
            )
        return json.loads(self._records[found[0]])

    def __contains__(self, key: object) -> bool:
        """Whether a record has this (full) hash."""
        self._refresh()
        return key in self._records

    def __iter__(self) -> Iterator[str]:
        """The hashes, oldest first."""
        self._refresh()
        return iter(tuple(self._records))

    def __len__(self) -> int:
        """Number of records."""
        self._refresh()
        return len(self._records)

    def _refresh(self) -> None:
        """Read the finished lines that were added since the last look."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < self._read_to:
            self._records, self._read_to = {}, 0
        if not size:
            return
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._take(line)
                self._read_to += len(line)

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            key, record = entry["hash"], entry["record"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(str(error)) from error
        if content_hash(record) != key:
            raise self._damaged("a record does not have the hash beside it")
        self._records[key] = json.dumps(record)

    def _damaged(self, reason: str) -> StoreError:
        return StoreError(
            f"the run history is damaged at byte {self._read_to}: {reason}",
            mend="move the file away, or delete the line at that byte",
            where=str(self.path),
        )


def _line(record: dict[str, Any]) -> tuple[str, bytes]:
    try:
        json.dumps(record, allow_nan=False)
        key = content_hash(record)
        text = json.dumps({"hash": key, "record": record}, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise _not_plain(str(error)) from error
    if not _keys_are_text(record):
        raise _not_plain("keys must be text")
    return key, f"{text}\n".encode()


def _keys_are_text(data: Any) -> bool:
    if isinstance(data, dict):
        return all(isinstance(key, str) and _keys_are_text(data[key]) for key in data)
    return not isinstance(data, list | tuple) or all(_keys_are_text(each) for each in data)


def _not_plain(reason: str) -> StoreError:
    return StoreError(
        f"a run record must be plain data: {reason}",
        mend="put text, finite numbers, lists and dicts into it; tensors go to a TensorStore",
    )


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file open for writing, with other processes of this package kept out."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)
