"""Metrics: numbers read off the logits at the answer position, one per example.

Every function takes ``logits`` [batch d_vocab] at the position whose next token is the answer,
and ``answers`` or ``wrong`` [batch n], token ids padded with -1; it returns [batch] in the
logits' dtype. All but ``accuracy`` can be differentiated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from residuum.core import OptionError, ShapeError, TaskError

Logits = Float[Tensor, "batch d_vocab"]
Answers = Int[Tensor, "batch n_answers"]
Wrong = Int[Tensor, "batch n_wrong"]
Values = Float[Tensor, "batch"]


def logit_diff(logits: Logits, answers: Answers, wrong: Wrong) -> Values:
    """Mean logit of the answers minus mean logit of the wrong answers; [batch], in logits.

    Shows: which of the two the model prefers (the log odds, for one token each). Does not show:
    whether either is what it would say. With several tokens this is a mean of logits, not the
    logit of their total probability.
    """
    return _masked_mean(logits, answers) - _masked_mean(logits, wrong)


def prob(logits: Logits, answers: Answers) -> Values:
    """Probability mass on the answers; [batch], 0 to 1.

    Shows: how likely the model is to answer right. Does not show: small causes at either end,
    where probability saturates.
    """
    return _masked(logits.softmax(dim=-1), answers, 0.0).sum(dim=-1)


def prob_diff(logits: Logits, answers: Answers, wrong: Wrong) -> Values:
    """Probability mass on the answers minus that on the wrong ones; [batch], -1 to 1.

    The measure of greater-than: years after the first one against those up to it.

    Shows: on which side the mass lies. Does not show: how much lies on neither.
    Source: Hanna, Liu, Variengien 2023, section 2.
    """
    return prob(logits, answers) - prob(logits, wrong)


def kl_bits(logits: Logits, reference: Logits) -> Values:
    """KL divergence of the prediction from a reference's, KL(reference || logits); [batch], bits.

    The reference's probabilities weigh the terms. The logit lens's ``kl_bits`` runs the other way:
    KL(layer || output), where the layer's probabilities weigh.

    Args:
        logits: [batch d_vocab].
        reference: logits of the reference run, [batch d_vocab].

    Shows: any change of the prediction, whatever the task. Does not show: its direction.
    """
    log_p = reference.log_softmax(dim=-1)
    log_q = logits.log_softmax(dim=-1)
    p = log_p.exp()
    terms = torch.where(p > 0, p * (log_p - log_q), torch.zeros_like(p))
    return terms.sum(dim=-1).clamp_min(0.0) / math.log(2)


def accuracy(logits: Logits, answers: Answers) -> Values:
    """1 where the most likely token is an answer, else 0; [batch]. Has no gradient.

    Shows: what greedy decoding would say. Does not show: by what margin.
    """
    best = logits.argmax(dim=-1, keepdim=True)
    return (answers.to(best.device) == best).any(dim=-1).to(logits.dtype)


def loss_nats(logits: Logits, answers: Answers) -> Values:
    """Minus the log of the probability mass on the answers; [batch], nats, 0 or more.

    Shows: surprise at the right answer; cross-entropy where there is one. Does not show: what
    was expected instead.
    """
    log_probs = logits.log_softmax(dim=-1)
    return -_masked(log_probs, answers, float("-inf")).logsumexp(dim=-1)


def _masked(values: Tensor, ids: Tensor, fill: float) -> Tensor:
    """Values at the ids, [batch n], and ``fill`` where the id is padding."""
    ids = ids.to(values.device)
    return values.gather(-1, ids.clamp_min(0)).masked_fill(ids < 0, fill)


def _masked_mean(values: Tensor, ids: Tensor) -> Tensor:
    counts = (ids >= 0).sum(dim=-1).to(values.device, values.dtype)
    return _masked(values, ids, 0.0).sum(dim=-1) / counts


class Answered(Protocol):
    """What a metric needs of a task."""

    @property
    def answers(self) -> Tensor:
        """Right tokens, [batch n], padded with -1."""
        ...

    @property
    def wrong(self) -> Tensor:
        """Wrong tokens, [batch n], padded with -1."""
        ...


@dataclass(frozen=True)
class Metric:
    """A metric by name, ready to be applied to a task.

    Attributes:
        name: as in :data:`METRICS`.
        unit: of its values.
        compute: ``(logits, answers, wrong, reference) -> [batch]``.
        needs_reference: whether it compares with another run's logits.
        needs_wrong: whether it compares with wrong answers.
        differentiable: whether gradients flow through it.
        larger_is_better: whether more of it is more of the behaviour.
    """

    name: str
    unit: str
    compute: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
    needs_reference: bool = False
    needs_wrong: bool = False
    differentiable: bool = True
    larger_is_better: bool = True

    def __call__(
        self,
        logits_at_answer: Tensor,
        task: Answered,
        rows: Tensor | Sequence[int] | slice | None = None,
        reference: Tensor | None = None,
    ) -> Tensor:
        """One value per example.

        Args:
            logits_at_answer: [batch d_vocab], at each example's last real token.
            task: whose answers count.
            rows: which examples of the task these are; None means all.
            reference: logits [batch d_vocab] of the run to compare with.

        Returns:
            [batch], in :attr:`unit`.

        Raises:
            ShapeError: logits or reference of another shape than the examples ask for.
            TaskError: a reference or wrong answers needed and not given.
        """
        answers, wrong = _rows(task.answers, rows), _rows(task.wrong, rows)
        self._check(logits_at_answer, answers, wrong, reference)
        values = self.compute(logits_at_answer, answers, wrong, reference)
        wrong_numbers = int((~torch.isfinite(values)).sum())
        if wrong_numbers:
            raise TaskError(
                f"{self.name} is NaN or infinite on {wrong_numbers} "
                + ("example" if wrong_numbers == 1 else "examples"),
                mend="look at the model's logits there; its weights or an edit make them so",
            )
        return values

    def _check(
        self, logits: Tensor, answers: Tensor, wrong: Tensor, reference: Tensor | None
    ) -> None:
        if logits.ndim != 2 or logits.shape[0] != answers.shape[0]:
            raise ShapeError(
                f"logits of shape {list(logits.shape)} for {answers.shape[0]} examples",
                mend="give [batch d_vocab] at the answer position, and rows= for a part of a task",
                where=self.name,
            )
        if int(max(answers.max(), wrong.max() if wrong.numel() else -1)) >= logits.shape[1]:
            raise ShapeError(
                f"an answer's id lies outside a vocabulary of {logits.shape[1]}",
                mend="make the task with this model's tokenizer",
                where=self.name,
            )
        if self.needs_reference and reference is None:
            raise TaskError(
                f"the metric {self.name!r} compares with a reference run",
                mend="give reference=, the logits of that run at the same positions",
            )
        if self.needs_reference and reference is not None and reference.shape != logits.shape:
            raise ShapeError(
                f"reference of shape {list(reference.shape)}, logits {list(logits.shape)}",
                mend="give the reference's logits for the same examples",
                where=self.name,
            )
        if self.needs_wrong and bool(((wrong >= 0).sum(dim=-1) == 0).any()):
            raise TaskError(
                f"the metric {self.name!r} compares with wrong answers, and some rows have none",
                mend="give wrong=, or use prob, accuracy, loss_nats or kl_bits",
            )


def _rows(ids: Tensor, rows: Tensor | Sequence[int] | slice | None) -> Tensor:
    if rows is None:
        return ids
    if isinstance(rows, slice):
        return ids[rows]
    return ids[torch.as_tensor(rows, dtype=torch.long).to(ids.device)]


def _kl(logits: Tensor, answers: Tensor, wrong: Tensor, reference: Tensor | None) -> Tensor:
    assert reference is not None  # checked before, with a mend
    return kl_bits(logits, reference)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("logit_diff", "logits", lambda x, a, w, r: logit_diff(x, a, w), needs_wrong=True),
        Metric("prob", "probability", lambda x, a, w, r: prob(x, a)),
        Metric("prob_diff", "probability", lambda x, a, w, r: prob_diff(x, a, w), needs_wrong=True),
        Metric("kl_bits", "bits", _kl, needs_reference=True, larger_is_better=False),
        Metric("accuracy", "share", lambda x, a, w, r: accuracy(x, a), differentiable=False),
        Metric("loss_nats", "nats", lambda x, a, w, r: loss_nats(x, a), larger_is_better=False),
    )
}
"""Name -> metric."""


def metric_named(name: str) -> Metric:
    """The metric of this name.

    Raises:
        OptionError: there is none; the error lists those that exist.
    """
    if name not in METRICS:
        raise OptionError(f"no metric {name!r}", mend=f"one of: {', '.join(METRICS)}")
    return METRICS[name]
