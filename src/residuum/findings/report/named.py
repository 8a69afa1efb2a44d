"""What the named parts are called: heads, MLPs, or parts where there are both."""

from __future__ import annotations

from collections.abc import Sequence

from residuum.findings.record.found import Found
from residuum.findings.record.mechanism import is_head, is_mlp


def noun(parts: Sequence[str], one: bool = False) -> str:
    """The noun for several parts, or for one of them.

    >>> noun(["L2.z[H3]"]), noun(["L2.z[H3]", "L0.mlp_out"]), noun(["L0.mlp_out"], one=True)
    ('heads', 'parts', 'MLP')
    """
    if all(is_head(at) for at in parts):
        name = "head"
    elif all(is_mlp(at) for at in parts):
        name = "MLP"
    else:
        name = "part"
    return name if one else f"{name}s"


def these(parts: Sequence[str]) -> str:
    """The noun for just these parts.

    >>> these(["L2.z[H3]"]), these(["L2.z[H3]", "L1.z[H0]"])
    ('head', 'heads')
    """
    return noun(parts, one=len(parts) == 1)


def others(parts: Sequence[str]) -> str:
    """What random sets are made of.

    >>> others(["L2.z[H3]"]), others(["L2.z[H3]", "L0.mlp_out"])
    ('other heads', 'other parts of the same kinds')
    """
    name = noun(parts)
    return "other parts of the same kinds" if name == "parts" else f"other {name}"


def given(finding: Found) -> bool:
    """Whether the caller stated the mechanism."""
    return finding.origin == "given"


def half(finding: Found) -> int:
    """Pairs that parts were chosen on."""
    return len(finding.task["clean"]) - finding.behaviour.contrast.n
