"""A circuit or a direction under examination: what it does as a whole, and what chance does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from residuum.findings.record.evidence import Estimate
from residuum.findings.record.rules import (
    ALPHA,
    ENOUGH,
    FEWEST_SETS,
    Outcome,
    Rule,
    percent,
    share,
)

CIRCUIT_ENOUGH = 0.7
"""Share of the distance that a circuit alone must keep, and that must be lost without it."""
_ABOVE = 1.3
"""Share above which a circuit does more than the model, and is not the model's way."""


@dataclass(frozen=True)
class WholeEvidence:
    """What a circuit or a direction does, on pairs of the measuring half.

    Attributes:
        kind: ``circuit`` or ``direction``.
        name: in words.
        size: edges of the circuit; 1 for a direction.
        total: edges of the model's graph; width of the site for a direction.
        recovered: circuit: what it does alone, every other edge at the corrupt prompt's value,
            over the distance between whole and empty circuit. Direction: what adding it to
            corrupt prompts (and taking it from clean ones) closes of the distance.
        lost: circuit: what is lost with its edges at the corrupt prompt's values. Direction: what
            erasing it closes.
        random_recovered, random_lost: the same for each random connected circuit of its size; of
            random directions of its norm the 95th percentile alone.
        p: direction: the larger p of adding, erasing and swapping, corrected. Circuit: where
            ``every``, the share of all circuits of its size, itself among them, that do as much
            alone; else None.
        controls: how many random circuits or directions.
        note: what else must be known.
        every: whether these are all other connected circuits of its size that the graph has.
    """

    kind: Literal["circuit", "direction"]
    name: str
    size: int
    total: int
    recovered: Estimate
    lost: Estimate
    random_recovered: tuple[float, ...]
    random_lost: tuple[float, ...]
    p: float | None
    controls: int
    note: str
    every: bool = False


def whole_rules(evidence: WholeEvidence) -> tuple[Rule, ...]:
    """Is it the mechanism: enough, needed, and more than chance."""
    rules = _circuit(evidence) if evidence.kind == "circuit" else _direction(evidence)
    return tuple(
        Rule(name, demands, found, outcome, "mechanism", decides=decides)
        for name, demands, found, outcome, decides in rules
    )


_Row = tuple[str, str, str, Outcome, bool]


def _circuit(evidence: WholeEvidence) -> tuple[_Row, ...]:
    best = max(evidence.random_recovered, default=float("nan"))
    worst = max(evidence.random_lost, default=float("nan"))
    enough = _at_least(evidence.recovered, CIRCUIT_ENOUGH)
    if evidence.recovered.value > _ABOVE:
        enough = "fails"
    few = evidence.controls < FEWEST_SETS
    return (
        (
            "Enough",
            f"alone, every other edge at the corrupt prompt's value, it does at least "
            f"{percent(CIRCUIT_ENOUGH)} of what the model does, interval and all, and no more than "
            f"{percent(_ABOVE)}",
            share(evidence.recovered),
            enough,
            True,
        ),
        (
            "Needed",
            f"with its edges at the corrupt prompt's values at least {percent(CIRCUIT_ENOUGH)} is "
            "lost, interval and all",
            share(evidence.lost),
            _at_least(evidence.lost, CIRCUIT_ENOUGH),
            True,
        ),
        (
            "More than chance",
            f"alone it does more than each of at least {FEWEST_SETS} random connected circuits of "
            "its size (of all others, where a small graph has no more)",
            _chance(evidence, best),
            "unclear" if few else "holds" if evidence.recovered.value > best else "fails",
            True,
        ),
        (
            "Needed more than chance",
            "more is lost without it than without any of these (few edges reach the logits, so "
            "that random circuits break the answer too: this decides no status)",
            f"without a random one up to {percent(worst)}",
            "unclear" if few else "holds" if evidence.lost.value > worst else "fails",
            False,
        ),
    )


def _chance(evidence: WholeEvidence, best: float) -> str:
    """What circuits of its size do, and that there are too few, where there are."""
    if not evidence.controls:
        return "too few edges to compare: there is no other circuit of its size"
    said = f"the best of {evidence.controls} does {percent(best)}"
    if evidence.every:
        said = f"{said}; these are all that there are, p {evidence.p or 0:.2g}"
    return f"too few edges to compare: {said}" if evidence.controls < FEWEST_SETS else said


def _direction(evidence: WholeEvidence) -> tuple[_Row, ...]:
    added, erased = (
        each[0] if each else float("nan")
        for each in (evidence.random_recovered, evidence.random_lost)
    )
    return (
        (
            "Enough",
            f"added, it closes at least {percent(ENOUGH)} of the distance, interval and all",
            share(evidence.recovered),
            _at_least(evidence.recovered, ENOUGH),
            True,
        ),
        (
            "Needed",
            f"erased, at least {percent(ENOUGH)} of the distance is gone, interval and all",
            share(evidence.lost),
            _at_least(evidence.lost, ENOUGH),
            True,
        ),
        (
            "More than chance",
            f"added, erased and swapped it does more than {evidence.controls} random directions of "
            f"its norm (p at most {ALPHA:g}, corrected)",
            f"p {evidence.p or 0:.2g}; 95 % of the random ones close less than {percent(added)} "
            f"added, {percent(erased)} erased",
            "holds" if evidence.p is not None and evidence.p <= ALPHA else "fails",
            True,
        ),
    )


def _at_least(estimate: Estimate, bound: float) -> Outcome:
    """Whole interval at or above the bound: holds; the value below it: fails; else unclear."""
    if not estimate.value >= bound:
        return "fails"
    return "holds" if estimate.low >= bound else "unclear"


def whole_words(evidence: WholeEvidence) -> str:
    """The numbers in a claim, without a full stop."""
    best = max(evidence.random_recovered, default=float("nan"))
    if evidence.kind == "circuit":
        kind = "other" if evidence.every else "random"
        beside = f"the best of {evidence.controls} {kind} circuits of its size does {percent(best)}"
        if evidence.controls < FEWEST_SETS:
            beside = _chance(evidence, best)
        return (
            f"alone, its {evidence.size} of {evidence.total} edges do {share(evidence.recovered)} "
            f"of it; without them {share(evidence.lost)} is lost; {beside}"
        )
    return (
        f"added, it closes {share(evidence.recovered)} of the distance between clean and corrupt "
        f"prompts; erased, {share(evidence.lost)}; 95 % of {evidence.controls} random directions "
        f"of its norm close less than {percent(best)} added (p {evidence.p or 0:.2g})"
    )
