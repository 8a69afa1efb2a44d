"""What follows from the controls: two of them decide, the others say what a claim may mean."""

from __future__ import annotations

from residuum.findings.record.controls_evidence import (
    AttendingHead,
    ControlsEvidence,
    LabelControl,
    PushControl,
    WeightControl,
)
from residuum.findings.record.mechanism import Kind
from residuum.findings.record.rules import ALPHA, ENOUGH, Outcome, Rule, number, percent, share
from residuum.findings.record.words import listed, short

_NAMED: dict[Kind, str] = {
    "components": "parts move", "circuit": "circuit does", "direction": "direction moves"
}  # fmt: skip
_REGAINED: dict[Kind, str] = {
    "components": "the parts regain",
    "circuit": "the circuit does",
    "direction": "the direction closes",
}
_HELPS: dict[Kind, str] = {
    "components": "the parts' clean values help",
    "circuit": "the circuit alone helps",
    "direction": "adding the direction helps",
}


def controls_rules(evidence: ControlsEvidence) -> tuple[Rule, ...]:
    """Rules about controls that were made; one that could not be made has no rule.

    Models without a mechanism and random labels decide: what is found there too is no finding.
    Random pushes do not: they tell what a part says from how far it was moved.
    """
    rules = []
    if evidence.weights:
        rules.append(_weights(evidence.weights, evidence.kind))
    if evidence.labels is not None:
        rules.append(_labels(evidence.labels, evidence.kind))
    if evidence.pushes is not None and evidence.pushes.random_recovered:
        rules.append(_pushes(evidence.pushes))
    return tuple(rules)


def _weights(models: tuple[WeightControl, ...], kind: Kind) -> Rule:
    there = sum(each.present for each in models)
    found = sum(each.found for each in models)
    most = max(models, key=lambda each: abs(each.gained.value))
    return Rule(
        "Not without training",
        "in models of the same shape with permuted or fresh weights, the behaviour is absent or "
        "less than half as far from random labels, or the same "
        f"{_NAMED[kind]} less than {percent(ENOUGH)} of it one way or the other",
        f"the behaviour is present in {there} of {len(models)} such models, the mechanism in "
        f"{found}; of the intact model's distance {_REGAINED[kind]} {percent(most.gained.value)} "
        "there at most",
        "fails" if found else "holds",
        "controls",
        decides=True,
    )


def _labels(labels: LabelControl, kind: Kind) -> Rule:
    return Rule(
        "Right labels only",
        f"{_HELPS[kind]} the right answers more than answers handed out at random "
        f"(p up to {percent(ALPHA)} over {labels.shuffles} labellings)",
        f"{number(labels.own)} with the right labels; random ones {labels.mean:.2f}, 95 % of them "
        f"between {labels.low:.2f} and {labels.high:.2f}; p {labels.p:.2g}",
        "holds" if labels.p <= ALPHA else "fails",
        "controls",
        decides=True,
    )


def _pushes(pushes: PushControl) -> Rule:
    best, worst = max(pushes.random_recovered), max(pushes.random_lost)
    more = pushes.recovered.value > best
    outcome: Outcome = "holds" if more and pushes.lost.value > worst else "unclear"
    return Rule(
        "Not by any push",
        "the parts' own values of the other side do more, both ways, than moving the parts as far "
        f"in {len(pushes.random_recovered)} random directions",
        f"recover {share(pushes.recovered)}, random pushes up to {percent(best)}; lose "
        f"{share(pushes.lost)}, random pushes up to {percent(worst)}",
        outcome if more else "fails",
        "controls",
        decides=False,
    )


def attending_words(evidence: ControlsEvidence) -> str:
    """Which heads attend strikingly and are not causal; empty where none is.

    >>> attending_words(ControlsEvidence((), None, None, (), 0, ()))
    ''
    """
    if not evidence.idle:
        return ""
    one = len(evidence.idle) == 1
    heads = listed([short(head.at) for head in evidence.idle])
    looks = listed([_looks(head) for head in evidence.idle])
    return (
        f"{heads} {'attends' if one else 'attend'} strikingly ({looks}) but "
        f"{'is' if one else 'are'} not causal here: removing {'it' if one else 'each'} changes "
        "nothing that counts."
    )


def _looks(head: AttendingHead) -> str:
    return f"{percent(head.attention.value)} of its attention to {head.place}"
