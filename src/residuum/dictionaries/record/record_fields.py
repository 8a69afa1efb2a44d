"""What the entries of ``dictionary.json`` must be before they are read as a dictionary."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from residuum.core import StoreError


def _number(value: Any) -> bool:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return plain and abs(value) <= sys.float_info.max


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _record(value: Any) -> bool:
    return isinstance(value, dict)


def _labels(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return all(key.isascii() and key.isdigit() and len(key) < 10 for key in value) and all(
        isinstance(words, str) for words in value.values()
    )


def _origin(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict):
        return False
    seed, software = value.get("seed"), value.get("software", {})
    rest = [each for name, each in value.items() if name not in ("seed", "software")]
    return (
        all(isinstance(each, str) for each in rest)
        and (seed is None or type(seed) is int)
        and isinstance(software, dict)
        and all(isinstance(each, str) for each in software.values())
    )


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "reads": (_texts, "a list of sites"),
    "writes": (_texts, "a list of sites"),
    "activation": (_record, "an object"),
    "models": (_texts, "a list of names"),
    "scale": (_number, "a finite number"),
    "model_name": (_text, "text"),
    "weight_hash": (lambda value: value is None or isinstance(value, str), "text or null"),
    "tokenizer_hash": (_text, "text"),
    "declared": (_record, "an object"),
    "labels": (_labels, "an object from latent to words"),
    "provenance": (_origin, "an object of texts with a seed and versions, or null"),
}


def check_fields(record: Any) -> Mapping[str, Any]:
    """The record of a dictionary, if all of its entries are there and of the right type.

    Raises:
        StoreError: one is missing or of another type.
    """
    if not isinstance(record, Mapping):
        raise StoreError(
            f"the record of a dictionary is a {type(record).__name__}, not an object",
            mend="copy the folder again from where it came",
        )
    absent = sorted(set(_FIELDS) - set(record))
    if absent:
        raise StoreError(
            f"the record lacks {', '.join(absent)}",
            mend="give a folder that dictionary.save(...) wrote",
        )
    for name, (right, words) in _FIELDS.items():
        if not right(record[name]):
            raise StoreError(
                f"{name!r} in the record is not {words}",
                mend="copy the folder again from where it came",
            )
    return record
