"""Stages beyond the core: each an optional field of the finding, with its own rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from residuum.core import OptionError, Progress
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.circuit_stage import circuit
from residuum.findings.chain.claim import feeding_words
from residuum.findings.chain.composition_stage import composition
from residuum.findings.chain.controls_stage import controls
from residuum.findings.chain.direction_stage import stream_direction
from residuum.findings.chain.lever import Lever
from residuum.findings.chain.levers import lever_of
from residuum.findings.chain.robustness_stage import robustness
from residuum.findings.chain.shared_stage import shared
from residuum.findings.chain.specificity_stage import specificity
from residuum.findings.record.budget import Budget
from residuum.findings.record.circuit_evidence import CircuitEvidence
from residuum.findings.record.composition_evidence import CompositionEvidence
from residuum.findings.record.controls_evidence import ControlsEvidence
from residuum.findings.record.controls_rules import attending_words
from residuum.findings.record.direction_evidence import DirectionEvidence
from residuum.findings.record.direction_rules import direction_note
from residuum.findings.record.mechanism import Kind, Mechanism
from residuum.findings.record.robustness_evidence import RobustnessEvidence
from residuum.findings.record.robustness_rules import (
    robustness_notes,
    robustness_words,
)
from residuum.findings.record.shared_evidence import SharedEvidence
from residuum.findings.record.shared_rules import shared_words
from residuum.findings.record.specificity_evidence import SpecificityEvidence
from residuum.findings.record.specificity_rules import specificity_words
from residuum.runs import Model


@dataclass(frozen=True)
class Work:
    """What a further stage is given.

    Attributes:
        choose, bench: the choosing half and the measuring half.
        mechanism: what the claim names.
        budget: what may be spent.
        progress: who is told.
        held: evidence of the stages before, by field of the finding.
        also: other models that are asked the same.
    """

    choose: Bench
    bench: Bench
    mechanism: Mechanism
    budget: Budget
    progress: Progress
    held: Mapping[str, Any]
    also: tuple[Model, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """Addresses of what is named."""
        return self.mechanism.components

    @property
    def lever(self) -> Lever:
        """The mechanism as something to move and to remove."""
        return lever_of(self.mechanism, self.bench)

    @property
    def fair(self) -> Bench:
        """The pairs of the measuring half that the mechanism was not found on."""
        allowed = self.lever.allowed(self.bench.task)
        return self.bench if allowed is self.bench.task else replace(self.bench, task=allowed)


@dataclass(frozen=True)
class Further:
    """One optional stage; its rules are in :data:`FOLLOWS`.

    Attributes:
        name: of the stage, and of the finding's field.
        kind: record type of its evidence.
        compute: does the work.
        words: what it adds to the claim, without a full stop; empty where nothing.
        notes: what it adds to the scope; empty where nothing.
        kinds: of mechanisms that it can be asked of.
    """

    name: str
    kind: type[Any]
    compute: Callable[[Work], Any]
    words: Callable[[Any], str] = lambda evidence: ""
    notes: Callable[[Any], str] = lambda evidence: ""
    kinds: tuple[Kind, ...] = ("components",)


def _circuit(work: Work) -> CircuitEvidence:
    return circuit(work.choose, work.bench, work.parts, work.budget, work.progress)


def _shared(work: Work) -> SharedEvidence:
    return shared(
        work.choose, work.bench, work.parts, work.held["where"], work.budget, work.progress
    )


def _composition(work: Work) -> CompositionEvidence:
    """Between the named parts, the writers, and heads that both prompts need alike."""
    also = work.held["shared"].needed if "shared" in work.held else ()
    more = dict.fromkeys((*work.held["roles"].writers, *(head.at for head in also)))
    return composition(work.bench, work.parts, work.budget, work.progress, writers=tuple(more))


def _direction(work: Work) -> DirectionEvidence:
    return stream_direction(work.choose, work.bench, work.budget, work.progress)


def _robustness(work: Work) -> RobustnessEvidence:
    return robustness(
        work.choose, work.fair, work.lever, work.budget, work.progress,
        removals=work.held["parts"].removals if "parts" in work.held else (),
        impossible=work.held["parts"].left_out if "parts" in work.held else (),
        also=work.also, found=work.mechanism.origin == "found",
    )  # fmt: skip


def _specificity(work: Work) -> SpecificityEvidence:
    return specificity(work.fair, work.lever, work.budget, work.progress)


def _controls(work: Work) -> ControlsEvidence:
    return controls(work.fair, work.lever, work.budget, work.progress)


_ALL: tuple[Kind, ...] = ("components", "circuit", "direction")

FURTHER: tuple[Further, ...] = (
    Further("circuit", CircuitEvidence, _circuit),
    Further("shared", SharedEvidence, _shared, shared_words),
    Further("composition", CompositionEvidence, _composition, feeding_words),
    Further("direction", DirectionEvidence, _direction, notes=direction_note),
    Further("specificity", SpecificityEvidence, _specificity, specificity_words, kinds=_ALL),
    Further(
        "robustness",
        RobustnessEvidence,
        _robustness,
        robustness_words,
        robustness_notes,
        _ALL,
    ),
    Further("controls", ControlsEvidence, _controls, notes=attending_words, kinds=_ALL),
)
"""All optional stages, in the order in which they run."""


def chosen_stages(names: Sequence[str] | None) -> tuple[Further, ...]:
    """The optional stages of these names; all for None.

    Raises:
        OptionError: there is no stage of a name; the error lists those that exist.
    """
    if names is None:
        return FURTHER
    known = {each.name: each for each in FURTHER}
    for name in names:
        if name not in known:
            there = f"some of: {', '.join(known)}" if known else "none, as stages=()"
            raise OptionError(f"no further stage {name!r}", mend=there)
    return tuple(each for each in FURTHER if each.name in names)
