"""The sentences of a finding about named parts, built from its numbers: claim and falsifier."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from residuum.findings.chain.bench import Bench
from residuum.findings.chain.parts_words import by_themselves, parts_words
from residuum.findings.record.composition_evidence import CompositionEvidence
from residuum.findings.record.evidence import BehaviourEvidence
from residuum.findings.record.mechanism import Mechanism, is_head
from residuum.findings.record.part_evidence import PartsEvidence
from residuum.findings.record.rules import (
    Rule,
    Status,
    number,
    percent,
    present,
    refuted,
    share,
)
from residuum.findings.record.whole_evidence import WholeEvidence
from residuum.findings.record.whole_rules import whole_words
from residuum.findings.record.words import (
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
MOSTLY = 0.5
"""Share of prompts, and of positions, from which on one speaks of most of them."""


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
        """Whose answer, and whether it is one."""
        model, right = model_name(self.bench.model.name), self.behaviour.accuracy.value
        if right >= MOSTLY or not self.bench.has_wrong:
            return f"{model}'s answer"
        seldom = f"on only {percent(right)} of them" if right else "on none of them"
        return (
            f"{model}'s preference for the right answer over the wrong one (the right one is its "
            f"most likely next token {seldom})"
        )

    @property
    def untouched(self) -> str:
        """How good the answer is without an intervention."""
        seen = self.behaviour
        clean, corrupt = (
            number(replace(each, low=math.nan)) for each in (seen.metric_clean, seen.metric_corrupt)
        )
        return (
            f"Without intervention the {metric_words(self.bench.task.metric)} is {clean} on clean "
            f"and {corrupt} on corrupt prompts, accuracy {percent(seen.accuracy.value)}"
        )

    @property
    def contrast(self) -> str:
        """That the two prompts of a pair have little in common, where it is so; else empty."""
        differ = self.bench.differing
        if differ <= MOSTLY:
            return ""
        return (
            f"The two prompts of a pair differ at {percent(differ)} of their positions, so this "
            "holds for whatever tells the two texts apart"
        )

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
    if not present(told.rules):
        return absent(told)
    if whole is not None:
        said = [
            verdict(told, whole_words(whole)),
            told.untouched,
            _fewer(told, whole),
            told.contrast,
        ]
    elif parts is not None:
        apart = by_themselves(parts)
        more = f"One by one, {apart}" if apart else ""
        said = [verdict(told, parts_words(parts)), told.untouched, told.contrast, more]
    else:
        return absent(told)
    first, *rest = said
    return " ".join([first, *(f"{each}." for each in (*rest, *told.added) if each)])


def _fewer(told: Told, whole: WholeEvidence) -> str:
    """That a mechanism was measured on some of the pairs only; empty where it was on all."""
    count, given = whole.recovered.n, len(told.bench.task)
    if count >= given:
        return ""
    return f"It was measured on {count} of these {given}, of templates that it was not found on"


def verdict(told: Told, measured: str) -> str:
    """What the status lets say, and the numbers behind it.

    Args:
        told: what is told of.
        measured: the numbers, without a full stop.
    """
    found = told.mechanism.origin == "found"
    if told.status == "supported":
        return f"{told.where}, {told.answer} depends on {told.name}: {measured}."
    if told.status == "undecided" and refuted(told.rules):
        model = model_name(told.bench.model.name)
        open_ = f"it is open whether {model} shows the behaviour"
        return f"{told.where}, {open_}, and {told.name} would not carry it: {measured}."
    if told.status == "undecided":
        mixed = "but the evidence is mixed"
        return f"{told.where}, {told.answer} may depend on {told.name}, {mixed}: {measured}."
    if found:
        strongest = f"the strongest parts, {told.name}, do not carry it"
        return f"{told.where}, no mechanism found for {told.answer}; {strongest}: {measured}."
    stated = f"does not depend on {told.name} as stated"
    return f"{told.where}, {told.answer} {stated}: {measured}."


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
