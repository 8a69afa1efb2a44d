"""A fact as data, and facts as token rows with the places that tracing and editing need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from residuum.core import OptionError, TokenError
from residuum.models import Batch
from residuum.runs import Model, shown
from residuum.worlds.facts import CAPITAL_FRAMES, CAPITAL_OF, FRAMES, LANGUAGE_OF, NATIONS


@dataclass(frozen=True)
class Fact:
    """What a model is to say of a subject: prompt, subject, answer.

    Attributes:
        template: the prompt with ``{}`` for the subject, such as ``"The capital of {} is"``.
        subject: the text that goes there.
        answer: the next word or words; of a request, what the model is to say from now on.
        relation: what is asked of the subject, such as ``"capital"``.

    Raises:
        OptionError: no texts, an empty one, or a template without ``{}``.

    >>> Fact("The capital of {} is", "France", "Paris").prompt
    'The capital of France is'
    """

    template: str
    subject: str
    answer: str
    relation: str = ""

    def __post_init__(self) -> None:
        for name in ("template", "subject", "answer"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise OptionError(f"a fact's {name} is {shown(value)}", mend="give a text")
        if not isinstance(self.relation, str):
            raise OptionError(
                f"a fact's relation is {shown(self.relation)}", mend="give a text, or leave it out"
            )
        if "{}" not in self.template:
            raise OptionError(
                f"the template {shown(self.template)} has no place for the subject",
                mend="write {} where the subject stands, such as 'The capital of {} is'",
            )

    @property
    def prompt(self) -> str:
        """The template with the subject in it."""
        return self.template.replace("{}", self.subject)


def microworld_facts(relation: str = "") -> tuple[Fact, ...]:
    """Every fact of microworld in each of its phrasings.

    Args:
        relation: ``"capital"`` or ``"language"``; both by default.

    Returns:
        24 countries × 4 phrasings for each relation.

    >>> len(microworld_facts("capital"))
    96
    """
    if relation not in ("", "capital", "language"):
        raise OptionError(
            f"microworld has no relation {shown(relation)}", mend="use 'capital' or 'language'"
        )
    found: list[Fact] = []
    for frame in FRAMES:
        asks = "capital" if frame in CAPITAL_FRAMES else "language"
        if relation in ("", asks):
            truth = CAPITAL_OF if asks == "capital" else LANGUAGE_OF
            template = frame.prompt.replace("{country}", "{}")
            found += [Fact(template, nation, truth[nation], asks) for nation in NATIONS]
    return tuple(found)


def need_facts(facts: Any, name: str, *, once: bool = False) -> tuple[Fact, ...]:
    """The facts, checked.

    Args:
        once: whether each template must name its subject once only.

    Raises:
        OptionError: none, something else, or a template that names its subject twice.
    """
    found = (facts,) if isinstance(facts, Fact) else facts
    if not isinstance(found, Sequence) or isinstance(found, str) or not found:
        raise OptionError(f"{name}={shown(facts)} holds no facts", mend="give a list of Fact")
    for fact in found:
        if not isinstance(fact, Fact):
            raise OptionError(f"{name} holds {shown(fact)}", mend="give Fact records alone")
        if once and fact.template.count("{}") != 1:
            raise OptionError(
                f"{fact.template!r} names its subject more than once",
                mend="use a template with one {}; others can be judged, not traced or edited",
                where=name,
            )
    return tuple(found)


@dataclass(frozen=True)
class FactRows:
    """Facts as token rows: prompt, then the answer without its last token.

    Attributes:
        batch: ids and mask, padded on the right.
        first, last: ``[row]`` position of the subject's first and last token.
        ends: ``[row]`` position of the prompt's last token, after which the answer comes.
        answers: ``[row token]`` ids of the answers, padded with -1.
    """

    batch: Batch
    first: Tensor
    last: Tensor
    ends: Tensor
    answers: Tensor

    def __len__(self) -> int:
        return len(self.ends)

    def at(self, rows: Sequence[int]) -> FactRows:
        """Some of the rows, without padding that they do not need."""
        index = torch.tensor(list(rows))
        mask = self.batch.mask
        lengths = self.batch.lengths[index]
        width = int(lengths.max())
        ids = self.batch.ids[index, :width]
        kept = None if mask is None or bool((lengths == width).all()) else mask[index, :width]
        places = (each[index] for each in (self.first, self.last, self.ends, self.answers))
        return FactRows(Batch(ids, kept), *places)

    def log_probs(self, logits: Tensor) -> Tensor:
        """Log probability of each answer, ``[row]``, nats, from ``[row pos d_vocab]``."""
        picked = self._answer_logits(logits).log_softmax(dim=-1)
        ids = self.answers.to(logits.device)
        found = picked.gather(-1, ids.clamp_min(0)[..., None])[..., 0]
        return found.masked_fill(ids < 0, 0.0).sum(dim=-1)

    def first_logits(self, logits: Tensor) -> Tensor:
        """Logit of each answer's first token, ``[row]``."""
        picked = self._answer_logits(logits)[:, 0]
        return picked.gather(-1, self.answers[:, :1].to(logits.device))[:, 0]

    def says(self, logits: Tensor) -> Tensor:
        """Whether greedy decoding says each answer, ``[row]`` bool."""
        best = self._answer_logits(logits).argmax(dim=-1)
        ids = self.answers.to(logits.device)
        return ((best == ids) | (ids < 0)).all(dim=-1)

    def _answer_logits(self, logits: Tensor) -> Tensor:
        """``[row token d_vocab]``: what predicts each token of the answer."""
        steps = torch.arange(self.answers.shape[1])
        columns = (self.ends[:, None] + steps).clamp_max(logits.shape[1] - 1).to(logits.device)
        rows = torch.arange(len(self), device=logits.device)[:, None]
        return logits[rows, columns]


def rows_of(model: Model, facts: Sequence[Fact], prefixes: Sequence[str] = ("",)) -> FactRows:
    """Facts as rows, each behind each prefix: fact by fact, prefix by prefix.

    Raises:
        TokenError: words the model does not know, or a subject whose tokens melt into others.
    """
    found = [_row(model, fact, prefix) for fact in facts for prefix in prefixes]
    width = max(len(row[-1]) for row in found)
    answers = torch.full((len(found), width), -1)
    for index, row in enumerate(found):
        answers[index, : len(row[-1])] = torch.tensor(row[-1])
    batch = model.adapted.tokens.batch([row[0] for row in found])
    first, last, ends = (torch.tensor([row[i] for row in found]) for i in (1, 2, 3))
    return FactRows(batch, first, last, ends, answers)


def _row(model: Model, fact: Fact, prefix: str) -> tuple[list[int], int, int, int, list[int]]:
    """Ids, the subject's first and last position, the prompt's last, ids of the answer."""
    tokens = model.adapted.tokens
    before, after = fact.template.rsplit("{}", 1)
    before = before.replace("{}", fact.subject)
    opening = f"{prefix} {before}".strip()
    named = f"{opening} {fact.subject}" if before.endswith(" ") or not before else (
        f"{opening}{fact.subject}"
    )  # fmt: skip
    named = named.strip()
    prompt = f"{named}{after}".rstrip()
    whole = tokens.encode(f"{prompt} {fact.answer.strip()}")
    head = tokens.encode(prompt)
    until = tokens.encode(named)
    start = tokens.encode(opening) if opening else until[: 1 if tokens.prepends_bos else 0]
    nested = all(whole[: len(each)] == each for each in (head, until, start))
    if not nested or not len(start) < len(until) <= len(head) < len(whole):
        raise TokenError(
            f"the tokens of {fact.subject!r} or of {fact.answer!r} melt into their neighbours",
            mend="let subject and answer stand between spaces",
            where=prompt,
        )
    answer = whole[len(head) :]
    return whole[:-1], len(start), len(until) - 1, len(head) - 1, answer
