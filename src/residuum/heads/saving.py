"""Records of this room as files: JSON, a table as CSV, a figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from residuum.core import OptionError
from residuum.core.paths import file_to_write


class Saveable(Protocol):
    """What a record can do that is written to a file."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        ...

    def to_dataframe(self) -> Any:
        """A table."""
        ...

    def figure(self) -> Any:
        """A figure."""
        ...


def save_record(record: Saveable, path: str | Path) -> None:
    """Write a record in the format that the suffix names.

    Raises:
        OptionError: a suffix other than .json, .csv, .html, .svg and .png.
        StoreError: no path, a folder, or a file in a folder that does not exist.
    """
    target = file_to_write(path)
    if target.suffix == ".json":
        target.write_text(json.dumps(record.to_json(), ensure_ascii=False, indent=1))
    elif target.suffix == ".csv":
        record.to_dataframe().to_csv(target, index=False)
    elif target.suffix in (".html", ".svg", ".png"):
        record.figure().save(target)
    else:
        raise OptionError(
            f"cannot save this as {target.suffix or 'a file without suffix'!r}",
            mend="use .json, .csv, .html, .svg or .png",
        )
