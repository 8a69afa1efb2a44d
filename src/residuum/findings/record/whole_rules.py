"""The rules about a stated circuit or direction as a whole, and their words in a claim."""

from __future__ import annotations

from residuum.findings.record.evidence import Estimate
from residuum.findings.record.rules import (
    ALPHA,
    ENOUGH,
    FEWEST_SETS,
    MORE,
    Outcome,
    Rule,
    lead,
    percent,
    share,
)
from residuum.findings.record.whole_evidence import WholeEvidence

CIRCUIT_ENOUGH = 0.7
"""Share of the distance that a circuit alone must keep, and that must be lost without it."""
IDLE_EDGE = 0.005
"""Share of the distance below which an edge that is left out changes nothing."""
_ABOVE = 1.3
"""Share above which a circuit does more than the model, and is not the model's way."""


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
            f"alone it does {percent(MORE)} more than each of at least {FEWEST_SETS} random "
            "connected circuits of its size (of all others, where a small graph has no more); "
            "beyond the whole nothing counts as more",
            _chance(evidence, best),
            "unclear" if few else _more(evidence.recovered.value, best),
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
        (
            "No idle edge",
            f"left out by itself, every edge changes {100 * IDLE_EDGE:g} % of the distance or "
            "more, in the circuit or in the model (of edges that can stand in for each other none "
            "does: this decides no status)",
            f"{evidence.idle} of {evidence.tried} change less",
            "unclear" if not evidence.tried else "fails" if evidence.idle else "holds",
            False,
        ),
    )


def _more(value: float, best: float) -> Outcome:
    gap = lead(value, best)
    return "holds" if gap >= MORE else "unclear" if gap > 0 else "fails"


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
        (
            "Something reads it",
            "more than the final norm and the unembedding stand behind its place: there the "
            "difference of two answers' unembeddings would do the same",
            "only these two stand behind it" if evidence.last else "heads or MLPs stand behind it",
            "unclear" if evidence.last else "holds",
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
            f"of the difference between the two prompts; without them {share(evidence.lost)} is "
            f"lost; {beside}{_idle_words(evidence)}"
        )
    return (
        f"added, it closes {share(evidence.recovered)} of the distance between clean and corrupt "
        f"prompts; erased, {share(evidence.lost)}; 95 % of {evidence.controls} random directions "
        f"of its norm close less than {percent(best)} added (p {evidence.p or 0:.2g})"
        + ("; behind its place stand only the final norm and the unembedding" * evidence.last)
    )


def _idle_words(evidence: WholeEvidence) -> str:
    """How many edges may ride along; empty where none was seen to."""
    if not evidence.idle:
        return ""
    of = "of them" if evidence.tried == evidence.size else f"of {evidence.tried} that were tried"
    return f"; {evidence.idle} {of} change less than {100 * IDLE_EDGE:g} % when left out one by one"
