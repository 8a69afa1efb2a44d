"""The attention door: q, k, v, scores, pattern and z of every layer, whatever the family."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from residuum.models.attention import AttentionCall, Visitor
from residuum.models.interface_door import registered_function
from residuum.models.module_door import replaced_forwards
from residuum.models.parts import Parts


@contextmanager
def open_door(parts: Parts, visitor: Visitor) -> Iterator[dict[int, AttentionCall]]:
    """Let ``visitor`` see every attention layer of the model while the context is open.

    Yields:
        Layer -> what its attention function was last called with.
    """
    opened = replaced_forwards if parts.family.door == "module" else registered_function
    with opened(parts, visitor) as calls:
        yield calls
