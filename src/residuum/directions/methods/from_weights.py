"""Directions that are in the weights: singular vectors, tokens, what a neuron writes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, AddressError, OptionError, ShapeError
from residuum.directions.harvesting import SiteValues
from residuum.directions.methods.found_vectors import FoundVectors
from residuum.directions.methods.orientation import towards_last_class
from residuum.runs import Model, prove_unembedding, prove_weights, shown, whole_number

_SLOTS = {"W_Q": "q", "W_K": "k", "W_V": "v", "W_O": "o", "W_in": "m", "W_out": "w", "W_gate": "m"}
"""Weights -> what has to be proven of the block before they are read."""
_STREAM = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "embed", "ln_final")


@dataclass(frozen=True)
class WeightSVD:
    """The ``k`` largest singular directions of a weight matrix, on the side of the site's width.

    Attributes:
        matrix: name of weights and the layer (and head): ``"W_out[2]"``, ``"W_O[2, 3]"``,
            ``"W_U"``.
        k: how many; 1 gives a single vector.
    """

    matrix: str
    k: int = 1

    def __post_init__(self) -> None:
        whole_number(self.k, "k", 1)
        _parsed(self.matrix)

    @property
    def needs_labels(self) -> bool:
        """Labels only set the sign."""
        return False

    def find(self, model: Model, at: Address, values: SiteValues, seed: int) -> FoundVectors:
        """See :class:`FindingMethod`; the notes hold the share of the squared weights.

        Raises:
            OptionError: no such weights, or none of the site's width; more than their rank.
        """
        weights = weights_named(model, self.matrix).double()
        width = values.source.width
        if width not in weights.shape:
            raise OptionError(
                f"{self.matrix} is {list(weights.shape)}, the site's vectors have width {width}",
                mend="take weights that read from or write to the site",
            )
        if self.k > min(weights.shape):
            raise OptionError(
                f"k={self.k} of a matrix {list(weights.shape)}",
                mend=f"use at most {min(weights.shape)}",
            )
        rows = weights if weights.shape[1] == width else weights.T
        _, size, vectors = torch.linalg.svd(rows, full_matrices=False)
        shares = (size[: self.k].square() / size.square().sum()).tolist()
        found = towards_last_class(vectors[: self.k], values.moments())
        return FoundVectors(found[0] if self.k == 1 else found, notes={"weight_frac": shares})


@dataclass(frozen=True)
class TokenDirection:
    """What the unembedding reads for a token, or for one token less another.

    Attributes:
        token: a word that is one token, or its id.
        minus: another, taken off.

    The vector is the gradient of the token's logit through the final norm alone, at the mean of the
    activations: the direct path. What later layers make of it is not in it.
    """

    token: str | int
    minus: str | int | None = None

    @property
    def needs_labels(self) -> bool:
        """It needs none."""
        return False

    def find(self, model: Model, at: Address, values: SiteValues, seed: int) -> FoundVectors:
        """See :class:`FindingMethod`.

        Raises:
            AddressError: a site that is not of the stream.
            TokenError: a word that is not one token.
        """
        _need_stream(at)
        prove_unembedding(model)
        columns: Any = model.W_U
        chosen = columns[:, _token(model, self.token)].detach().cpu().double()
        if self.minus is not None:
            chosen = chosen - columns[:, _token(model, self.minus)].detach().cpu().double()
        if at.name == "ln_final":
            return FoundVectors(chosen)
        return FoundVectors(_through_norm(model, chosen, values.moments().mean))


@dataclass(frozen=True)
class MlpWrite:
    """What one neuron of the site's layer writes to the stream: its row of ``W_out``.

    Attributes:
        neuron: its number.
        layer: of its MLP; the site's by default.
    """

    neuron: int
    layer: int | None = None

    def __post_init__(self) -> None:
        whole_number(self.neuron, "neuron", 0)

    @property
    def needs_labels(self) -> bool:
        """It needs none."""
        return False

    def find(self, model: Model, at: Address, values: SiteValues, seed: int) -> FoundVectors:
        """See :class:`FindingMethod`.

        Raises:
            AddressError: a site that is not of the stream.
            OptionError: no such layer or neuron.
        """
        _need_stream(at)
        layer = at.layer if self.layer is None else self.layer
        rows = weights_named(model, f"W_out[{layer}]")
        if self.neuron >= len(rows):
            raise OptionError(
                f"neuron {self.neuron} of {len(rows)}", mend=f"use 0 to {len(rows) - 1}"
            )
        return FoundVectors(rows[self.neuron].double())


@dataclass(frozen=True, eq=False, repr=False)
class Given:
    """A vector (or several) made elsewhere.

    Attributes:
        vector: ``[d]`` or ``[k d]``.
        threshold: along the unit vector; NaN lets the midpoint of the classes be taken.
    """

    vector: Any
    threshold: float = math.nan

    def __repr__(self) -> str:
        return f"Given({list(torch.as_tensor(self.vector).shape)})"

    @property
    def needs_labels(self) -> bool:
        """It needs none."""
        return False

    def find(self, model: Model, at: Address, values: SiteValues, seed: int) -> FoundVectors:
        """See :class:`FindingMethod`.

        Raises:
            ShapeError: another width than the site's, or no finite numbers.
        """
        vector = torch.as_tensor(self.vector).detach().cpu().double()
        if vector.ndim not in (1, 2) or vector.shape[-1] != values.source.width:
            raise ShapeError(
                f"the vector is {list(vector.shape)}, the site's have width {values.source.width}",
                mend="give [d] or [k d] of this site",
                where=str(at),
            )
        return FoundVectors(vector, self.threshold)


def weights_named(model: Model, name: str) -> Tensor:
    """A weight matrix by name, proven to be what the model uses; ``[rows columns]`` on the CPU.

    Raises:
        OptionError: no such weights, layer or head; not a matrix.
    """
    base, places = _parsed(name)
    if base == "W_U":
        prove_unembedding(model)
    elif places and places[0] < model.n_layers:
        prove_weights(model, [model.adapted.parts.layers[places[0]]], _SLOTS.get(base, "qkvom"))
    try:
        value: Any = getattr(model, base)
        for each in places:
            value = value[each]
    except (AttributeError, IndexError, TypeError) as error:
        raise OptionError(
            f"the model has no weights {name}: {error}", mend='such as "W_out[2]", "W_O[2, 3]"'
        ) from error
    if not isinstance(value, Tensor) or value.ndim != 2:
        raise OptionError(
            f"{name} is no matrix", mend='name the layer, and the head: "W_out[2]", "W_O[2, 3]"'
        )
    return value.detach().cpu()


def _parsed(name: Any) -> tuple[str, tuple[int, ...]]:
    try:
        base, _, inner = name.rstrip("]").partition("[")
        return base, tuple(int(part) for part in inner.split(",") if part.strip())
    except (AttributeError, ValueError):
        raise OptionError(
            f"matrix={shown(name)} names no weights", mend='such as "W_out[2]", "W_O[2, 3]"'
        ) from None


def _need_stream(at: Address) -> None:
    if at.name not in _STREAM or at.part is not None:
        raise AddressError(
            f"{at} is not of the stream's width", mend=f"use one of: {', '.join(_STREAM)}"
        )


def _token(model: Model, token: str | int) -> int:
    if isinstance(token, str):
        return model.to_single_token(token)
    if whole_number(token, "token", 0) >= model.d_vocab:
        raise OptionError(f"token {token} of {model.d_vocab}", mend="give an id of the vocabulary")
    return token


def _through_norm(model: Model, reads: Tensor, at: Tensor) -> Tensor:
    """The gradient, at a stream ``[d]``, of what ``reads`` finds behind the final norm."""
    norm = model.adapted.parts.final_norm
    if norm is None:
        return reads
    weight = next(norm.parameters(), torch.zeros(0, device=model.device, dtype=model.dtype))
    with torch.enable_grad():
        stream = at.to(weight).requires_grad_()
        found = (norm(stream[None, None]).double() * reads.to(weight.device)).sum()
        (gradient,) = torch.autograd.grad(found, stream)
    return gradient.detach().cpu().double()
