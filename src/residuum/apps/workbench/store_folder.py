"""The store's folder: whether it can be written to, how large it is, and tidying it.

runs.jsonl   one line for each run, only ever appended to
tensors/     the numbers of edits, one file each, named by their content
sweeps/      finished cells of the last sweeps; the oldest are dropped by themselves
in-use       locked by every server on the folder, so that nobody tidies under it
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residuum.core import OptionError, StoreError
from residuum.stores import RunHistory

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: tidying beside a server is up to the caller
    fcntl = None

RUNS, TENSORS, SWEEPS, IN_USE = "runs.jsonl", "tensors", "sweeps", "in-use"


@dataclass(frozen=True)
class Part:
    """Files of one kind in the store.

    Attributes:
        files: how many.
        size_bytes: of all of them.
    """

    files: int
    size_bytes: int


@dataclass(frozen=True)
class Tidied:
    """What tidying did.

    Attributes:
        runs: in the history; none is ever removed.
        kept: tensors that they refer to.
        removed: tensors that none refers to, and files half written.
        freed_bytes: of those.
    """

    runs: int
    kept: int
    removed: int
    freed_bytes: int


def made(folder: str | Path) -> Path:
    """The folder, made if missing, readable by its owner only, and proven to take a file.

    Raises:
        StoreError: it cannot be made or written to.
    """
    path = Path(folder).absolute()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        (path / IN_USE).open("ab").close()
        for name in (RUNS, TENSORS, SWEEPS):
            if (path / name).exists() and not os.access(path / name, os.R_OK | os.W_OK):
                raise PermissionError(13, f"{name} in it is read-only")
    except OSError as error:
        raise StoreError(
            f"the store cannot be written to: {error.strerror or error}",
            mend="name a folder of your own: --store DIR",
            where=str(path),
        ) from error
    return path


@contextmanager
def in_use(folder: Path, *, alone: bool = False) -> Iterator[None]:
    """Hold the store, together with other servers or alone.

    Raises:
        OptionError: alone, and a server has it.
    """
    with (folder / IN_USE).open("ab") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OptionError(
                f"{folder} is in use",
                mend="stop the servers on it first, or wait until tidying is done",
            ) from error
        except OSError:
            pass  # a file system without locks
        yield


@contextmanager
def on_disk(folder: Path) -> Iterator[None]:
    """Writing to the store: a disk that is full or gone is told as that.

    Raises:
        StoreError: the disk did not take it.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the store does not take it: {error.strerror or error}",
            mend="free some space there; residuum serve --store DIR --tidy may help",
            where=str(folder),
        ) from error


def measured(folder: Path) -> dict[str, Part]:
    """How much there is of runs, tensors and sweeps."""
    return {
        "runs": _part([folder / RUNS]),
        "tensors": _part((folder / TENSORS).glob("*")),
        "sweeps": _part((folder / SWEEPS).glob("*")),
    }


def tidy(folder: str | Path) -> Tidied:
    """Remove the tensors that no run of the history refers to.

    Raises:
        OptionError: there is no store, or a server is using it.
        StoreError: the history is damaged; nothing was removed then.
    """
    path = Path(folder)
    if not any((path / name).exists() for name in (RUNS, TENSORS, IN_USE)):
        raise OptionError(f"there is no store in {path}", mend="name the folder: --store DIR")
    path = made(path)
    with in_use(path, alone=True):
        history = RunHistory(path / RUNS)
        records = [history[key] for key in history]
        wanted = {name for record in records for name in _hashes(record["edits"])}
        files = [each for each in (path / TENSORS).glob("*") if each.is_file()]
        loose = [each for each in files if each.stem not in wanted or each.name.startswith(".")]
        freed = _part(loose).size_bytes
        for each in loose:
            each.unlink(missing_ok=True)
    return Tidied(len(records), len(files) - len(loose), len(loose), freed)


def _hashes(data: Any) -> Iterator[str]:
    """Every hash of a tensor in edits, however deep."""
    if isinstance(data, dict):
        if isinstance(data.get("hash"), str):
            yield data["hash"]
        data = list(data.values())
    if isinstance(data, list):
        for each in data:
            yield from _hashes(each)


def _part(paths: Any) -> Part:
    sizes = []
    for each in paths:
        try:
            sizes.append(each.stat().st_size)
        except FileNotFoundError:  # gone since it was listed
            continue
    return Part(len(sizes), sum(sizes))
