"""Edits as they are written on a command line: JSON, or a few words."""

from __future__ import annotations

import json

from residuum.core import EDITS, Edit, EditError, edit_from_json

_WORDS = {"zero": (), "freeze": (), "resample": (), "scale": ("factor",), "set": ("value",)}
_EXAMPLES = (
    '\'zero L2.z[H3]\', \'scale L1.mlp_out 0.5\', \'{"kind": "set", "at": ..., "value": 0}\''
)


def read_edit(text: str) -> Edit:
    """Read one edit.

    Args:
        text: JSON such as ``{"kind": "zero", "at": "L2.z[H3]"}``, or ``zero L2.z[H3]``.

    Raises:
        EditError: neither.
        AddressError: the address cannot be read.

    >>> str(read_edit("scale L2.z[H3] 0.5").at)
    'L2.z[H3]'
    """
    if text.lstrip().startswith("{"):
        return edit_from_json(_object(text))
    words = text.split()
    kind, rest = (words[0].lower(), words[1:]) if words else ("", [])
    if kind not in _WORDS:
        known = "needs tensors: write it in Python" if kind in EDITS else "is not known"
        raise EditError(
            f"the edit {kind or text!r} {known}",
            mend=f"in words: {', '.join(_WORDS)}; for example {_EXAMPLES}",
        )
    names = _WORDS[kind]
    if len(rest) != 1 + len(names):
        raise EditError(
            f"cannot read the edit {text!r}",
            mend=f"write {' '.join([kind, 'ADDRESS', *(name.upper() for name in names)])}",
        )
    return edit_from_json({"kind": kind, "at": rest[0], **_numbers(names, rest[1:], text)})


def _object(text: str) -> dict[str, object]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise EditError(
            f"the edit is not JSON: {error}", mend=f"write for example {_EXAMPLES}", where=text
        ) from error
    return data


def _numbers(names: tuple[str, ...], texts: list[str], whole: str) -> dict[str, float]:
    try:
        return {name: float(text) for name, text in zip(names, texts, strict=True)}
    except ValueError as error:
        raise EditError(
            f"not a number in the edit {whole!r}", mend=f"write for example {_EXAMPLES}"
        ) from error
