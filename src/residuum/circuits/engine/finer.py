"""Neurons and latents as parts of an MLP: what each adds to the stream, and the rest of the MLP.

Each such part has one number at a token (a neuron's activation, a latent's) and one direction: it
sends number times direction. What the MLP adds beside those of its layer is the *rest*: the other
neurons and the biases; or the other latents, the dictionary's constant and its error. All together
are what the MLP adds, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.nodes import parts_of
from residuum.circuits.graph.shape import is_finer
from residuum.core import Address, OptionError
from residuum.models import Adapted
from residuum.runs import Model
from residuum.runs.apply import Coder, Placed

_NORMS, _STREAMS = ("ln1", "ln2"), ("mlp_in", "resid_mid", "resid_pre")


@dataclass(frozen=True, eq=False)
class FinerLayer:
    """The finer parts of one layer's MLP.

    Attributes:
        nodes: their addresses as senders, all neurons or all latents of one dictionary.
        directions: what one unit of each adds to the stream, ``[node d_model]``.
        coder: whose latents they are; None of neurons.
        reads: the site that the coder reads.
    """

    adapted: Adapted
    layer: int
    nodes: tuple[Address, ...]
    directions: Tensor
    coder: Any = None
    reads: str = ""

    def __len__(self) -> int:
        return len(self.nodes)

    def split(self, stream: Tensor) -> tuple[Tensor, Tensor]:
        """What the whole MLP adds ``[... d_model]``, and each part's number ``[... node]``.

        Args:
            stream: that the MLP reads, before its norm, ``[row pos d_model]``.
        """
        seam = self.adapted.seam
        numbers = _numbers(self.nodes)
        if self.coder is None:
            added, neurons = seam.mlp_neurons(self.layer, stream)
            return added, neurons[..., numbers]
        added = seam.mlp(self.layer, stream)
        if self.reads in _NORMS:
            read = seam.mlp_norm(self.layer, stream)
        else:
            read = stream if self.reads in _STREAMS else added
        return added, self.coder.encode(read)[..., numbers].to(stream.dtype)

    def sent(self, numbers: Tensor) -> Tensor:
        """What each part adds ``[... node d_model]``, from their numbers ``[... node]``."""
        return numbers[..., None] * self.directions

    def rest(self, added: Tensor, numbers: Tensor) -> Tensor:
        """What the MLP adds beside them ``[... d_model]``."""
        return added - numbers @ self.directions


Finer = Mapping[int, FinerLayer]
"""By layer; layers without finer parts are not in it."""


def finer_layers(model: Model, graph: Graph) -> dict[int, FinerLayer]:
    """The finer parts of a graph, by layer.

    Raises:
        OptionError: neurons and latents (or latents of two dictionaries) in one layer; a neuron
            behind a norm, or where there are none; a dictionary that is not there, is not linear
            in its latents, or reads what the MLP does not.
    """
    nodes = [each for each in graph.senders if is_finer(each)]
    nodes += [p for r in graph.receivers if is_finer(r) for p in parts_of(r, graph.group)]
    by_layer: dict[int, list[Address]] = {}
    for each in dict.fromkeys(nodes):
        assert isinstance(each.layer, int)
        by_layer.setdefault(each.layer, []).append(each)
    return {layer: _made(model, layer, by_layer[layer]) for layer in sorted(by_layer)}


def _made(model: Model, layer: int, nodes: Sequence[Address]) -> FinerLayer:
    kinds = list(dict.fromkeys(each.dictionary for each in nodes))
    if len(kinds) > 1:
        names = " and ".join(f"latents of {kind}" if kind else "neurons" for kind in kinds)
        raise OptionError(
            f"layer {layer} has {names} as parts, which overlap",
            mend="give a layer's MLP parts of one kind: neurons, or latents of one dictionary",
        )
    name = kinds[0]
    if name is None:
        return _neurons(model, layer, tuple(nodes))
    coder, reads = _coder(model, layer, name)
    columns = _columns(model, coder, name, _numbers(nodes))
    return FinerLayer(model.adapted, layer, tuple(nodes), columns, coder, reads)


def _numbers(nodes: Sequence[Address]) -> list[int]:
    return [_number(each) for each in nodes]


def _number(node: Address) -> int:
    assert isinstance(node.part, int)
    return node.part


def _neurons(model: Model, layer: int, nodes: tuple[Address, ...]) -> FinerLayer:
    part = model.adapted.parts.layers[layer]
    why = ""
    if part.mlp_out is None or part.mlp_kind == "moe":
        why = "has no single neurons there"
    elif max(_numbers(nodes)) >= (model.dims.d_mlp or 0):
        why = f"has {model.dims.d_mlp} neurons there"
    elif part.mlp_writer is not part.mlp_out:
        why = "puts a norm behind its MLP, so one neuron's share of the sum depends on the others"
    if why:
        raise OptionError(
            f"{max(nodes, key=_number)} cannot be a node: {model.name} {why}",
            mend=f"use heads and MLPs, or latents of a dictionary of L{layer}.mlp_out",
        )
    rows = model.adapted.weights.by_layer("W_out")[layer][_numbers(nodes)]
    return FinerLayer(model.adapted, layer, nodes, rows.detach() * part.scale)


def _coder(model: Model, layer: int, name: str) -> tuple[Coder, str]:
    """The dictionary in the model's dtype, and the name of the site that it reads."""
    found: Any = model.dictionaries.get(name)
    if found is None:
        raise OptionError(
            f"the model has no dictionary {name!r}, whose latents the graph has",
            mend=f"hang it on: model.dictionaries[{name!r}] = rz.load_dictionary(...)",
        )
    if getattr(found, "dtype", model.dtype) != model.dtype:
        found = found.to(model.dtype)
    places = found.reads if isinstance(found, Placed) else (Address("mlp_out", layer),)
    known, at = {*_streams(model, layer), "mlp_out"}, places[0]
    if len(places) > 1 or at.layer != layer or at.name not in known:
        raise OptionError(
            f"dictionary {name!r} reads {', '.join(map(str, places))}, "
            f"which the MLP of layer {layer} does not",
            mend=f"use one that reads {', '.join(f'L{layer}.{each}' for each in sorted(known))}",
        )
    coder: Any = found
    return coder, at.name


def _streams(model: Model, layer: int) -> tuple[str, ...]:
    """The sites that say what an MLP reads, before and behind its norm."""
    part = model.adapted.parts.layers[layer]
    parallel = part.wiring == "parallel"
    norm = "ln1" if parallel and part.ln2 is None else "ln2"
    return ("mlp_in", "resid_pre" if parallel else "resid_mid", norm)


def _columns(model: Model, coder: Coder, name: str, numbers: list[int]) -> Tensor:
    """What one unit of some latents adds, ``[latent d_model]``."""
    with torch.no_grad():
        stream = torch.zeros(1, model.dims.d_model, dtype=model.dtype, device=model.device)
        nothing = torch.zeros_like(coder.encode(stream))
        if max(numbers) >= nothing.shape[-1]:
            raise OptionError(
                f"latent {max(numbers)} of {name!r} is out of range",
                mend=f"use 0 to {nothing.shape[-1] - 1}",
            )
        one = nothing.repeat(len(numbers), 1)
        one[torch.arange(len(numbers)), torch.tensor(numbers)] = 1
        constant = coder.decode(nothing)
        found, twice = (coder.decode(share * one) - constant for share in (1, 2))
        size = float(found.abs().max().clamp_min(torch.finfo(model.dtype).tiny))
        gap = float((twice - 2 * found).abs().max()) / size
    if not gap <= 100 * torch.finfo(model.dtype).eps * max(1.0, float(constant.abs().max()) / size):
        raise OptionError(
            f"dictionary {name!r} does not add its latents up: twice a latent is not twice its "
            f"direction (off by {gap:.1e})",
            mend="use one with a linear decoder",
        )
    return found.to(model.dtype)
