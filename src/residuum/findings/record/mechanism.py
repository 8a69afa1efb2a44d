"""What a claim names: components of the model, a circuit of edges, or a direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["components", "circuit", "direction"]
Origin = Literal["found", "given"]
"""Whether the mechanism was searched for on the choosing half, or stated by the caller."""


@dataclass(frozen=True)
class Mechanism:
    """What is said to produce a behaviour.

    Attributes:
        kind: ``components`` (heads and MLPs), ``circuit`` or ``direction``.
        origin: ``found`` or ``given``.
        components: addresses of heads ``L2.z[H3]`` and MLPs ``L3.mlp_out``; of a circuit those that
            its edges touch; of a direction the site that it is read at.
        data: a circuit or a direction as plain data; None for components.
    """

    kind: Kind
    origin: Origin
    components: tuple[str, ...]
    data: dict[str, Any] | None = None


def is_head(at: str) -> bool:
    """Whether an address is a head's.

    >>> is_head("L2.z[H3]"), is_head("L3.mlp_out")
    (True, False)
    """
    return ".z[H" in at


def is_mlp(at: str) -> bool:
    """Whether an address is a whole MLP's.

    >>> is_mlp("L2.z[H3]"), is_mlp("L3.mlp_out")
    (False, True)
    """
    return at.endswith(".mlp_out")
