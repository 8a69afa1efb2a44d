"""Who makes labels and answers questions about them: statistics, or a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from residuum.dictionaries.labels.answer_file import AnswerFile
from residuum.dictionaries.labels.calls import Calls, most_of
from residuum.dictionaries.labels.cost import Budget, Cost, Estimate
from residuum.dictionaries.labels.endpoint import Endpoint
from residuum.dictionaries.labels.latent_examples import LatentExamples
from residuum.dictionaries.labels.prompts import (
    PROMPT_HASH,
    explain_messages,
    question_messages,
)
from residuum.dictionaries.labels.replies import LONGEST_LABEL, answers_in, label_in
from residuum.dictionaries.labels.rules import Rule
from residuum.dictionaries.labels.score import Answers
from residuum.dictionaries.labels.token_statistics import TokenStatistics, rule_answers
from residuum.dictionaries.labels.trials import Questions, Trial

_BYTES_A_TOKEN, _TOKENS_A_LABEL, _TOKENS_AN_ANSWER = 4, 40, 3
_USUAL_LABEL = "x" * 80


@dataclass(frozen=True)
class Explanation:
    """A label as it was made.

    Attributes:
        text: in words; empty if the reply could not be read.
        rule: if it is one about tokens.
    """

    text: str
    rule: Rule | None = None


class Labeller(Protocol):
    """Makes labels and answers questions about them; a context manager."""

    @property
    def concurrency(self) -> int:
        """Calls at a time."""
        ...

    @property
    def cost(self) -> Cost | None:
        """Of all answers; None if it costs nothing."""
        ...

    @property
    def unread(self) -> int:
        """Replies that had not the form asked for."""
        ...

    def explain(self, trial: Trial) -> Explanation:
        """Make a label."""
        ...

    def answer(self, explanation: Explanation, questions: Questions) -> Answers:
        """Answer questions with nothing but the label and the contexts."""
        ...

    def stop(self) -> None:
        """Make no more calls."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


@dataclass(frozen=True, eq=False)
class ByStatistics:
    """Labels by rules about tokens.

    Attributes:
        strategy: how they are found.
        examples: what from.
    """

    strategy: TokenStatistics
    examples: LatentExamples
    concurrency: int = 1
    cost: Cost | None = None
    unread: int = 0

    def explain(self, trial: Trial) -> Explanation:
        """See :class:`Labeller`."""
        rule = self.strategy.rule(self.examples, trial)
        return Explanation(rule.words(self.examples.words), rule)

    def answer(self, explanation: Explanation, questions: Questions) -> Answers:
        """See :class:`Labeller`."""
        assert explanation.rule is not None
        return rule_answers(explanation.rule, self.examples, questions)

    def stop(self) -> None:
        """Nothing to stop."""

    def close(self) -> None:
        """Nothing to close."""


class ByEndpoint:
    """Labels by a language model.

    Args:
        endpoint: where it is.
        examples: what it reads.
        keep: file of answers, or None.
        max_cost: in the price's currency, of all answers in that file; None for no limit.
    """

    def __init__(
        self, endpoint: Endpoint, examples: LatentExamples, keep: Any, max_cost: float | None
    ) -> None:
        self.endpoint, self.examples = endpoint, examples
        self._answers = AnswerFile(keep)
        try:
            kept = self._answers.answers.values()
            spent = Cost(len(kept), sum(each.tokens_in for each in kept),
                         sum(each.tokens_out for each in kept), endpoint.price)  # fmt: skip
            self.calls = Calls(endpoint, self._answers, Budget(spent, max_cost))
        except BaseException:
            self._answers.__exit__(None, None, None)
            raise
        self._unread: list[None] = []  # appended to by several threads

    @property
    def unread(self) -> int:
        """See :class:`Labeller`."""
        return len(self._unread)

    @property
    def concurrency(self) -> int:
        """See :class:`Labeller`."""
        return self.endpoint.concurrency

    @property
    def cost(self) -> Cost:
        """See :class:`Labeller`."""
        return self.calls.cost

    def explain(self, trial: Trial) -> Explanation:
        """See :class:`Labeller`."""
        found = label_in(self.calls.ask(explain_messages(self.examples, trial)))
        self._unread += [None] * (found is None)
        return Explanation(found or "")

    def answer(self, explanation: Explanation, questions: Questions) -> Answers:
        """See :class:`Labeller`."""
        found: list[bool | None] = []
        for which in batches(len(questions), self.endpoint.questions):
            asked = question_messages(explanation.text, self.examples, questions, which)
            told = answers_in(self.calls.ask(asked), len(which))
            self._unread += [None] * (told is None)
            found += [None] * len(which) if told is None else told
        return found

    def stop(self) -> None:
        """See :class:`Labeller`."""
        self.calls.stop()

    def close(self) -> None:
        """See :class:`Labeller`."""
        self.calls.close()
        self._answers.__exit__(None, None, None)

    def __enter__(self) -> ByEndpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


def estimate(
    endpoint: Endpoint, examples: LatentExamples, some: Sequence[Trial], control: bool
) -> Estimate:
    """What labelling will cost, from the prompts themselves."""
    about, most = Cost(price=endpoint.price), Cost(price=endpoint.price)
    usual_of, longest_of = _USUAL_LABEL, "x" * (4 * LONGEST_LABEL)
    for trial in some:
        bound = most_of(explain_messages(examples, trial), endpoint)
        about, most = about.plus(_usual(bound, _TOKENS_A_LABEL)), most.plus(bound)
        for questions in (trial.detection, trial.fuzzing) * (1 + control):
            for which in batches(len(questions), endpoint.questions):
                usual, longest = (
                    most_of(question_messages(label, examples, questions, which), endpoint)
                    for label in (usual_of, longest_of)
                )
                about = about.plus(_usual(usual, _TOKENS_AN_ANSWER * (len(which) + 3)))
                most = most.plus(longest)
    return Estimate(about, most)


def batches(n: int, size: int) -> list[range]:
    """Indices of questions, so many in a call."""
    return [range(start, min(start + size, n)) for start in range(0, n, size)]


def recorded(strategy: TokenStatistics | Endpoint) -> dict[str, Any]:
    """The strategy as plain data, with the hash of what is asked."""
    found = strategy.to_json()
    return {**found, "prompt_hash": PROMPT_HASH} if isinstance(strategy, Endpoint) else found


def _usual(bound: Cost, tokens_out: int) -> Cost:
    return Cost(bound.calls, -(-bound.tokens_in // _BYTES_A_TOKEN), tokens_out)
