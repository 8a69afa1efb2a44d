"""The sentences of a finding about named parts, built from its numbers: claim and falsifier."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.findings.chain.bench import Bench
from residuum.findings.record.composition_evidence import CompositionEvidence
from residuum.findings.record.evidence import BehaviourEvidence
from residuum.findings.record.mechanism import Mechanism, is_head
from residuum.findings.record.part_evidence import PartsEvidence
from residuum.findings.record.rules import (
    ALPHA,
    ENOUGH,
    Rule,
    Status,
    number,
    percent,
    present,
    rival_rule,
    share,
)
from residuum.findings.record.whole_evidence import (
    CIRCUIT_ENOUGH,
    WholeEvidence,
    whole_words,
)
from residuum.findings.record.words import (
    listed,
    metric_words,
    model_name,
    parts_in_words,
    short,
)

INTERVENTIONS = {
    "components": "patching `z`, what a head hands to its output projection, and `mlp_out`, what "
    "an MLP adds to the stream, at all positions: clean values into the corrupt run, and corrupt "
    "values into the clean run",
    "circuit": "every edge outside the circuit (and then every edge inside it) carries the value "
    "that it has on the corrupt prompt",
    "direction": "moving the site along the direction by the mean distance between the sides, "
    "holding its component at the mean, and exchanging it within pairs",
}
"""Kind of mechanism -> what was done to it."""


@dataclass(frozen=True)
class Told:
    """What a claim is built from.

    Attributes:
        bench: the measuring half.
        mechanism: what is named.
        behaviour: is it there.
        rules, status: what was decided.
        added: sentences of further stages, without a full stop.
    """

    bench: Bench
    mechanism: Mechanism
    behaviour: BehaviourEvidence
    rules: tuple[Rule, ...]
    status: Status
    added: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """On how many pairs of what: ``On 32 held-out ioi prompts``."""
        task = self.bench.task
        held_out = "held-out " if "split=test" in task.source else ""
        return f"On {len(task)} {held_out}{task.name} prompts"

    @property
    def answer(self) -> str:
        """Whose answer, and how good it is."""
        seen, model = self.behaviour, model_name(self.bench.model.name)
        measure = f"{metric_words(self.bench.task.metric)} {number(seen.metric_clean)}"
        return f"{model}'s answer ({measure}, accuracy {percent(seen.accuracy.value)})"

    @property
    def name(self) -> str:
        """What is named, in words."""
        components, kind = self.mechanism.components, self.mechanism.kind
        if kind == "direction":
            return f"one direction at {components[0]}"
        if kind == "components":
            return parts_in_words(components)
        heads = sum(is_head(at) for at in components)
        edges = len((self.mechanism.data or {})["kept"])
        return (
            f"a circuit of {edges} edges through {heads} heads and {len(components) - heads} MLPs"
        )


def absent(told: Told) -> str:
    """The claim where there is nothing to explain."""
    seen, bench = told.behaviour, told.bench
    nothing = "no mechanism found"
    if told.mechanism.origin == "given":
        nothing = f"{told.name or 'what was stated'} cannot be its mechanism"
    return (
        f"{told.where}, {model_name(bench.model.name)} does not show the behaviour, so {nothing}: "
        f"it ranks the right answer above the wrong one for {share(seen.choice)} of them, where "
        f"random labels give {percent(seen.shuffled.value)}, and clean and corrupt prompts differ "
        f"by {number(seen.contrast)} {bench.metric.unit}."
    )


def claim(told: Told, parts: PartsEvidence | None, whole: WholeEvidence | None = None) -> str:
    """The claim as one sentence, and what further stages add to it."""
    if whole is not None:
        return verdict(told, whole_words(whole))
    if not present(told.rules) or parts is None:
        return absent(told)
    apart = by_themselves(parts)
    more = [f"In the joint test over its whole sweep {apart}"] if apart else []
    ends = (f"{each}." for each in (*more, *told.added))
    return " ".join([verdict(told, _measured(parts)), *ends])


def verdict(told: Told, measured: str) -> str:
    """What the status lets say, and the numbers behind it.

    Args:
        told: what is told of.
        measured: the numbers, without a full stop.
    """
    found = told.mechanism.origin == "found"
    if told.status == "supported":
        return f"{told.where}, {told.answer} depends on {told.name}: {measured}."
    if told.status == "undecided":
        mixed = "but the evidence is mixed"
        return f"{told.where}, {told.answer} may depend on {told.name}, {mixed}: {measured}."
    if found:
        strongest = f"the strongest parts, {told.name}, do not carry it"
        return f"{told.where}, no mechanism found for {told.answer}; {strongest}: {measured}."
    stated = f"does not depend on {told.name} as stated"
    return f"{told.where}, {told.answer} {stated}: {measured}."


def _measured(parts: PartsEvidence) -> str:
    joint = parts.together
    recovered, lost = joint.chance
    its = "its" if len(parts.named) == 1 else "their"
    best = (
        f"the best of {joint.controls} regains {percent(max(recovered))} and loses "
        f"{percent(max(lost))}"
        if recovered
        else "there is no other part to compare with"
    )
    return (
        f"given {its} clean values, a corrupt run regains {share(joint.recovered)} of the answer; "
        f"given {its} corrupt values, a clean run loses {share(joint.swap_drop)}; {best}"
        f"{_beaten(parts)}"
    )


def _beaten(parts: PartsEvidence) -> str:
    """That a search names parts that carry more, where it does."""
    rival = parts.rival
    if rival is None or all(rule.outcome == "holds" for rule in rival_rule(parts)):
        return ""
    names = listed([short(at) for at in rival.parts])
    return f"; a search names {names}, which regain {share(rival.recovered)}"


def by_themselves(parts: PartsEvidence) -> str:
    """Which of the named parts are not shown by themselves; empty where all are.

    >>> by_themselves(PartsEvidence((), None, (), (), 0.01))  # type: ignore[arg-type]
    ''
    """
    said: list[str] = []
    for verdict in ("undecided", "not shown"):
        named = [short(part.at) for part in parts.named if part.verdict == verdict]
        if named:
            lowest = min(part.p for part in parts.named if part.verdict == verdict)
            alone = "by itself" if len(named) == 1 else "by themselves"
            are = "is" if len(named) == 1 else "are"
            said.append(f"{listed(named)} {are} {verdict} {alone} (joint p from {lowest:.2g})")
    if said and parts.floor > ALPHA:
        said.append(f"these pairs have too few templates for any p below {parts.floor:.2g}")
    return "; ".join(said)


def feeding_words(evidence: CompositionEvidence) -> str:
    """Which named part feeds which, for a claim: the strongest path; empty where none is shown."""
    if not evidence.fed:
        return ""
    path = evidence.fed[0]
    sender, receiver = (_kind(evidence, at) for at in (path.sender, path.receiver))
    through = {"q": "queries", "k": "keys", "v": "values"}.get(path.reads, "input")
    return (
        f"{sender} feeds the {through} of {receiver}: that path alone restores "
        f"{share(path.restores)} of the answer and costs {share(path.loses)}"
    )


def _kind(evidence: CompositionEvidence, at: str) -> str:
    kind = evidence.kind(at)
    return f"{short(at)} ({kind})" if kind else short(at)


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
    together, them = ("", "it") if len(told.mechanism.components) == 1 else (" together", "them")
    return (
        f"Refuted if, on new {task} pairs for the same weights, patching {told.name}{together} "
        f"recovers less than {percent(ENOUGH)} of the distance from corrupt to clean, or no more "
        f"than random parts of the same kinds do, or if giving {them} corrupt values costs less "
        f"than {percent(ENOUGH)} of it."
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
