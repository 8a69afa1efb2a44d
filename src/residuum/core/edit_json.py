"""Reading edits back from JSON.

>>> from residuum.core import Zero
>>> edit_from_json(Zero("L2.z[H3]").to_json())
Zero('L2.z[H3]')
"""

from __future__ import annotations

from dataclasses import fields, replace
from inspect import Parameter, signature
from typing import Any

from residuum.core.edits import EDITS, Edit
from residuum.core.errors import EditError
from residuum.core.tensors import TensorRef


def edit_from_json(data: dict[str, Any], tensors: dict[str, Any] | None = None) -> Edit:
    """Read an edit back.

    Args:
        data: what :meth:`Edit.to_json` wrote.
        tensors: hash -> tensor, for the edits that refer to some; may be left out when the
            numbers are resolved from a store later.

    Raises:
        EditError: unknown kind, unknown field, or a field that is missing.
    """
    kind = data.get("kind")
    cls = EDITS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise EditError(f"unknown kind of edit {kind!r}", mend=f"kinds are: {', '.join(EDITS)}")
    given = {key: value for key, value in data.items() if key != "kind"}
    _check_fields(cls, given)
    for key, value in given.items():
        if isinstance(value, dict):
            ref = TensorRef.from_json(value)
            given[key] = replace(ref, payload=(tensors or {}).get(ref.hash))
    return cls(**given)


def _check_fields(cls: type[Edit], given: dict[str, Any]) -> None:
    known = {each.name for each in fields(cls)}
    needed = {
        name for name, each in signature(cls).parameters.items() if each.default is Parameter.empty
    }
    wrong = [f"unknown {name!r}" for name in sorted(set(given) - known)]
    wrong += [f"no {name!r}" for name in sorted(needed - set(given))]
    if wrong:
        raise EditError(
            f"{cls.kind} edit cannot be read: {', '.join(wrong)}",
            mend=f"fields of {cls.kind} are: {', '.join(sorted(known))}",
        )
