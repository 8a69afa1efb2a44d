"""The JSON file of a finding or an audit, given itself or by its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from residuum.core import LoadError


def read_record(path: str | Path, file: str, noun: str, verb: str) -> Any:
    """What the file holds.

    Args:
        path: the file, or the folder that it lies in.
        file: its name in a folder.
        noun: what it is read as, in an error.
        verb: the command that writes it.

    Raises:
        LoadError: no such file, or not JSON.
    """
    path = Path(path)
    path = path / file if path.is_dir() else path
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not JSON, {error}"
        raise LoadError(
            f"cannot read {noun}: {reason}",
            mend=f"give the {file} that residuum {verb} wrote",
            where=str(path),
        ) from error
