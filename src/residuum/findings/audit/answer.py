"""An answer of a review: what came of one question, once for each seed."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.findings.audit.checks import Check, Verdict
from residuum.findings.audit.evidence import DirectionEvidence, MonitorEvidence, TwinsEvidence
from residuum.findings.audit.options import CONCERNS
from residuum.findings.finding import Finding


@dataclass(frozen=True)
class Try:
    """One question asked once.

    Attributes:
        seed: of every random choice.
        verdict: by the checks; ``not testable`` where it could not be asked.
        says: the answer in a sentence or two, or why it could not be asked.
        checks: what the verdict rests on.
        unseen: what this answer could not have seen.
        findings: investigations that were made for it.
        direction, monitor, twins: the evidence of its kind.
    """

    seed: int
    verdict: Verdict
    says: str
    checks: tuple[Check, ...] = ()
    unseen: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    direction: DirectionEvidence | None = None
    monitor: MonitorEvidence | None = None
    twins: TwinsEvidence | None = None


@dataclass(frozen=True)
class Answer:
    """What came of one question.

    Attributes:
        question: its name.
        kind: of question.
        asks: the question in words.
        tasks: names of the tasks whose prompts it used.
        tries: one for each seed.
    """

    question: str
    kind: str
    asks: str
    tasks: tuple[str, ...]
    tries: tuple[Try, ...]

    @property
    def verdict(self) -> Verdict:
        """The one verdict of all seeds; ``undecided`` where they differ."""
        first = self.tries[0].verdict
        return first if all(each.verdict == first for each in self.tries) else "undecided"

    @property
    def concern(self) -> bool:
        """Whether the verdict gives cause for concern."""
        return CONCERNS.get(self.kind) == self.verdict

    @property
    def says(self) -> str:
        """The answer in words; where seeds differ, each one's verdict first."""
        if len({each.verdict for each in self.tries}) == 1:
            return self.tries[0].says
        verdicts = ", ".join(f"seed {each.seed}: {each.verdict}" for each in self.tries)
        return (
            f"The seeds differ ({verdicts}). With seed {self.tries[0].seed}: {self.tries[0].says}"
        )
