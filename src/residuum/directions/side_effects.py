"""What steering does to text that has nothing to do with it: perplexity, KL, repetition."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from residuum.core import OptionError
from residuum.directions.conditional import Pushing, Targets, push
from residuum.runs import bootstrap_mean_interval
from residuum.worlds import microworld_text, microworld_vocabulary

if TYPE_CHECKING:
    from residuum.runs import Model

Interval = tuple[float, float]

NEUTRAL_TEXTS = 96
"""How many texts are drawn where none are given."""

_EVERYDAY = "daily"
_DRAWS = 3
_FAMILIES = (
    "ioi", "greater_than", "facts", "retrieval", "agreement", "negation", "sentiment", "refusal",
    "sycophancy",
)  # fmt: skip


@dataclass(frozen=True)
class SideEffects:
    """Of one strength, on neutral text.

    Attributes:
        scale: in typical norms.
        perplexity: of the neutral text under steering.
        perplexity_up_frac: how much higher than without; 0.1 is 10 %.
        perplexity_up_interval: its 95 % bootstrap interval, by text.
        kl_bits: mean divergence of the steered next-token distribution from the unsteered one.
    """

    scale: float
    perplexity: float
    perplexity_up_frac: float
    perplexity_up_interval: Interval
    kl_bits: float


@dataclass(frozen=True, eq=False)
class Neutral:
    """Neutral texts as tokens, with the unsteered model's predictions.

    Attributes:
        ids, real: ``[text pos]``.
        log_probs: ``[text pos d_vocab]``.
    """

    ids: Tensor
    real: Tensor
    log_probs: Tensor

    @staticmethod
    def of(model: Model, texts: Sequence[str]) -> Neutral:
        """Run them once, unsteered.

        Raises:
            OptionError: fewer than two texts, or texts of one token.
        """
        if isinstance(texts, str) or len(texts) < 2:
            raise OptionError(
                "side effects are measured on two neutral texts at least",
                mend="give neutral=[text, text, ...]",
            )
        run = model.run(list(texts))
        real = torch.arange(run.ids.shape[1])[None] < run.batch.lengths[:, None].cpu()
        if int(real.sum(1).min()) < 2:
            raise OptionError("a neutral text has one token only", mend="give longer texts")
        assert run.logits is not None
        return Neutral(run.ids, real, run.logits.float().log_softmax(-1).cpu())

    def losses(self, log_probs: Tensor) -> tuple[Tensor, Tensor]:
        """Loss in nats of every token but the first, and the text that it is of; ``[token]``."""
        targets = self.ids[:, 1:, None].cpu()
        nats = -log_probs[:, :-1].gather(-1, targets)[..., 0]
        counted = self.real[:, 1:]
        texts = torch.arange(len(self.ids))[:, None].expand_as(counted)
        return nats[counted], texts[counted]

    def effects(
        self, model: Model, direction: Pushing, scale: float, targets: Targets, seed: int
    ) -> SideEffects:
        """Steer the texts and compare.

        Where single tokens are steered, one token of each text is, drawn at random; three draws.
        """
        draws = 1 if targets.positions is None else _DRAWS
        ups, divergences, steered = [], [], []
        plain, texts = self.losses(self.log_probs)
        for draw in range(draws):
            tokens = targets.spread(model, self.ids, self.real, seed + draw)
            log_probs = self._steered(model, direction, scale, tokens)
            nats, _ = self.losses(log_probs)
            steered.append(float(nats.mean()))
            ups.append(nats - plain)
            p = self.log_probs.exp()
            terms = torch.where(p > 0, p * (self.log_probs - log_probs), 0.0).sum(-1)
            divergences.append(float(terms[self.real].mean()) / math.log(2))
        change = torch.stack(ups).mean(0)
        low, high = bootstrap_mean_interval(
            change.tolist(), seed=seed, clusters=[str(int(text)) for text in texts]
        )
        return SideEffects(
            scale,
            _exp(sum(steered) / draws),
            _exp(float(change.mean())) - 1,
            (_exp(low) - 1, _exp(high) - 1),
            sum(divergences) / draws,
        )

    def _steered(self, model: Model, direction: Pushing, scale: float, tokens: Tensor) -> Tensor:
        if not scale or not bool(tokens.any()):
            return self.log_probs
        mask = None if bool(self.real.all()) else self.real
        edit = push(direction, scale, tokens)
        logits = model.run(self.ids, attention_mask=mask, edits=[edit]).logits
        assert logits is not None
        return logits.float().log_softmax(-1).cpu()


def neutral_texts(model: Model, given: Any, task_name: str, seed: int) -> tuple[str, ...]:
    """The texts given; for microworld's words, held-in sentences of every family but the task's.

    Raises:
        OptionError: none given for a model of other words.
    """
    if given is not None:
        return tuple(given)
    found = plain_texts(model, task_name, seed)
    if not found:
        raise OptionError(
            "this model has no neutral text of its own",
            mend="give neutral=[...]: ordinary sentences that are not about the direction",
        )
    return found


def plain_texts(model: Model, task_name: str, seed: int) -> tuple[str, ...]:
    """The neutral texts of a model of microworld's words; none for another."""
    held = {} if model.tokenizer is None else model.tokenizer.get_vocab()
    if any(held.get(word) != at for at, word in enumerate(microworld_vocabulary())):
        return ()
    # two families share their countries: what is not about beliefs is not about facts either
    out = {"facts", "sycophancy"} if task_name in ("facts", "sycophancy") else {task_name}
    mix = {name: 1.0 for name in _FAMILIES if name not in out} | {_EVERYDAY: 3.0}
    source = microworld_text(f"{seed}/neutral", mix)
    return tuple(next(source) for _ in range(NEUTRAL_TEXTS))


def repetition_share(texts: Sequence[str]) -> float:
    """Share of pairs of neighbouring words that stood in the same text before; 0 to 1.

    >>> repetition_share(["a b a b a b", "a b c d e"]), repetition_share([])
    (0.333..., 0.0)
    """
    repeated = total = 0
    for text in texts:
        words = text.split()
        counts = Counter(pairwise(words))
        total += sum(counts.values())
        repeated += sum(count - 1 for count in counts.values())
    return repeated / total if total else 0.0


def _exp(nats: float) -> float:
    return math.exp(min(nats, 700.0))
