"""What the page needs of a review; the record itself is in ``audit``."""

from __future__ import annotations

from typing import Protocol

from residuum.core import Provenance
from residuum.findings.audit.answer import Answer
from residuum.findings.audit.suite import Suite


class Reviewed(Protocol):
    """A review, as its page sees it."""

    @property
    def suite(self) -> Suite:
        """The questions."""
        ...

    @property
    def answers(self) -> tuple[Answer, ...]:
        """One for each."""
        ...

    @property
    def not_tested(self) -> tuple[str, ...]:
        """What no answer is about."""
        ...

    @property
    def provenance(self) -> Provenance:
        """Of the model."""
        ...

    @property
    def against(self) -> Provenance | None:
        """Of the twin."""
        ...

    @property
    def concerns(self) -> tuple[Answer, ...]:
        """Answers that give cause for concern."""
        ...

    @property
    def summary(self) -> str:
        """One or two sentences."""
        ...

    @property
    def hash(self) -> str:
        """Of everything in it."""
        ...
