"""Targets of a graph: answers' logits at the last token, less the mean over the vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from residuum.circuits.attribution.frozen import FrozenPass
from residuum.core import OptionError, TokenError
from residuum.models.parts import text_config
from residuum.runs import Model, shown

Terms = tuple[tuple[int, float], ...]
"""A target: tokens and what their logits are multiplied by."""

_MOST_WEIGHT = 1e6
"""Of a token in a contrast; of more, single precision keeps nothing of the others."""


@dataclass(frozen=True, eq=False)
class LogitTargets:
    """Linear readings of what the final norm hands on at the last token.

    Attributes:
        names: a token as text, or a contrast in words.
        terms: of each, its tokens with their weights.
        gradients: ``[target d_model]``.
        constants: ``[target]``, what the unembedding's bias adds.
        values: ``[target]`` centred logits, before a soft cap.
        shares: ``[target]`` weights in influence, summing to 1: by probability; of contrasts equal.
        probabilities: ``[target]``; NaN of a contrast.
    """

    names: tuple[str, ...]
    terms: tuple[Terms, ...]
    gradients: Float[Tensor, "target d_model"]
    constants: Float[Tensor, " target"]
    values: Float[Tensor, " target"]
    shares: Float[np.ndarray, " target"]
    probabilities: Float[np.ndarray, " target"]


def logit_targets(
    model: Model, frozen: FrozenPass, logits: Tensor, target: Any, share: float, most: int
) -> LogitTargets:
    """Which logits to explain.

    Args:
        logits: ``[d_vocab]`` of the last token.
        target: None: the most probable tokens that together reach ``share``; a token as word or
            id, or several; or a contrast, token -> weight.
        share: of probability.
        most: tokens.

    Raises:
        OptionError, TokenError: no such target.
    """
    probabilities = logits.double().softmax(-1).cpu().numpy()
    if isinstance(target, Mapping):
        terms, own = (_weights(model, target),), np.full(1, np.nan)
    else:
        tokens = _tokens(model, target, probabilities, share, most)
        terms, own = tuple(((each, 1.0),) for each in tokens), probabilities[tokens]
    gradients, constants = readings(model, terms, frozen.dtype)
    return LogitTargets(
        names=tuple(_name(model, each) for each in terms),
        terms=terms,
        gradients=gradients,
        constants=constants,
        values=gradients @ frozen.normed[-1] + constants,
        shares=np.ones(1) if isinstance(target, Mapping) else own / own.sum(),
        probabilities=own,
    )


def _tokens(
    model: Model, target: Any, probabilities: np.ndarray, share: float, most: int
) -> list[int]:
    if target is None:
        return _top(probabilities, share, most)
    one = isinstance(target, (str, int, np.integer))
    tokens = [_token(model, each) for each in ([target] if one else _listed(target))]
    if not tokens or len(set(tokens)) < len(tokens):
        raise OptionError(
            f"target={shown(target)} names {'a token twice' if tokens else 'no token'}",
            mend="give a word, several, or None for the most probable ones",
        )
    return tokens


def _top(probabilities: np.ndarray, share: float, most: int) -> list[int]:
    order = np.argsort(-probabilities, kind="stable")
    reached = np.cumsum(probabilities[order])
    return order[: min(most, int(np.searchsorted(reached, share)) + 1)].tolist()


def _listed(target: Any) -> list[Any]:
    try:
        return list(target.tolist() if isinstance(target, (Tensor, np.ndarray)) else target)
    except TypeError:
        raise OptionError(
            f"target={shown(target)} is no token",
            mend="give a word, an id, several, or a contrast such as {'Mary': 1, 'John': -1}",
        ) from None


def _token(model: Model, value: Any) -> int:
    if isinstance(value, str):
        return model.to_single_token(value)
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TokenError(f"{shown(value)} is no token", mend="give a word or a token id")
    if not 0 <= value < model.d_vocab:
        raise TokenError(
            f"token {value} is out of range", mend=f"the vocabulary has 0 to {model.d_vocab - 1}"
        )
    return int(value)


def _weights(model: Model, target: Mapping[Any, Any]) -> Terms:
    found: dict[int, float] = {}
    for word, weight in target.items():
        good = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not good or not 0 < abs(weight) <= _MOST_WEIGHT:
            raise OptionError(
                f"the contrast weighs {shown(word)} by {shown(weight)}",
                mend="give each token a number, such as {'Mary': 1, 'John': -1}",
            )
        token = _token(model, word)
        if token in found:
            raise OptionError(
                f"the contrast names token {token} twice, the second time as {shown(word)}",
                mend="give each token once",
            )
        found[token] = float(weight)
    if not found:
        raise OptionError("the contrast is empty", mend="such as {'Mary': 1, 'John': -1}")
    return tuple(found.items())


def _name(model: Model, terms: Terms) -> str:
    """A token as text, or ``'Mary' - 'John'``."""
    words = model.to_str_tokens(torch.tensor([token for token, _ in terms]))
    parts = []
    for word, (_, weight) in zip(words, terms, strict=True):
        size = "" if abs(weight) == 1 else f"{abs(weight):g} "
        parts.append(f"{'+' if weight > 0 else '-'} {size}{word!r}")
    return " ".join(parts).removeprefix("+ ")


def readings(
    model: Model, terms: tuple[Terms, ...], dtype: torch.dtype
) -> tuple[Float[Tensor, "target d_model"], Float[Tensor, " target"]]:
    """What each target reads of the final norm's output, and what the unembedding's bias adds.

    Rows are centred over the vocabulary and have the family's scale.
    """
    tokens = sorted({token for own in terms for token, _ in own})
    weight, scale = model.W_U, logit_scale(model)
    assert isinstance(weight, Tensor)
    rows = (weight[:, tokens].T - weight.mean(1)).to(model.device, dtype) * scale
    bias = getattr(model.adapted.parts.unembed, "bias", None)
    constants = rows.new_zeros(len(tokens))
    if isinstance(bias, Tensor):
        constants = (bias[tokens] - bias.mean()).detach().to(rows) * scale
    by = rows.new_zeros(len(terms), len(tokens))
    for row, own in enumerate(terms):
        for token, times in own:
            by[row, tokens.index(token)] = times
    return by @ rows, by @ constants


def logit_scale(model: Model) -> float:
    """What the family multiplies its logits by, soft cap apart."""
    config, family = text_config(model.hf), model.adapted.parts.family
    up = getattr(config, family.logit_scale) if family.logit_scale else 1.0
    down = getattr(config, family.logit_divisor) if family.logit_divisor else 1.0
    return float(up) / float(down)


def soft_cap(model: Model) -> float | None:
    """The family's soft cap on logits, if there is one."""
    family = model.adapted.parts.family
    name = family.logit_softcap
    return getattr(text_config(model.hf), name) if name else None
