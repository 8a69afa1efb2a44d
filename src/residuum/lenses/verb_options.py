"""Options that several verbs of this room take, checked before any work is done."""

from __future__ import annotations

from typing import Any

from residuum.core import OptionError
from residuum.runs import shown, whole_number
from residuum.runs.arguments import need_progress


def need_intervals(level: Any, resamples: Any, seed: Any, progress: Any) -> None:
    """Refuse what no bootstrap can be made with, and what cannot be told of progress.

    Raises:
        OptionError: one of them is out of range.
    """
    whole_number(resamples, "resamples", 1)
    whole_number(seed, "seed", 0)
    number = isinstance(level, (int, float)) and not isinstance(level, bool)
    if not number or not 0 < level < 1:
        raise OptionError(
            f"level={shown(level)}", mend="give a level between 0 and 1, such as 0.95"
        )
    need_progress(progress)
