"""Sums that do not depend on the order of what is summed, nor on how it was cut into parts.

Each number is cut at fixed powers of two into four whole numbers, and these are summed as integers:
integers add up alike in every order. What lies below 2^-64 is left out, number by number.
"""

from __future__ import annotations

import numpy as np

_STEP = 40
_LOWEST = -64
_WINDOWS = 4
_UNITS = [2.0 ** (_LOWEST + _STEP * each) for each in range(_WINDOWS)]
LARGEST = 2.0 ** (_LOWEST + _STEP * (_WINDOWS - 1) + 40)
"""Greater numbers are taken as this one."""


def digits_of(values: np.ndarray) -> np.ndarray:
    """Whole numbers ``[window ...]`` int64, lowest window first, that make up ``values``."""
    rest = np.clip(values.astype(np.float64), -LARGEST, LARGEST)
    out = np.empty((_WINDOWS, *rest.shape), np.int64)
    for window in reversed(range(_WINDOWS)):
        whole = np.trunc(rest / _UNITS[window])
        out[window] = whole
        rest -= whole * _UNITS[window]
    return out


def carried(digits: np.ndarray) -> np.ndarray:
    """The one way to write the same sum: all windows but the last between 0 and 2^40."""
    out = digits.copy()
    for window in range(_WINDOWS - 1):
        over = out[window] >> _STEP
        out[window] -= over << _STEP
        out[window + 1] += over
    return out


def summed_by(groups: np.ndarray, values: np.ndarray, n_groups: int) -> np.ndarray:
    """Sums ``[window group]`` of the values of each group, carried.

    Args:
        groups: ``[value]`` which group each is in.
        values: ``[value]``; at most 2^22 of them at once.
    """
    out = np.zeros((_WINDOWS, n_groups), np.int64)
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    if len(starts):
        parts = digits_of(values[order])
        out[:, groups[order][starts]] = np.add.reduceat(parts, starts, axis=1)
    return carried(out)


def summed(values: np.ndarray) -> np.ndarray:
    """Sums ``[window ...]`` over the first axis, carried; at most 2^22 values in one sum."""
    return carried(digits_of(values).sum(1))


def as_floats(digits: np.ndarray) -> np.ndarray:
    """The sums as float64 ``[...]``."""
    units = np.asarray(_UNITS).reshape(-1, *[1] * (digits.ndim - 1))
    return (digits * units)[::-1].sum(0)
