"""What report and pictures need of a finding; the record itself is in ``finding``."""

from __future__ import annotations

from typing import Any, Protocol

from residuum.core import Provenance
from residuum.findings.record.budget import Budget
from residuum.findings.record.circuit_evidence import CircuitEvidence
from residuum.findings.record.composition_evidence import CompositionEvidence
from residuum.findings.record.controls_evidence import ControlsEvidence
from residuum.findings.record.direction_evidence import DirectionEvidence
from residuum.findings.record.evidence import (
    BehaviourEvidence,
    LensEvidence,
    Sample,
    WhereEvidence,
)
from residuum.findings.record.mechanism import Kind, Origin
from residuum.findings.record.part_evidence import PartsEvidence, RolesEvidence
from residuum.findings.record.robustness_evidence import RobustnessEvidence
from residuum.findings.record.rules import Rule, Status
from residuum.findings.record.shared_evidence import SharedEvidence
from residuum.findings.record.specificity_evidence import SpecificityEvidence
from residuum.findings.record.transfer_evidence import TransferEvidence
from residuum.findings.record.whole_evidence import WholeEvidence


class Found(Protocol):
    """A finding, as its readers see it."""

    @property
    def claim(self) -> str:
        """The claim as one sentence."""
        ...

    @property
    def claim_built(self) -> str | None:
        """The claim that was built, where a person worded another; else None."""
        ...

    @property
    def status(self) -> Status:
        """Decided by the rules."""
        ...

    @property
    def falsifier(self) -> str:
        """What would refute it."""
        ...

    @property
    def scope(self) -> tuple[str, ...]:
        """What it is about."""
        ...

    @property
    def limits(self) -> tuple[str, ...]:
        """What it does not say."""
        ...

    @property
    def origin(self) -> Origin:
        """Searched for, or stated by the caller."""
        ...

    @property
    def kind(self) -> Kind:
        """Of the mechanism."""
        ...

    @property
    def components(self) -> tuple[str, ...]:
        """Addresses of the named heads."""
        ...

    @property
    def intervention(self) -> str:
        """What was done."""
        ...

    @property
    def metric(self) -> str:
        """Name of the metric."""
        ...

    @property
    def unit(self) -> str:
        """Of the metric."""
        ...

    @property
    def budget(self) -> Budget:
        """What was spent."""
        ...

    @property
    def rules(self) -> tuple[Rule, ...]:
        """How the status was decided."""
        ...

    @property
    def behaviour(self) -> BehaviourEvidence:
        """Is it there."""
        ...

    @property
    def lens(self) -> LensEvidence:
        """Where it becomes readable."""
        ...

    @property
    def where(self) -> WhereEvidence | None:
        """Where it can be moved from."""
        ...

    @property
    def parts(self) -> PartsEvidence | None:
        """Which heads."""
        ...

    @property
    def roles(self) -> RolesEvidence | None:
        """What they do for the answer."""
        ...

    @property
    def given(self) -> dict[str, Any] | None:
        """The circuit or direction that was examined, as plain data."""
        ...

    @property
    def whole(self) -> WholeEvidence | None:
        """A circuit or direction that was examined."""
        ...

    @property
    def shared(self) -> SharedEvidence | None:
        """What both prompts need alike."""
        ...

    @property
    def circuit(self) -> CircuitEvidence | None:
        """Which edges carry it."""
        ...

    @property
    def direction(self) -> DirectionEvidence | None:
        """Does one direction carry it."""
        ...

    @property
    def robustness(self) -> RobustnessEvidence | None:
        """Does it hold elsewhere."""
        ...

    @property
    def specificity(self) -> SpecificityEvidence | None:
        """Is it this behaviour."""
        ...

    @property
    def composition(self) -> CompositionEvidence | None:
        """How they work together."""
        ...

    @property
    def controls(self) -> ControlsEvidence | None:
        """What is found where there should be nothing."""
        ...

    @property
    def transfer(self) -> TransferEvidence | None:
        """What was tried here, where it comes from another model."""
        ...

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Some of the pairs."""
        ...

    @property
    def task(self) -> dict[str, Any]:
        """The pairs as token ids."""
        ...

    @property
    def provenance(self) -> Provenance:
        """Where it comes from."""
        ...

    @property
    def hash(self) -> str:
        """Of everything in it."""
        ...
