"""Files that are there in full or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that no reader, and no kill, ever sees half of it.

    The bytes go to a temporary file in the same folder, which is then renamed.
    """
    write_parts_atomically(path, [data])


def write_parts_atomically(path: Path, parts: Iterable[Any]) -> None:
    """The same from several buffers in a row, such as contiguous arrays, without a copy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
