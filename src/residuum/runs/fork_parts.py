"""Whether the blocks of a base run still are what their parts say.

A patched block is continued from its parts: what its heads write by ``W_O``, what its neurons write
by ``W_out``, its MLP by the seam. An adapter on a projection, or a hook that was put on a module
later, makes a block do something else; a fork without changes cannot see it, for nothing is written
there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from residuum.core import Address
from residuum.runs.forks import Forks


def parts_proven(forks: Forks, layers: tuple[int, ...], bound: float) -> str:
    """Empty if the blocks are their parts on one prompt of the base run, else why not.

    Args:
        layers: blocks that are continued from their parts.
        bound: largest difference, relative to the largest number compared.
    """
    with forks.adapted.passing(), torch.no_grad():
        for layer in layers:
            gaps = (_output_gap, _heads_gap, _mlp_gap, _added_gap)
            gap = max(each(forks, layer) for each in gaps)
            if not gap <= bound:
                return (
                    f"block {layer} is not what its weights say, by {gap:.1e}: there is an adapter "
                    "or a hook on it"
                )
    return ""


def _site(forks: Forks, name: str, layer: int) -> Tensor | None:
    value = forks.base.sites.get(Address(name, layer))
    return None if value is None else value[:1]


def _output_gap(forks: Forks, layer: int) -> float:
    """The block's output, from the stream and what attention adds."""
    added = _site(forks, "attn_out", layer)
    if added is None:
        return 0.0
    call = forks.base.calls[layer]
    return _gap(forks.adapted.seam.rest(layer, call.stream[:1], added), call.output[:1])


def _heads_gap(forks: Forks, layer: int) -> float:
    """What the output projection makes of ``z``, from ``W_O``."""
    z = _site(forks, "z", layer)
    if z is None:
        return 0.0
    weight = forks.adapted.weights.by_layer("W_O")[layer].to(z)
    made = torch.einsum("bphd,hdm->bpm", z, weight)
    return _gap(_less_bias(forks.adapted.parts.layers[layer].o_proj, z.flatten(-2)), made)


def _mlp_gap(forks: Forks, layer: int) -> float:
    """What the MLP's output projection makes of its activations, from ``W_out``."""
    acts, module = _site(forks, "mlp_act", layer), forks.adapted.parts.layers[layer].mlp_out
    if acts is None or module is None:
        return 0.0
    weight = forks.adapted.weights.by_layer("W_out")[layer].to(acts)
    return _gap(_less_bias(module, acts), acts @ weight)


def _added_gap(forks: Forks, layer: int) -> float:
    """What the MLP adds, as it was seen; a hook on the whole MLP comes after what is seen."""
    attention, added = _site(forks, "attn_out", layer), _site(forks, "mlp_out", layer)
    if attention is None or added is None:
        return 0.0
    seam = forks.adapted.seam
    read = seam.read_by_mlp(layer, forks.base.calls[layer].stream[:1], attention)
    return _gap(seam.mlp(layer, read), added)


def _less_bias(module: nn.Module, x: Tensor) -> Tensor:
    return module(x) - module(torch.zeros_like(x))


def _gap(found: Tensor, expected: Tensor) -> float:
    scale = torch.maximum(found.abs().max(), expected.abs().max()).clamp_min(1e-30)
    return float((found - expected).abs().max() / scale)
