"""What a circuit's judgement allows to say; none of it decides the status."""

from __future__ import annotations

from residuum.findings.record.circuit_evidence import (
    AIM,
    FAITHFUL,
    CircuitEvidence,
    Judged,
)
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.rules import FEWEST_SETS, Outcome, Rule, percent, share
from residuum.findings.record.words import listed, short

REFERENCE_WORDS = {
    "counterfactual": "the corrupt prompt's values",
    "mean": "means over the prompts",
    "template_mean": "means over the prompts of the template",
    "resample": "another prompt's values",
    "zero": "zeros",
}
"""Reference -> what edges outside the circuit carry."""
_MOST_SAID = 4


def circuit_rules(evidence: CircuitEvidence) -> tuple[Rule, ...]:
    """Is it enough, beyond chance, all of it, whatever the rest carries, small, and the same parts.

    Where no circuit was judged there is one rule, which says why.
    """
    main = evidence.main
    if main is None:
        why = "; ".join(evidence.left_out) or "not tested"
        return (_rule("A circuit does it", _ENOUGH, f"not testable: {why}", "unclear"),)
    return (
        _enough(evidence, main),
        _beyond(evidence, main),
        _complete(evidence, main),
        _whatever(evidence),
        _small(evidence),
        _same(evidence),
    )


_ENOUGH = (
    f"the smallest circuit that does {percent(AIM)} to {percent(2 - AIM)} on the choosing half "
    f"does {percent(FAITHFUL)} to {percent(2 - FAITHFUL)} of what the model does on the other, its "
    "interval from below and all, where every other edge carries the corrupt prompt's value"
)


def _enough(evidence: CircuitEvidence, main: Judged) -> Rule:
    size = f"{evidence.n_edges} of {evidence.total} edges"
    found = f"{size} do {share(main.faithfulness)}"
    outcome = _faithful(main.faithfulness)
    if not evidence.reached:
        low, high = (pick(point.faithfulness for point in evidence.curve) for pick in (min, max))
        found += (
            f"; on the choosing half no size up to {evidence.curve[-1].edges} edges comes so near: "
            f"{percent(low)} to {percent(high)}"
        )
        outcome = "fails"
    return _rule("A circuit does it", _ENOUGH, found, outcome)


def _at_least(found: Estimate) -> Outcome:
    if not found.value >= FAITHFUL:
        return "fails"
    return "holds" if found.low >= FAITHFUL else "unclear"


def _faithful(found: Estimate) -> Outcome:
    """As :func:`_at_least`, and not as much more than the model does."""
    return "fails" if found.value > 2 - FAITHFUL else _at_least(found)


def _beyond(evidence: CircuitEvidence, main: Judged) -> Rule:
    random = evidence.random_faithfulness
    outcome: Outcome = "unclear"
    if random and not main.faithfulness.value > max(random):
        outcome = "fails"
    elif len(random) >= FEWEST_SETS:
        outcome = "holds"
    return _rule(
        "More than random circuits",
        f"alone it does more than every one of {len(random)} random connected circuits of as many "
        "edges",
        _chance(main, random),
        outcome,
    )


def _chance(main: Judged, random: tuple[float, ...]) -> str:
    if not random:
        return "not testable: there is no other connected circuit of its size"
    said = f"{percent(main.faithfulness.value)}; the best random one {percent(max(random))}"
    return said if len(random) >= FEWEST_SETS else f"too few edges to compare: {said}"


def _complete(evidence: CircuitEvidence, main: Judged) -> Rule:
    random = evidence.random_completeness
    found = f"{share(main.completeness)} is lost without its edges"
    if random:
        mean = percent(sum(random) / len(random))
        found += f"; without a random one {mean} on average, {percent(max(random))} at most"
    return _rule(
        "Nothing without it",
        f"with its edges at the corrupt prompt's values at least {percent(FAITHFUL)} is lost, "
        "interval and all (few edges reach the logits, so losing much shows little by itself)",
        found,
        _at_least(main.completeness),
    )


def _whatever(evidence: CircuitEvidence) -> Rule:
    others = evidence.judged[1:]
    failed = [each for each in others if _faithful(each.faithfulness) == "fails"]
    unclear = [each for each in others if _faithful(each.faithfulness) == "unclear"]
    outcome: Outcome = "fails" if failed else "unclear" if unclear or not others else "holds"
    said = "; ".join(f"{REFERENCE_WORDS[e.reference]} {share(e.faithfulness)}" for e in others)
    low, high = evidence.spread
    return _rule(
        "Whatever the rest carries",
        f"it also does {percent(FAITHFUL)} where the other edges carry something else than the "
        "corrupt prompt's values; if not, the claim is about what the two prompts differ in",
        f"{said}; {percent(low)} to {percent(high)} over all choices" if others else "not testable",
        outcome,
    )


def _small(evidence: CircuitEvidence) -> Rule:
    idle, parts = evidence.idle, len(evidence.parts)
    return _rule(
        "No idle part",
        "taken out of the circuit one at a time, every part changes what it does, each interval by "
        "itself",
        f"{len(idle)} of {parts} are not told from idle: {_some(idle)}"
        if idle
        else f"each of {parts} changes something",
        "unclear" if idle else "holds",
    )


def _same(evidence: CircuitEvidence) -> Rule:
    inside, outside = evidence.named_in, evidence.named_out
    outcome: Outcome = "unclear"
    if inside and not outside:
        outcome = "holds"
    elif outside and not inside:
        outcome = "fails"
    return _rule(
        "The same parts",
        "every named part sends along an edge of the circuit, which was found without them",
        f"{len(inside)} of {len(inside) + len(outside)} are in it"
        + (f"; {_some(outside)} not" if outside else ""),
        outcome,
    )


def _some(parts: tuple[str, ...]) -> str:
    named = [short(at) for at in parts[:_MOST_SAID]]
    left = len(parts) - len(named)
    return listed([*named, f"{left} more"] if left else named)


def _rule(name: str, demands: str, found: str, outcome: Outcome) -> Rule:
    return Rule(name, demands, found, outcome, "circuit", decides=False)
