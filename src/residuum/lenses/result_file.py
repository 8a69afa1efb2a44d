"""Arrays of this room as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np


def plain(values: Any) -> Any:
    """An array as nested lists, NaN as None."""
    array = np.asarray(values, dtype=object)
    missing = np.asarray([isinstance(v, float) and v != v for v in array.ravel()], dtype=bool)
    if array.size:
        array = array.copy()
        array[missing.reshape(array.shape)] = None
    return array.tolist()
