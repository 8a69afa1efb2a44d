"""The verb: ask a model every question of a suite, and put the answers together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from residuum.core import (
    SILENT,
    AddressError,
    Progress,
    ShapeError,
    TaskError,
    TokenError,
)
from residuum.core.provenance import Provenance
from residuum.findings.audit.answer import Answer, Try
from residuum.findings.audit.asked import Asked
from residuum.findings.audit.audit import SCHEMA, Audit
from residuum.findings.audit.direction_question import ask_bypass, ask_separable
from residuum.findings.audit.heads_question import ask_heads
from residuum.findings.audit.monitor_question import ask_monitor
from residuum.findings.audit.noise_twin import check_twins
from residuum.findings.audit.options import HeadsOptions, TwinsOptions
from residuum.findings.audit.suite import Question, Suite
from residuum.findings.audit.twins_question import ask_twins
from residuum.findings.audit.untested import untested
from residuum.findings.chain.further import chosen_stages
from residuum.findings.chain.software import code_hash, software
from residuum.findings.chain.stages import Stages
from residuum.findings.record.budget import budget_named
from residuum.findings.record.plain import to_plain
from residuum.runs import Model, need_model, task_names

ASK: dict[str, Callable[[Asked, Any], Try]] = {
    "heads": ask_heads,
    "bypass": ask_bypass,
    "separable": ask_separable,
    "monitor": ask_monitor,
    "twins": ask_twins,
}
"""Kind of question -> what asks it."""
UNFIT = (TaskError, TokenError, AddressError, ShapeError)
"""Errors which say that a question does not fit the model, rather than that the suite is wrong."""


def audit(
    model: Model,
    suite: Suite | str | Path = "microworld",
    *,
    against: Model | None = None,
    out: str | Path | None = None,
    progress: Progress = SILENT,
) -> Audit:
    """Review a model: ask every question of a suite, and answer each by stated rules.

    Args:
        model: under review.
        suite: a suite, a TOML file, or the name of one that ships: ``microworld``, ``chat``.
        against: the clean twin that the model was fine-tuned from, for questions about twins.
        out: folder in which finished questions are kept, so that an interrupted review goes on
            where it stopped. Nothing else is written; see :meth:`Audit.save`.
        progress: who is told.

    Returns:
        The answers, each with its verdict and what it rests on, and what was not tested. A
        question that does not fit the model is answered ``not testable``, with the reason.

    Raises:
        LoadError: no such suite; a twin with another tokenizer or shape.
        OptionError: an unknown key, option or stage in the suite.

    Shows, Does not show: as :class:`Audit`.

    >>> import residuum as rz
    >>> review = rz.audit(rz.load("microworld"), "chat")
    >>> review["refusal"].verdict
    'not testable'
    """
    need_model(model, "audit")
    chosen = suite if isinstance(suite, Suite) else Suite.load(suite)
    _check(chosen, model, against)
    review = _Review(model, against, chosen, None if out is None else Path(out), progress)
    answers = tuple(review.answer(number, each) for number, each in enumerate(chosen.questions))
    return Audit(
        suite=chosen,
        answers=answers,
        not_tested=untested(model, chosen, answers),
        provenance=_provenance(model, chosen),
        against=None if against is None else _provenance(against, chosen),
    )


def _check(suite: Suite, model: Model, against: Model | None) -> None:
    """Refuse what would stop a review half-way."""
    if against is not None:
        need_model(against, "audit")
        check_twins(model, against)
    for each in suite.questions:
        if isinstance(each.options, HeadsOptions):
            chosen_stages(each.options.stages)


def _provenance(model: Model, suite: Suite) -> Provenance:
    return model.provenance(
        task_hash=suite.hash,
        strategy=f"audit(suite={suite.name}, budget={suite.budget})",
        seed=suite.seeds[0],
        software=software(),
    )


@dataclass(frozen=True, eq=False)
class _Review:
    """A review under way."""

    model: Model
    against: Model | None
    suite: Suite
    out: Path | None
    progress: Progress

    def answer(self, number: int, question: Question) -> Answer:
        tries = tuple(
            self.tried(number * len(self.suite.seeds) + at, question, seed)
            for at, seed in enumerate(self.suite.seeds)
        )
        return Answer(question.name, question.kind, question.asks,
                      tasks_of(question, self.model), tries)  # fmt: skip

    def tried(self, step: int, question: Question, seed: int) -> Try:
        """Kept from an earlier run of the same question on the same models, or asked now."""
        inputs = {
            "schema": SCHEMA,
            "code": code_hash(),
            "models": [self.model.adapted.weight_hash,
                       None if self.against is None else self.against.adapted.weight_hash],
            "dtype": str(self.model.dtype),
            "question": to_plain(question),
            "budget": self.suite.budget,
            "seed": seed,
        }  # fmt: skip
        whole = len(self.suite.questions) * len(self.suite.seeds)
        told = Numbered(self.progress, f"{step + 1}/{whole} {question.name}:")
        asked = Asked(self.model, self.against, budget_named(self.suite.budget), seed,
                      self.out, told)  # fmt: skip
        stages = Stages(self.out, inputs)
        return stages.run("question", Try, lambda: ask(question, asked))


def ask(question: Question, asked: Asked) -> Try:
    """Ask one question; where it does not fit the model, the answer says so."""
    try:
        return ASK[question.kind](asked, question.options)
    except UNFIT as error:
        where = f" [{error.where}]" if error.where else ""
        return Try(asked.seed, "not testable", f"{error.what}{where}; {error.mend}.")


def tasks_of(question: Question, model: Model) -> tuple[str, ...]:
    """Names of the tasks whose prompts a question uses."""
    options = question.options
    if isinstance(options, (HeadsOptions, TwinsOptions)):
        return options.tasks or task_names(model)
    return tuple(
        name
        for each in fields(options)
        if each.name in ("task", "statements")
        for name in (getattr(options, each.name),)
    )


@dataclass(frozen=True)
class Numbered:
    """Hands progress on, with the number and the name of the question in front of each stage."""

    inner: Progress
    number: str

    def start(self, stage: str, total: int) -> None:
        """A stage begins."""
        self.inner.start(f"{self.number} {stage}", total)

    def advance(self, steps: int = 1) -> None:
        """Steps are finished."""
        self.inner.advance(steps)

    def finish(self) -> None:
        """The stage is over."""
        self.inner.finish()
