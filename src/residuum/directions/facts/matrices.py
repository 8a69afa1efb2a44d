"""The matrix that an MLP writes with: found, refused where it is none, changed and put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from residuum.core import OptionError, SiteRefused
from residuum.models import Layer
from residuum.models.projections import linear_weight
from residuum.runs import Model, prove_weights
from residuum.runs.arguments import shown

_MEND = "facts can be edited in blocks with one MLP output matrix that adds straight to the stream"


@dataclass(frozen=True)
class OutMatrix:
    """``W_out`` of one block.

    Attributes:
        scale: the model multiplies what the MLP writes by it.
    """

    layer: int
    module: nn.Module
    scale: float

    @property
    def parameter(self) -> Tensor:
        """The tensor as the model stores it."""
        value = self.module.weight
        assert isinstance(value, Tensor)
        return value

    def values(self) -> Tensor:
        """``[d_mlp d_model]`` in float64, a copy."""
        return linear_weight(self.module).detach().double().clone()

    def add(self, original: Tensor, change: Tensor) -> None:
        """Write original plus change, summed in float64.

        Args:
            original: the stored tensor, as it was.
            change: ``[d_mlp d_model]``.
        """
        turned = change if hasattr(self.module, "nf") else change.T
        summed = original.double() + turned.to(device=original.device, dtype=torch.float64)
        self.put(summed.to(original.dtype))

    def put(self, stored: Tensor) -> None:
        """Write the stored tensor."""
        with torch.no_grad():
            self.parameter.copy_(stored)


def out_matrices(model: Model, layers: Sequence[int]) -> tuple[OutMatrix, ...]:
    """The matrices of some blocks, proven to do what their weights say.

    Raises:
        SiteRefused: a mixture of experts, a norm after the MLP, an encoder, no MLP, no table.
        OptionError: a layer that is not there, or a matrix that several blocks share.
        CheckFailed, ShapeError: adapters, hooks, quantised or broken weights.
    """
    parts = model.adapted.parts.layers
    for layer in layers:
        if type(layer) is not int or not 0 <= layer < len(parts):
            raise OptionError(
                f"layer {shown(layer)} is out of range", mend=f"give 0 to {len(parts) - 1}"
            )
    chosen = [parts[layer] for layer in layers]
    for part in chosen:
        _refuse(model, part)
    prove_weights(model, chosen, "mo")
    found = [_matrix(part) for part in chosen]
    _refuse_shared(model, found)
    return tuple(found)


def _matrix(part: Layer) -> OutMatrix:
    assert part.mlp_out is not None
    return OutMatrix(part.index, part.mlp_out, part.scale)


def _refuse(model: Model, part: Layer) -> None:
    why = ""
    if part.opaque:
        why = "its inside is not known"
    elif part.mlp_kind == "moe":
        why = "it is a mixture of experts, where each token goes through other matrices"
    elif part.mlp_out is None:
        why = "it has no MLP"
    elif part.wiring == "post_norm_encoder":
        why = "its norms stand in the stream (a masked language model)"
    elif part.post_mlp_norm is not None:
        why = "a norm stands between the MLP and the stream"
    if why:
        family = model.adapted.family.name
        raise SiteRefused(
            f"no fact can be written into block {part.index} of {model.name} ({family}): {why}",
            mend=_MEND,
            where=f"L{part.index}.mlp_out",
        )


def _refuse_shared(model: Model, found: Sequence[OutMatrix]) -> None:
    for matrix in found:
        names = [
            name
            for name, value in model.hf.named_parameters(remove_duplicate=False)
            if value is matrix.parameter
        ]
        if len(names) > 1:
            raise OptionError(
                f"the output matrix of block {matrix.layer} is shared: {', '.join(names)}",
                mend="an edit there would change all of them; untie the weights first",
            )
