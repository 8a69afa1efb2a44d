"""Answers that were paid for: one append-only text file, a line each with its checksum.

An answer is in the file, with the disk, before anything is done with it: whoever is killed asks
only what was not yet answered. A torn last line is cut off by the next writer.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO
from zlib import crc32

from residuum.core import StoreError
from residuum.core.paths import as_path

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: one writer at a time is up to the caller
    fcntl = None

_FIRST = b"residuum answers 1\n"


@dataclass(frozen=True)
class Answer:
    """One reply.

    Attributes:
        key: hash of the request.
        reply: text; None if the body could not be read.
        tokens_in, tokens_out: as the endpoint counted them.
    """

    key: str
    reply: str | None
    tokens_in: int
    tokens_out: int


class AnswerFile:
    """The answers so far, open for more; a context manager. Without a path they are in memory.

    Raises:
        StoreError: another file, a damaged one, one that is open elsewhere or cannot be written.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else as_path(path)
        self.answers: dict[str, Answer] = {}
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None if self.path is None else self._open(self.path)

    def append(self, answer: Answer) -> None:
        """Keep an answer; when this returns it is on the disk."""
        with self._lock:
            if self._file is not None:
                try:
                    self._file.write(_line(answer))
                    self._file.flush()
                    os.fsync(self._file.fileno())
                except OSError as error:
                    raise self._error(
                        f"an answer cannot be kept: {error.strerror}", "free some space"
                    ) from error
            self.answers[answer.key] = answer

    def __enter__(self) -> AnswerFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._file is not None:
            self._file.close()

    def _open(self, path: Path) -> IO[bytes]:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b")
        except OSError as error:
            raise self._error(
                f"the file of answers cannot be opened: {error.strerror}",
                "give a file in a folder that can be written to",
            ) from error
        try:
            self._lock_file(file)
            self._read(file)
        except BaseException:
            file.close()
            raise
        return file

    def _lock_file(self, file: IO[bytes]) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise self._error(
                "another process writes to this file of answers",
                "wait until it ends, or give another file",
            ) from error
        except OSError:
            pass  # a file system without locks: one writer at a time is up to the caller

    def _read(self, file: IO[bytes]) -> None:
        file.seek(0)
        data = file.read()
        if _FIRST.startswith(data):
            file.truncate(0)
            file.write(_FIRST)
            file.flush()
            return
        if not data.startswith(_FIRST):
            raise self._error("this is no file of answers", "give another file")
        end = len(_FIRST)
        for line in data[end:].splitlines(keepends=True):
            answer = _parsed(line)
            if answer is None:
                if end + len(line) < len(data):
                    raise self._error(
                        f"the file of answers is damaged at byte {end}",
                        "move it away; what it holds is then asked again",
                    )
                break
            self.answers[answer.key] = answer
            end += len(line)
        file.truncate(end)

    def _error(self, what: str, mend: str) -> StoreError:
        return StoreError(what, mend=mend, where=str(self.path))


def _line(answer: Answer) -> bytes:
    body = json.dumps(asdict(answer)).encode()  # ASCII, so that no reply breaks the line
    return b"%08x %s\n" % (crc32(body), body)


def _parsed(line: bytes) -> Answer | None:
    mark, _, body = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or mark != b"%08x" % crc32(body):
        return None
    return Answer(**json.loads(body))
