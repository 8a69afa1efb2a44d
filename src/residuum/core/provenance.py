"""Where a result comes from: enough to run it again and to notice when it is not the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from residuum.core.errors import StoreError


def package_version() -> str:
    """Version of the installed package, or ``"0+source"`` when it runs from a source folder."""
    try:
        return version("residuum")
    except PackageNotFoundError:
        return "0+source"


@dataclass(frozen=True)
class Provenance:
    """Identity of everything that went into a result.

    Attributes:
        model_id: name or path as loaded.
        weight_hash: SHA-256 over the weights.
        tokenizer_hash: SHA-256 over vocabulary and special tokens; empty without a tokenizer.
        task_hash: SHA-256 over token ids and answers; empty without a task.
        strategy: method and its options.
        dtype: of the weights.
        device: of the weights.
        seed: seed of every random choice; None where there is none.
        software: package versions.
    """

    model_id: str
    weight_hash: str = ""
    tokenizer_hash: str = ""
    task_hash: str = ""
    strategy: str = ""
    dtype: str = ""
    device: str = ""
    seed: int | None = None
    software: dict[str, str] = field(default_factory=lambda: {"residuum": package_version()})

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Provenance:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: a field is unknown, or there is no ``model_id``.
        """
        known = {each.name for each in fields(Provenance)}
        wrong = sorted(set(data) - known) or sorted({"model_id"} - set(data))
        if wrong:
            raise StoreError(
                f"provenance has an unknown field or lacks one: {', '.join(wrong)}",
                mend=f"fields are: {', '.join(sorted(known))}; was another version at work?",
            )
        return Provenance(**data)


def content_hash(data: Any) -> str:
    """SHA-256, in hex, of plain data in canonical JSON (sorted keys, no spaces).

    >>> content_hash({"b": 1, "a": 2}) == content_hash({"a": 2, "b": 1})
    True
    """
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
