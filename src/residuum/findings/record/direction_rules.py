"""What the proof of a direction allows to say; none of it decides the status."""

from __future__ import annotations

from residuum.findings.record.direction_evidence import LEAST_CLOSED, DirectionEvidence
from residuum.findings.record.rules import ALPHA, Outcome, Rule, percent, share

EDITS = {
    "add": "added",
    "erase": "erased",
    "leace": "erased with all that goes with it (LEACE)",
    "swap": "swapped within pairs",
}
"""Kind of edit -> what is done, in words."""
_ASKED = ("add", "erase", "swap")


def direction_rules(evidence: DirectionEvidence) -> tuple[Rule, ...]:
    """Does one direction carry it, and can it be read there."""
    if not evidence.tests:
        why = "; ".join(evidence.left_out) or "not tested"
        return (_rule("One direction carries it", _CARRIES, f"not testable: {why}", "unclear"),)
    return (_carries(evidence), _readable(evidence))


_CARRIES = (
    "the difference of means found on the choosing half, where it does most there, added, erased "
    f"and swapped on the other half closes at least {percent(LEAST_CLOSED)} of the gap each way, "
    f"intervals above 0, and more than random directions of its norm (p at most {ALPHA:g}, "
    "corrected)"
)


def _carries(evidence: DirectionEvidence) -> Rule:
    said = [
        f"{EDITS[each.kind]} {share(each.closed)}, p {each.p:.2g}"
        for kind in _ASKED
        if (each := evidence.test(kind)) is not None
    ]
    return _rule(
        "One direction carries it",
        _CARRIES,
        f"{place_words(evidence.at)}: {'; '.join(said)}; {_beside(evidence)}",
        carries(evidence),
    )


def _beside(evidence: DirectionEvidence) -> str:
    """How it stands beside random directions, and what it lacks."""
    beaten = [each for each in evidence.tests if each.decides and each.p > ALPHA]
    if beaten:
        one = beaten[0]
        return (
            f"no more than random directions do when {EDITS[one.kind]} (95 % of "
            f"{evidence.n_random} below {percent(one.random_high)})"
        )
    beyond = f"all beyond {evidence.n_random} random directions"
    asked = [each for kind in _ASKED if (each := evidence.test(kind)) is not None]
    small = [each for each in asked if not each.closed.value >= LEAST_CLOSED]
    if small:
        return f"{beyond}, but under {percent(LEAST_CLOSED)} of the gap when {EDITS[small[0].kind]}"
    unsure = [each for each in asked if each.closed.low <= 0]
    if unsure:
        return f"{beyond}, but the interval reaches 0 when {EDITS[unsure[0].kind]}"
    return beyond if evidence.causal is not None else f"{beyond}; one template gives no interval"


def carries(evidence: DirectionEvidence) -> Outcome:
    """Whether one direction is shown to carry it."""
    asked = [each for kind in _ASKED if (each := evidence.test(kind)) is not None]
    if not asked or evidence.causal is False:
        return "fails" if asked else "unclear"
    if any(not each.closed.value >= LEAST_CLOSED or each.closed.low <= 0 for each in asked):
        return "fails"
    return "unclear" if evidence.causal is None else "holds"


def _readable(evidence: DirectionEvidence) -> Rule:
    outcome: Outcome = "holds" if evidence.readable else "fails"
    return _rule(
        "It can be read there",
        "along the direction clean and corrupt prompts of templates held out are told apart, above "
        "the larger class and above directions found for random labels, interval and all",
        f"{share(evidence.accuracy)} told apart; larger class {percent(evidence.majority)}, random "
        f"labels up to {percent(evidence.control)}",
        "unclear" if evidence.readable is None else outcome,
    )


def _rule(name: str, demands: str, found: str, outcome: Outcome) -> Rule:
    return Rule(name, demands, found, outcome, "direction", decides=False)


def place_words(at: str) -> str:
    """A place as people say it.

    >>> place_words("L2.resid_post@-1"), place_words("L0.resid_post")
    ('the stream after layer 2 at the last token', 'the stream after layer 0 at every token')
    """
    layer = at.removeprefix("L").split(".")[0]
    return f"the stream after layer {layer} at {'the last' if '@' in at else 'every'} token"


def direction_note(evidence: DirectionEvidence) -> str:
    """What the scope adds where no one direction is shown to carry it; else empty."""
    if not evidence.tests or carries(evidence) == "holds":
        return ""
    word = "fails" if carries(evidence) == "fails" else "is not shown"
    return f"As one direction it {word}: {_carries(evidence).found}."
