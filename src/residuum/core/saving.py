"""Results as files: plain data, a table or a picture, by the suffix of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from residuum.core.errors import OptionError
from residuum.core.paths import writing


class Saveable(Protocol):
    """What a result can do that is written to a file."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        ...

    def to_dataframe(self) -> Any:
        """A table."""
        ...

    def figure(self) -> Any:
        """A figure."""
        ...


def save_result(result: Saveable, path: str | Path, noun: str = "this") -> None:
    """Write a result as ``.json``, its table as ``.csv``, its figure as HTML, SVG or PNG.

    Args:
        noun: the result's name in an error, such as ``"a sweep"``.

    Raises:
        OptionError: another suffix.
        StoreError: no path, a folder, a file in a folder that does not exist or cannot be written
            to.
    """
    with writing(path) as target:
        if target.suffix == ".json":
            text = json.dumps(result.to_json(), ensure_ascii=False, indent=1)
            target.write_text(text, encoding="utf-8")
        elif target.suffix == ".csv":
            result.to_dataframe().to_csv(target, index=False)
        elif target.suffix in (".html", ".svg", ".png"):
            result.figure().save(target)
        else:
            raise OptionError(
                f"cannot save {noun} as {target.suffix or 'a file without suffix'!r}",
                mend="use .json, .csv, .html, .svg or .png",
            )
