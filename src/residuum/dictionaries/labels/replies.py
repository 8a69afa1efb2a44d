"""Replies of a language model, read strictly: what has not the form asked for is not guessed."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from typing import Any

LONGEST_LABEL = 300
_LONGEST_REPLY = 100_000
_decoder = json.JSONDecoder()


def label_in(reply: str | None) -> str | None:
    """The label that a reply gives, as one line of text; None if there is none, or several.

    >>> label_in('Sure: {"label": "names of\\\\n people"}'), label_in("names")
    ('names of people', None)
    """
    found = _object_in(reply, lambda each: set(each) == {"label"} and _is_text(each["label"]))
    return None if found is None else plain_line(found["label"]) or None


def answers_in(reply: str | None, n: int) -> list[bool] | None:
    """The answers to ``n`` questions; None if there are not just so many, or several lists.

    >>> answers_in('{"answers": [true, false]}', 2), answers_in('{"answers": [1, 0]}', 2)
    ([True, False], None)
    """

    def fits(each: dict[str, Any]) -> bool:
        told = each.get("answers")
        right = isinstance(told, list) and len(told) == n and all(type(a) is bool for a in told)
        return set(each) == {"answers"} and right

    found = _object_in(reply, fits)
    return None if found is None else found["answers"]


def plain_line(text: str) -> str:
    """One line without control characters, at most 300 characters.

    >>> plain_line("a\\x1b[31m b\\u202e\\n c")
    'a[31m b c'
    """
    spaced = " ".join(text.split())
    kept = "".join(each for each in spaced if unicodedata.category(each)[0] != "C")
    return " ".join(kept.split())[:LONGEST_LABEL]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _object_in(reply: str | None, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
    """The one JSON object of the right form that a reply holds; None for none and for different
    ones, since a text that was quoted may hold another."""
    if reply is None or len(reply) > _LONGEST_REPLY:
        return None
    found: list[dict[str, Any]] = []
    at = reply.find("{")
    while at >= 0:
        try:
            value, end = _decoder.raw_decode(reply, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if fits(value):
                found.append(value)
        at = reply.find("{", end)
    same = all(each == found[0] for each in found)
    return found[0] if found and same else None
