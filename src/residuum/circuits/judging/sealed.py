"""Results as plain data under a hash, so that an edited file is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from residuum.core import StoreError, content_hash

_HASH, _FORMAT = "sha256", 1


def sealed(data: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Plain data with format, kind, and a hash over all of it.

    >>> data = sealed({"value": 1.0}, "number")
    >>> unsealed(data, "number", "a number")["value"]
    1.0
    """
    whole = {"format": _FORMAT, "kind": kind, **data}
    return whole | {_HASH: content_hash(whole)}


def is_unsealed(data: Any, kind: str) -> bool:
    """Whether data are of this kind, but without a hash."""
    return isinstance(data, Mapping) and data.get("kind") == kind and _HASH not in data


def unsealed(data: Any, kind: str, noun: str) -> dict[str, Any]:
    """What was handed to :func:`sealed`.

    Args:
        noun: what it is read as, in an error.

    Raises:
        StoreError: another kind or format, no hash, or another content than the hash is of.
    """
    mend = "give the .json file as save(...) wrote it"
    there = isinstance(data, Mapping) and data.get("kind") == kind and _HASH in data
    if not there or data.get("format") != _FORMAT:
        raise StoreError(f"this is not {noun} of format {_FORMAT}", mend=mend)
    plain = {key: value for key, value in data.items() if key != _HASH}
    if data[_HASH] != content_hash(plain):
        raise StoreError(
            f"{noun}: the file was changed after it was written, its hash is of another content",
            mend=mend,
        )
    return {key: value for key, value in plain.items() if key not in ("format", "kind")}
