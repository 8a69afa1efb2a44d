"""Parts of a model as boxes in layers: tokens below, heads and MLPs by layer, logits on top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from residuum.core import Address
from residuum.figures import Box
from residuum.findings.record.words import short

PORTS = {"q": -0.9, "k": 0.0, "v": 0.9}
"""What a head reads -> where on its lower edge it arrives."""


def layers_of(parts: Iterable[str]) -> tuple[list[str], list[Box], list[str]]:
    """Names in forward order, their boxes, and a label for each row from the bottom.

    Args:
        parts: ``embed``, ``logits``, addresses of heads (``L1.z[H0]``) and MLPs (``L1.mlp_out``).

    >>> names, boxes, rows = layers_of(["logits", "L1.z[H0]", "embed", "L0.mlp_out"])
    >>> names, rows, boxes[1].label
    (['embed', 'L0.mlp_out', 'L1.z[H0]', 'logits'], ['', '', 'L1', ''], 'MLP0')
    """
    names = sorted(set(parts), key=_place)
    levels = sorted({_place(at)[:2] for at in names})
    boxes = [
        Box(at, _label(at), levels.index(_place(at)[:2]), int(at.endswith("mlp_out")))
        for at in names
    ]
    return names, boxes, [_row(layer, mlp) for layer, mlp in levels]


def _row(layer: float, mlp: bool) -> str:
    return f"L{int(layer)}" if 0 <= layer < float("inf") and not mlp else ""


def _place(at: str) -> tuple[float, bool, int]:
    """Layer, whether an MLP, number; the tokens below all, the logits above."""
    if at == "embed":
        return -1.0, False, 0
    if at == "logits":
        return float("inf"), False, 0
    address = Address.parse(at)
    head = address.part if isinstance(address.part, int) else 0
    return float(address.layer), address.name == "mlp_out", head  # type: ignore[arg-type]


def _label(at: str) -> str:
    if ".z[" in at:
        return short(at).split(".")[-1]
    return f"MLP{at[1:].split('.')[0]}" if at.endswith("mlp_out") else at


def read_by(receiver: str, group: int = 1) -> tuple[Sequence[str], str]:
    """The parts that read at an input, and as what.

    Args:
        receiver: ``L1.k_in[H0]``, ``L1.mlp_in`` or ``logits``.
        group: heads that share a key/value head.

    >>> read_by("L1.k_in[H1]", 2), read_by("L0.mlp_in"), read_by("logits")
    ((['L1.z[H2]', 'L1.z[H3]'], 'k'), (['L0.mlp_out'], ''), (['logits'], ''))
    """
    if receiver == "logits":
        return ["logits"], ""
    address = Address.parse(receiver)
    if address.name == "mlp_in":
        return [f"L{address.layer}.mlp_out"], ""
    reads, head = address.name[0], int(address.part)  # type: ignore[arg-type]
    heads = [head] if reads == "q" else range(head * group, (head + 1) * group)
    return [f"L{address.layer}.z[H{each}]" for each in heads], reads
