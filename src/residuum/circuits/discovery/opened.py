"""A block cut open where its readers read: from the slope at its output to each reader's own.

The block is rebuilt by the layer seam. What comes out of the projections of queries, keys and
values, and the stream that the MLP reads, are leaves of the gradient's graph; so the slope at the
output is pulled back to them and no further, and what each head's own input would have to do with
it follows by that head's projection and the block's norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from residuum.circuits.engine.finer import FinerLayer
from residuum.models import LayerCall, Seam

SLOTS = ("q", "k", "v")


@dataclass
class Opened:
    """One block's run from position ``start`` on, ready to be differentiated piece by piece.

    Attributes:
        stream: what the block reads, ``[row pos d_model]``, positions from ``start`` on; so are
            all others but ``projected``.
        projected: a leaf for each projection's module, in the order of ``projections.modules``,
            at all positions.
        z: ``[row pos head d_head]``.
        added: what attention adds to the stream.
        read: a leaf: the stream that the MLP reads; None without an MLP.
        written: what the MLP adds; None without an MLP.
        output: what the block hands on.
        pattern: ``[row head q_pos k_pos]``, all positions, where attention was written out.
        heads: its queries, keys and values then, ``[row pos head d_head]``, all positions.
        source: what the block reads at all positions.
        pattern_slope: the slope there, once the heads have been gone through.
        finer: neurons or latents of its MLP that are nodes of their own.
        numbers: theirs in this run, ``[row pos node]``, in the graph of the gradient.
    """

    seam: Seam
    layer: int
    start: int
    stream: Tensor
    projected: tuple[Tensor, ...]
    z: Tensor
    added: Tensor
    read: Tensor | None
    written: Tensor | None
    output: Tensor
    pattern: Tensor | None = None
    pattern_slope: Tensor | None = None
    heads: tuple[Tensor, ...] = ()
    source: Tensor | None = None
    finer: FinerLayer | None = None
    numbers: Tensor | None = None

    @property
    def parallel(self) -> bool:
        """Whether the MLP reads the stream that attention reads."""
        return self.seam.parts.layers[self.layer].wiring == "parallel"

    def through_mlp(self, slope: Tensor, retain: bool = False) -> Tensor | None:
        """Slopes at the inputs of the MLP (of its rest) and of its finer parts.

        Args:
            slope: at what the MLP adds.

        Returns:
            ``[input row pos d_model]``, their sum being the slope at the stream that is read; None
            without an MLP.
        """
        if self.read is None or self.written is None:
            return None
        many = self.finer is not None
        whole = torch.autograd.grad(self.written, self.read, slope, retain_graph=retain or many)[0]
        if self.finer is None:
            return whole[None]
        assert self.numbers is not None
        parts, wanted = [], slope @ self.finer.directions.T
        for node in range(len(self.finer)):
            keep = retain or node + 1 < len(self.finer)
            at = torch.zeros_like(wanted)
            at[..., node] = wanted[..., node]
            parts.append(torch.autograd.grad(self.numbers, self.read, at, retain_graph=keep)[0])
        finer = torch.stack(parts)
        return torch.cat([(whole - finer.sum(dim=0))[None], finer])

    def through_heads(self, slope: Tensor, retain: bool = False) -> Tensor:
        """Slopes at each head's own inputs, queries, keys, values: ``[input row pos d_model]``.

        Where the pattern was asked for, its slope is left in ``pattern_slope``.

        Args:
            slope: at what attention adds.
            retain: keep the graph, so that this can be asked again.
        """
        at = [*self.projected, *([] if self.pattern is None else [self.pattern])]
        slopes = torch.autograd.grad(self.added, at, slope, retain_graph=retain)
        self.pattern_slope = None if self.pattern is None else slopes[-1]
        return self.at_inputs(slopes[: len(self.projected)])

    def at_inputs(self, slopes: tuple[Tensor, ...]) -> Tensor:
        """Slopes at the heads' own inputs, from those at the projections' outputs."""
        part = self.seam.parts.layers[self.layer]
        found = []
        for slot in SLOTS:
            own = slopes[self._module(part.projections.module(slot))][:, self.start :]
            heads = part.projections.read(own, slot).movedim(-2, 0)
            weight = part.projections.weight(slot).detach().to(heads).transpose(-1, -2)
            flat = torch.bmm(heads.flatten(1, 2), weight)
            found.append(flat.unflatten(1, heads.shape[1:3]))
        return through_norm(part.ln1, self.stream, torch.cat(found))

    def _module(self, module: nn.Module) -> int:
        modules = self.seam.parts.layers[self.layer].projections.modules
        return next(i for i, each in enumerate(modules) if each is module)


def open_block(
    seam: Seam,
    layer: int,
    stream: Tensor,
    call: LayerCall,
    *,
    start: int = 0,
    moved: Tensor | None = None,
    explicit: bool = False,
    finer: FinerLayer | None = None,
) -> Opened:
    """Run one block from its parts, cut open where its readers read.

    Args:
        stream: what it reads, ``[row pos d_model]``, at all positions.
        call: how its attention was called on prompts of the same shape and mask.
        start: positions before it are read, and nothing is computed from them.
        moved: added to what attention adds, from ``start`` on.
        explicit: write attention out and keep its pattern.
        finer: parts of its MLP that are nodes of their own.
    """
    part = seam.parts.layers[layer]
    stream = stream.detach()
    leaves: dict[int, Tensor] = {}
    hooks = [
        module.register_forward_hook(_cut(index, leaves))
        for index, module in enumerate(part.projections.modules)
    ]
    try:
        with torch.no_grad():
            normed = seam.norm(layer, stream)
        with torch.enable_grad():
            q, k, v = seam.qkv(layer, normed, call)
    finally:
        for hook in hooks:
            hook.remove()
    own = stream[:, start:].contiguous()
    with torch.enable_grad():
        looked = Looked() if explicit else None
        attend = seam.attend if explicit else seam.attend_natively
        more = (looked,) if explicit else ()
        z = attend(layer, q, k, v, call, *more)[:, start:].contiguous()
        added = seam.out(layer, z)
        if moved is not None:
            added = added + moved
        output, read, written, numbers = own + added.detach(), None, None, None
        if part.has_mlp:
            read = (own if part.wiring == "parallel" else output).detach().requires_grad_()
            if finer is None:
                written = seam.mlp(layer, read)
            else:
                written, numbers = finer.split(read)
            output = output + written.detach()
    projected = tuple(leaves[index] for index in range(len(part.projections.modules)))
    return Opened(
        seam,
        layer,
        start,
        own,
        projected,
        z.detach(),
        added,
        read,
        written,
        output.detach(),
        None if looked is None else looked.pattern,
        heads=() if looked is None else (q.detach(), k.detach(), v.detach()),
        source=stream,
        finer=finer,
        numbers=numbers,
    )


@dataclass
class Looked:
    """A visitor of attention that keeps its pattern, in the graph."""

    pattern: Tensor | None = None

    def wants(self, layer: int) -> bool:
        """Yes."""
        return True

    def explicit(self, layer: int) -> bool:
        """Yes: attention is written out."""
        return True

    def visit(self, layer: int, slot: str, value: Tensor) -> Tensor:
        """Keep the pattern; change nothing."""
        if slot == "pattern":
            self.pattern = value
        return value


def _cut(index: int, leaves: dict[int, Tensor]) -> Any:
    """A hook that puts a leaf in the place of what a projection made."""

    def hook(_: nn.Module, args: Any, out: Tensor) -> Tensor:
        leaves[index] = out.detach().requires_grad_()
        return leaves[index]

    return hook


def through_norm(norm: nn.Module | None, stream: Tensor, slopes: Tensor) -> Tensor:
    """Slopes before a norm from slopes behind it, both ``[n row pos d_model]``.

    Args:
        stream: what the norm reads, ``[row pos d_model]``.
    """
    if norm is None:
        return slopes
    if type(norm) is nn.LayerNorm:
        return _through_layer_norm(norm, stream, slopes)
    with torch.enable_grad():
        read = stream.detach().expand_as(slopes).requires_grad_()
        return torch.autograd.grad(norm(read), read, slopes)[0]


def _through_layer_norm(norm: nn.LayerNorm, stream: Tensor, slopes: Tensor) -> Tensor:
    """The same in closed form, the mean and the scale of each token taken once for all slopes."""
    centred = stream - stream.mean(dim=-1, keepdim=True)
    scale = (centred.pow(2).mean(dim=-1, keepdim=True) + norm.eps).rsqrt()
    unit = centred * scale
    gained = slopes if norm.weight is None else slopes * norm.weight.detach()
    along = (gained * unit).mean(dim=-1, keepdim=True)
    return (gained - gained.mean(dim=-1, keepdim=True) - unit * along).mul_(scale)
