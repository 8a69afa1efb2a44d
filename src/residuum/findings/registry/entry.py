"""What the index knows of a finding, and what it was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.core import OptionError
from residuum.findings.finding import Finding
from residuum.findings.record.mechanism import Kind, Origin
from residuum.findings.record.rules import Status, present
from residuum.findings.record.transfer_evidence import Verdict
from residuum.findings.registry.measured import Measured, idle_ones, shown_parts

STATUSES = ("supported", "not supported", "undecided")


@dataclass(frozen=True)
class Entry:
    """One finding of a registry, without its evidence.

    Attributes:
        hash: of the finding, and the name of its file.
        model, weights: name and hash.
        task, task_hash: name and hash of the pairs.
        status: of the finding.
        origin: ``found`` or ``given``.
        kind: of mechanism.
        components: addresses.
        given: hash of the circuit or direction that was examined; empty for components.
        budget: its name.
        claim: as it stands.
        claim_built: the sentence that was built, where the claim is worded by hand; else empty.
        transfer_of: hash of the finding that was tried there; empty where it was not transferred.
        metric: what the effects are measured in.
        present: whether the behaviour is there.
        shown: named parts that are shown by themselves.
        idle: parts that its sweeps do not show, and named ones that do nothing.
        verdict: of the transfer; None without.
    """

    hash: str
    model: str
    weights: str
    task: str
    task_hash: str
    status: Status
    origin: Origin
    kind: Kind
    components: tuple[str, ...]
    given: str
    budget: str
    claim: str
    claim_built: str
    transfer_of: str
    metric: str
    present: bool
    shown: tuple[Measured, ...]
    idle: tuple[Measured, ...]
    verdict: Verdict | None = None

    @property
    def short(self) -> str:
        """The first 8 characters of the hash."""
        return self.hash[:8]


def entry_of(finding: Finding, given: str) -> Entry:
    """What the index keeps of a finding.

    Args:
        finding: to be kept.
        given: hash of its circuit or direction, or empty.
    """
    tried = finding.transfer
    return Entry(
        hash=finding.hash,
        model=finding.provenance.model_id,
        weights=finding.provenance.weight_hash,
        task=finding.task["name"],
        task_hash=finding.provenance.task_hash,
        status=finding.status,
        origin=finding.origin,
        kind=finding.kind,
        components=finding.components,
        given=given,
        budget=finding.budget.name,
        claim=finding.claim,
        claim_built=finding.claim_built or "",
        transfer_of="" if tried is None else tried.origin.hash,
        metric=finding.metric,
        present=present(finding.rules),
        shown=shown_parts(finding),
        idle=idle_ones(finding),
        verdict=None if tried is None else tried.verdict,
    )


@dataclass(frozen=True)
class Query:
    """What is looked for; an empty text asks for nothing. All that is asked must fit.

    Attributes:
        model: part of the name, or beginning of the weight hash.
        task: name of the task.
        status: exactly.
        component: an address that is named, such as ``L2.z[H3]``, or the beginning of one (``L2``).
        text: part of the claim, whatever its case.
    """

    model: str = ""
    task: str = ""
    status: str = ""
    component: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        if self.status and self.status not in STATUSES:
            raise OptionError(f"no status {self.status!r}", mend=f"one of: {', '.join(STATUSES)}")

    def fits(self, entry: Entry) -> bool:
        """Whether a finding is looked for.

        >>> Query().fits(None)  # type: ignore[arg-type]
        True
        """
        return all(
            test()
            for asked, test in (
                (self.model, lambda: self._of_model(entry)),
                (self.task, lambda: self.task == entry.task),
                (self.status, lambda: self.status == entry.status),
                (self.component, lambda: any(map(self._names, entry.components))),
                (
                    self.text,
                    lambda: self.text.lower() in f"{entry.claim} {entry.claim_built}".lower(),
                ),
            )
            if asked
        )

    def _of_model(self, entry: Entry) -> bool:
        return self.model in entry.model or entry.weights.startswith(self.model)

    def _names(self, at: str) -> bool:
        return at == self.component or at.startswith(f"{self.component}.")
