"""Sentences of two findings compared: equal words, and numbers that differ by rounding at most."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest

from residuum.findings.finding import Finding
from residuum.findings.record.words import model_name

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")
"""A number that stands by itself: not the 2 of ``L2.H3``, nor the digits of a hash."""
_INTERVAL = re.compile(r"\[[-\d., ]*$")
_GIVEN = re.compile(r" \(\d+ were given[^)]*\)")
"""A replay is given the pairs that were used, not all that the first run was given."""
_MISSING = "–"


def other_words(
    recorded: Finding, found: Finding, relative: float, absolute: float
) -> Iterator[tuple[str, str, str]]:
    """Sentences built from the evidence that came out otherwise: where, recorded, found.

    Of a claim worded by hand the one that was built is compared. What a rule demands, the
    falsifier, the intervention and the limits must be equal. In claim, scope and what rules found,
    a number may differ by a unit of its last digit and the tolerance; a count may not.

    Args:
        recorded: as read.
        found: the new run.
        relative, absolute: the tolerance of numbers.
    """
    names = _names(recorded, found)
    for where, rounded, one, other in _pairs(recorded, found):
        one, other = (_GIVEN.sub("", text) for text in (one, _renamed(other, names)))
        same = same_words(one, other, relative, absolute) if rounded else one == other
        if not same:
            yield where, one, other


def _pairs(recorded: Finding, found: Finding) -> Iterator[tuple[str, bool, str, str]]:
    """Where, whether it holds rounded numbers, and both texts."""
    worded = "claim" if recorded.claim_built is None else "claim_built"
    yield worded, True, recorded.claim_built or recorded.claim, found.claim
    for name in ("falsifier", "intervention"):
        yield name, False, getattr(recorded, name), getattr(found, name)
    for name, rounded in (("scope", True), ("limits", False)):
        lines = zip_longest(getattr(recorded, name), getattr(found, name), fillvalue=_MISSING)
        for i, (one, other) in enumerate(lines):
            yield f"{name}[{i}]", rounded, one, other
    for i, (rule, again) in enumerate(zip(recorded.rules, found.rules, strict=False)):
        yield f"rules[{i}].demands", False, rule.demands, again.demands
        yield f"rules[{i}].found", True, rule.found, again.found


def _names(recorded: Finding, found: Finding) -> dict[str, str]:
    """What the new run calls by another name: the model may lie elsewhere now."""
    then, now = recorded.provenance, found.provenance
    called = {
        now.model_id: then.model_id,
        model_name(now.model_id): model_name(then.model_id),
        f"on {now.device}": f"on {then.device}",
    }
    return {here: there for here, there in called.items() if here != there}


def _renamed(text: str, names: dict[str, str]) -> str:
    for here, there in names.items():
        text = re.sub(rf"(?<![\w/.-]){re.escape(here)}(?![\w/-])", lambda _: there, text)  # noqa: B023
    return text


def same_words(one: str, other: str, relative: float = 0.0, absolute: float = 0.0) -> bool:
    """Whether two sentences say the same, up to the last digit of numbers that were rounded.

    Shares and intervals are rounded, and what has a decimal point; other whole numbers are counts,
    and must be equal.

    Args:
        one, other: sentences.
        relative, absolute: what a number may differ by beyond its last digit.

    >>> same_words("L2.H3 regains 62 % [51, 70]", "L2.H3 regains 61 % [51, 71]")
    True
    >>> same_words("L2.H3 regains 62 %", "L2.H4 regains 62 %")
    False
    >>> same_words("on 32 prompts", "on 33 prompts"), same_words("p 0.003", "p 0.03")
    (False, False)
    """
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return False
    numbers = zip(_NUMBER.finditer(one), _NUMBER.finditer(other), strict=True)
    return all(_close(mine, theirs, relative, absolute) for mine, theirs in numbers)


def _close(mine: re.Match[str], theirs: re.Match[str], relative: float, absolute: float) -> bool:
    if mine[0] == theirs[0]:
        return True
    if not all(map(_rounded, (mine, theirs))):
        return False
    a, b = float(mine[0]), float(theirs[0])
    scale = 0.01 if _share(mine) else 1.0
    rounding = (_unit(mine[0]) + _unit(theirs[0])) / 2
    allowed = absolute / scale + relative * abs(a) + rounding
    return abs(a - b) <= allowed * (1 + 1e-9)


def _rounded(number: re.Match[str]) -> bool:
    """Whether a number is no count: a share, an end of an interval, or one with a point."""
    return any(mark in number[0] for mark in ".e") or _share(number)


def _share(number: re.Match[str]) -> bool:
    before, after = number.string[: number.start()], number.string[number.end() :]
    return after.startswith((" %", "%")) or bool(
        "." not in number[0] and _INTERVAL.search(before) and "]" in after
    )


def _unit(number: str) -> float:
    """Of the last digit that is written.

    >>> _unit("0.25"), _unit("1.5e-05"), _unit("62")
    (0.01, 1e-06, 1.0)
    """
    digits, _, exponent = number.partition("e")
    places = len(digits.partition(".")[2])
    return float(f"1e{int(exponent or 0) - places}")
