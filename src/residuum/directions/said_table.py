"""What a model says as it is and under a push, in columns beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from residuum.core import OptionError
from residuum.figures import Table

MOST_COLUMNS = 3
"""Strengths that are all shown; of more, those at the ends of the usable range."""


def said_table(steering: Any, scales: Sequence[float] | None = None) -> Table:
    """One row for each prompt; a column for the model as it is, and one for each strength.

    Args:
        steering: with continuations.
        scales: strengths; by default all of up to three that were measured, of more those at the
            ends of the usable range.

    Raises:
        OptionError: nothing was continued, or not at such a strength.
    """
    if not steering.said:
        raise OptionError("nothing was continued", mend="steer with max_new_tokens=8")
    text = {(each.prompt, each.scale): each.text for each in steering.said}
    chosen = _default(steering) if scales is None else tuple(map(float, scales))
    strange = [scale for scale in chosen if scale not in steering.scales]
    if strange or not chosen:
        raise OptionError(
            f"strength {strange[0]:g} was not measured" if strange else "no strengths",
            mend=f"of: {', '.join(f'{each:g}' for each in steering.scales)}",
        )
    low, high = steering.usable
    names = [f"pushed {s:+g}" + ("" if low <= s <= high else " (not usable)") for s in chosen]
    prompts = dict.fromkeys(each.prompt for each in steering.said)
    return Table(
        ["prompt", "as it is", *names],
        [[each, text[each, 0.0], *(text[each, scale] for scale in chosen)] for each in prompts],
        title="what it says",
        caption=f"Greedy continuations; pushed: {steering.tokens} at {steering.at}, strength in "
        "typical norms.",
    )


def _default(steering: Any) -> tuple[float, ...]:
    pushed = tuple(scale for scale in steering.scales if scale)
    if len(pushed) <= MOST_COLUMNS:
        return pushed
    ends = tuple(scale for scale in steering.usable if scale)
    return ends or tuple(sorted(sorted(pushed, key=abs)[:2]))
