"""What would refute a finding, in one sentence, by the very rules that decided it."""

from __future__ import annotations

from residuum.findings.chain.claim import Told
from residuum.findings.record.rules import ENOUGH, IDLE, MORE, percent, present
from residuum.findings.record.whole_rules import CIRCUIT_ENOUGH


def falsifier(told: Told) -> str:
    """What would refute the claim, and of a supported one what would leave it undecided."""
    task = told.bench.task.name
    pairs = task if task.endswith("pairs") else f"{task} pairs"
    if not present(told.rules):
        return (
            f"Refuted if, on other {pairs} for the same weights, the right answer is "
            "preferred more often than under random labels and the metric is higher on clean "
            "than on corrupt prompts."
        )
    refuted, weaker, shown = {"circuit": _CIRCUIT, "direction": _DIRECTION}.get(
        told.mechanism.kind
    ) or _parts(told)
    begins = f"Refuted if, on new {pairs} for the same weights,"
    if told.status == "not supported":
        return f"{begins} {shown}."
    left = f"; no longer supported if {weaker}" if told.status == "supported" else ""
    return f"{begins} {refuted}{left}."


def _parts(told: Told) -> tuple[str, str, str]:
    """Of named parts: what refutes it, what leaves it undecided, and what would support it."""
    alone = len(told.mechanism.components) == 1
    together, their = ("", "its") if alone else (" together", "their")
    patched = f"patching {told.name}{together} recovers"
    idle = "" if alone else f", or one of the parts does less than {percent(IDLE)}"
    return (
        f"{patched} less than {percent(ENOUGH)} of the distance from corrupt to clean, or if "
        f"neither this nor what {their} corrupt values cost exceeds random parts of the same kinds "
        f"(unless both are {percent(1 - MORE)} or more)",
        f"{their} corrupt values cost less than {percent(ENOUGH)}, or either exceeds random parts "
        f"by less than {percent(MORE)}{idle}",
        f"{patched} {percent(ENOUGH)} or more of the distance from corrupt to clean and {their} "
        f"corrupt values cost as much, both {percent(MORE)} more than random parts of the same "
        "kinds",
    )


_CIRCUIT = (
    f"its edges alone do less than {percent(CIRCUIT_ENOUGH)} of what the model does, or no more "
    "than random circuits of its size do",
    f"less than {percent(CIRCUIT_ENOUGH)} is lost without them, or random circuits come within "
    f"{percent(MORE)}",
    f"its edges alone do {percent(CIRCUIT_ENOUGH)} or more of what the model does, {percent(MORE)} "
    f"more than random circuits of its size do, and {percent(CIRCUIT_ENOUGH)} or more is lost "
    "without them",
)
_DIRECTION = (
    f"adding it closes less than {percent(ENOUGH)} of the distance, or random directions of its "
    "norm do as much",
    f"erasing it takes less than {percent(ENOUGH)} away",
    f"adding it closes {percent(ENOUGH)} or more of the distance and erasing it takes as much "
    "away, more than random directions of its norm do",
)
"""Of a circuit and a direction: the same three."""
