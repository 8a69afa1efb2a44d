"""Results of this room on disk: JSON, a table, or the figure, by suffix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from residuum.core import OptionError
from residuum.core.paths import file_to_write


def save_result(result: Any, path: str | Path, noun: str) -> None:
    """Write a result as ``.json``, its table as ``.csv``, its figure as HTML, SVG or PNG.

    Raises:
        OptionError: another suffix.
        StoreError: no path, a folder, or a file in a folder that does not exist.
    """
    target = file_to_write(path)
    if target.suffix == ".json":
        target.write_text(json.dumps(result.to_json(), ensure_ascii=False, indent=1))
    elif target.suffix == ".csv":
        result.to_dataframe().to_csv(target, index=False)
    elif target.suffix in (".html", ".svg", ".png"):
        result.figure().save(target)
    else:
        raise OptionError(
            f"cannot save {noun} as {target.suffix or 'a file without suffix'!r}",
            mend="use .json, .csv, .html, .svg or .png",
        )


def plain(values: Any) -> Any:
    """An array as nested lists, NaN as None."""
    array = np.asarray(values, dtype=object)
    missing = np.asarray([isinstance(v, float) and v != v for v in array.ravel()], dtype=bool)
    if array.size:
        array = array.copy()
        array[missing.reshape(array.shape)] = None
    return array.tolist()
