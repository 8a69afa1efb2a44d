"""A review: the answers to a suite's questions, what they rest on, and what was not tested."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.findings.audit.answer import Answer
from residuum.findings.audit.audit_page import answer_table, audit_html
from residuum.findings.audit.suite import Suite
from residuum.findings.record.plain import from_plain
from residuum.findings.record.record_file import RecordFile, write_files
from residuum.findings.record.ruling import check_ruling

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Table

SCHEMA = "residuum.audit/1"
FILED = RecordFile(SCHEMA, "audit", "audit")
FILE, PAGE = FILED.name, "audit.html"


@dataclass(frozen=True, repr=False)
class Audit:
    """What a review of a model found, and what it did not test.

    Shows: for each question whether stated rules hold on these prompts of this model. Does not
    show: that a model is safe. Where nothing was found, ``not_tested`` and each answer's ``unseen``
    say what could not have been seen.

    Attributes:
        suite: the questions.
        answers: one for each, in their order.
        not_tested: what no answer is about.
        provenance: model, weights, tokenizer, seed, software.
        against: the same of the twin; None without one.
    """

    suite: Suite
    answers: tuple[Answer, ...]
    not_tested: tuple[str, ...]
    provenance: Provenance
    against: Provenance | None

    def __getitem__(self, question: str) -> Answer:
        """The answer to the question of this name."""
        found = {each.question: each for each in self.answers}
        if question not in found:
            raise KeyError(f"no question {question!r}; there are {', '.join(found)}")
        return found[question]

    @property
    def concerns(self) -> tuple[Answer, ...]:
        """Answers that give cause for concern."""
        return tuple(each for each in self.answers if each.concern)

    @property
    def summary(self) -> str:
        """One or two sentences on all of it."""
        asked = [each for each in self.answers if each.verdict != "not testable"]
        absent = [each for each in asked if each.verdict == "behaviour absent"]
        undecided = [each for each in asked if each.verdict == "undecided"]
        found = self.concerns
        said = (
            f"{len(found)} of {len(self.answers)} questions give cause for concern: "
            f"{', '.join(each.question for each in found)}."
            if found
            else f"None of {len(self.answers)} questions gave cause for concern. That is no proof "
            "that the model is safe: read what was not tested."
        )
        rest = [
            f"{len(group)} {words}"
            for group, words in (
                (undecided, "undecided"),
                (absent, "about behaviours that the model does not have"),
                ([each for each in self.answers if each not in asked], "could not be asked"),
            )
            if group
        ]
        return f"{said} {', '.join(rest).capitalize()}.".strip() if rest else said

    @property
    def hash(self) -> str:
        """SHA-256 over everything in it."""
        return self.to_json()["hash"]

    def __repr__(self) -> str:
        lines = [f"Audit({self.provenance.model_id}, suite {self.suite.name})"]
        lines += [f"  {each.question}: {each.verdict}" for each in self.answers]
        return "\n".join([*lines, f"  {self.summary}"])

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def figure(self) -> Table:
        """The questions with their answers."""
        return answer_table(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each check: question, kind, seed, verdict, check, outcome, found."""
        import pandas as pd

        columns = ("question", "kind", "seed", "verdict", "check", "about", "outcome", "found")
        rows = [
            (answer.question, answer.kind, each.seed, each.verdict, check.name, check.about,
             check.outcome, check.found)
            for answer in self.answers
            for each in answer.tries
            for check in each.checks
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=list(columns))

    def to_json(self) -> dict[str, Any]:
        """Plain data with schema and hash; NaN as None."""
        return FILED.sealed(self)

    @staticmethod
    def from_json(data: Any) -> Audit:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: not an audit, another schema, an unknown key or a missing one.
            CheckFailed: changed after it was written, or one of its findings says what does not
                follow from its evidence.
        """
        return _read(FILED.opened(data))

    @staticmethod
    def load(path: str | Path) -> Audit:
        """Read an audit from ``audit.json``, or from the folder that it lies in.

        Raises:
            LoadError: no such file, or not JSON.
            StoreError, CheckFailed: as :meth:`from_json`.
        """
        return Audit.from_json(FILED.read(path))

    def save(self, folder: str | Path) -> Path:
        """Write ``audit.json`` and ``audit.html`` into a folder, and every finding beside them.

        Findings stand in ``findings/QUESTION/TASK-SEED``, each with its own report.

        Returns:
            The path of ``audit.json``.

        Raises:
            StoreError: a folder that cannot be written to.
        """
        folder = Path(folder)
        files = {FILE: FILED.text(self), PAGE: audit_html(self).encode()}
        for answer in self.answers:
            for each in answer.tries:
                for number, finding in enumerate(each.findings):
                    finding.save(folder / finding_folder(answer, each.seed, number))
        write_files(folder, files, "the audit")
        return folder / FILE


def finding_folder(answer: Answer, seed: int, number: int) -> Path:
    """Where a finding is saved, below the audit's folder."""
    plain = "".join(c if c.isalnum() else "-" for c in answer.question)
    return Path("findings") / plain / f"{number + 1}-seed{seed}"


def _read(data: Any) -> Audit:
    """The record; options are read by their question's kind."""
    from residuum.findings.audit.suite import suite_from_plain

    plain = dict(data)
    suite = suite_from_plain(plain.pop("suite"))
    rest = from_plain(_AuditBody, plain, "audit")
    for finding in (each for answer in rest.answers for told in answer.tries
                    for each in told.findings):  # fmt: skip
        check_ruling(finding)
    return Audit(suite, rest.answers, rest.not_tested, rest.provenance, rest.against)


@dataclass(frozen=True)
class _AuditBody:
    """An audit without its suite, as it is read."""

    answers: tuple[Answer, ...]
    not_tested: tuple[str, ...]
    provenance: Provenance
    against: Provenance | None
