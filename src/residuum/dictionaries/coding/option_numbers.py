"""Plain options of plans and trainings: what has another type is refused by name."""

from __future__ import annotations

import math
from typing import Any

from residuum.core import OptionError
from residuum.runs.arguments import shown


def is_number(value: Any) -> bool:
    """Whether it is a finite number; True and False are none."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and math.isfinite(value)


def need_number(value: Any, name: str, least: float = 0.0) -> float:
    """The number, if it is one from ``least`` on.

    Raises:
        OptionError: it is not.
    """
    if not is_number(value) or value < least:
        raise OptionError(
            f"{name}={shown(value)} is out of range", mend=f"give a number from {least:g} up"
        )
    return value


def need_positive(value: Any, name: str) -> float:
    """The number, if it is one above zero.

    Raises:
        OptionError: it is not.
    """
    if not is_number(value) or value <= 0:
        raise OptionError(f"{name}={shown(value)} is out of range", mend="give a number above 0")
    return value
