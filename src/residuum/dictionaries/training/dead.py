"""Dead latents begun anew from what is rebuilt badly."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from residuum.core import OptionError
from residuum.dictionaries.coding.coder import SparseCoder
from residuum.dictionaries.coding.plan import CoderPlan
from residuum.dictionaries.training.optimisers import Fitter


def need_one_decoder(plan: CoderPlan) -> None:
    """Refuse a coder whose latents write through several matrices.

    Raises:
        OptionError: it is a cross-layer transcoder.
    """
    if plan.kind == "cross_layer_transcoder":
        raise OptionError(
            "the dead latents of a cross_layer_transcoder cannot be resampled",
            mend="leave resample out and give the plan aux_k",
        )


def begin_anew(
    coder: SparseCoder,
    fitter: Fitter,
    inputs: Tensor,
    targets: Tensor,
    scale: float,
    generator: torch.Generator,
) -> int:
    """Point dead latents at inputs that are rebuilt badly, in place, and forget their moments.

    Args:
        coder: whose latents are dead by its own count; they are then counted from zero.
        inputs: ``[n read d_in]``; one is drawn for each dead latent, by its squared error.
        targets: ``[n write d_out]``; a latent's decoder row is what is missing of its own.
        scale: length of the new encoder rows against the living ones' mean.
        generator: draws the inputs.

    Returns:
        How many were begun anew.
    """
    own, dead = coder.parameters(), coder.dead
    which = dead.nonzero().flatten()
    if not len(which):
        return 0
    with torch.no_grad():
        errors = targets - coder.dictionary().reconstruct(_as_read(inputs, coder)).view_as(targets)
        chance = errors.flatten(1).double().square().sum(1).cpu()
        which = which[: int((chance > 0).sum())]
        rows = torch.multinomial(chance, len(which), generator=generator).to(inputs.device)
        seen = inputs.flatten(1) * coder.scale
        if coder.plan.centred:
            seen = seen - own["b_dec"]
        _write(own, which, _unit(seen[rows]), _unit(errors[rows].flatten(1)), ~dead, scale)
    for name in ("W_enc", "W_dec", *_vectors(own, dead)):
        fitter.forget(name, which)
    coder.silent[which] = 0
    return len(which)


def _as_read(inputs: Tensor, coder: SparseCoder) -> Tensor:
    return inputs[:, 0] if len(coder.plan.reads) == 1 else inputs


def _write(
    own: Mapping[str, Tensor],
    which: Tensor,
    inputs: Tensor,
    errors: Tensor,
    living: Tensor,
    scale: float,
) -> None:
    encoder, decoder = own["W_enc"], own["W_dec"]
    some = bool(living.any())
    length = encoder[living].norm(dim=1).mean() if some else encoder.new_tensor(1.0)
    encoder[which] = inputs.to(encoder) * (scale * length)
    decoder[which] = errors.to(decoder) * decoder[which].norm(dim=1, keepdim=True)
    for name in _vectors(own, living):
        each = own[name]
        each[which] = each[living].median() if some and not name.startswith("b_") else 0.0


def _vectors(own: Mapping[str, Tensor], like: Tensor) -> list[str]:
    """Names of the vectors with one number a latent."""
    return [name for name, each in own.items() if each.shape == like.shape and name != "b_dec"]


def _unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
