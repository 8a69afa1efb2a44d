"""What would refute a finding, in one sentence."""

from __future__ import annotations

from residuum.findings.chain.claim import Told
from residuum.findings.record.rules import ENOUGH, IDLE, percent, present
from residuum.findings.record.whole_rules import CIRCUIT_ENOUGH


def falsifier(told: Told) -> str:
    """What would refute the claim."""
    task = told.bench.task.name
    if not present(told.rules):
        return (
            f"Refuted if, on other {task} pairs for the same weights, the right answer is "
            "preferred more often than under random labels and the metric is higher on clean "
            "than on corrupt prompts."
        )
    again = {"circuit": _CIRCUIT_FAILS, "direction": _DIRECTION_FAILS}.get(told.mechanism.kind)
    if again is not None:
        return f"Refuted if, on new {task} pairs for the same weights, {again}."
    alone = len(told.mechanism.components) == 1
    together, them = ("", "it") if alone else (" together", "them")
    idle = "" if alone else f", or if one of them does less than {percent(IDLE)}"
    return (
        f"Refuted if, on new {task} pairs for the same weights, patching {told.name}{together} "
        f"recovers less than {percent(ENOUGH)} of the distance from corrupt to clean, or no more "
        f"than random parts of the same kinds do, or if giving {them} corrupt values costs less "
        f"than {percent(ENOUGH)} of it{idle}."
    )


_CIRCUIT_FAILS = (
    f"its edges alone do less than {percent(CIRCUIT_ENOUGH)} of what the model does, or no more "
    f"than random circuits of its size do, or less than {percent(CIRCUIT_ENOUGH)} is lost without "
    "them"
)
_DIRECTION_FAILS = (
    f"adding it closes less than {percent(ENOUGH)} of the distance, or erasing it takes less than "
    f"{percent(ENOUGH)} away, or random directions of its norm do as much"
)
