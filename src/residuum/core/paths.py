"""Paths that a user gives: what is no path, or cannot be written to, is refused by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from residuum.core.errors import StoreError


def as_path(path: Any) -> Path:
    """A path given as text or as a path.

    Raises:
        StoreError: it is neither.
    """
    if not isinstance(path, (str, os.PathLike)) or not str(path) or "\0" in str(path):
        raise StoreError(f"{path!r:.40} is no path", mend="give the file's path, as text or a Path")
    return Path(os.fsdecode(path))


def file_to_write(path: Any) -> Path:
    """A path at which a file can be made: its folder is there, and it is no folder itself.

    Raises:
        StoreError: no path, a folder, or a file in a folder that does not exist.
    """
    target = as_path(path)
    if target.is_dir():
        raise StoreError(
            "this is a folder, not a file", mend="add the file's name", where=str(target)
        )
    if not target.parent.is_dir():
        raise StoreError(
            f"there is no folder {str(target.parent)!r}",
            mend="make the folder first, or give another",
            where=str(target),
        )
    return target


@contextmanager
def writing(path: Any) -> Iterator[Path]:
    """The file to write within the block, as :func:`file_to_write` gives it.

    Raises:
        StoreError: as there; the system does not let it be written.
    """
    target = file_to_write(path)
    try:
        yield target
    except OSError as error:
        raise StoreError(
            f"cannot write {target}: {error.strerror or error}",
            mend="give a folder that can be written to and has room",
        ) from error
