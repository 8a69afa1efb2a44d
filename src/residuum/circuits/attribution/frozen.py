"""One prompt's pass, frozen: patterns and norm scales stay, MLPs are cut out, the rest is affine.

Frozen, each block is linear in what earlier parts wrote, up to constants: attention moves streams
between positions by this run's pattern and its heads' W_V and W_O. Gradients come back through the
same maps, transposed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from residuum.circuits.attribution.norms import FrozenNorm, frozen_norm
from residuum.core import Address, OptionError, SiteRefused
from residuum.models.parts import Layer
from residuum.models.weights import output_heads
from residuum.runs import Model, Run, outer_bound

Stream = Float[Tensor, "pos d_model"]


@dataclass(frozen=True, eq=False)
class FrozenBlock:
    """One block of the run.

    Attributes:
        norm: before attention.
        pattern: ``[head q_pos k_pos]``.
        W_V, W_O: ``[head d_model d_head]`` of the key heads, ``[head d_head d_model]``.
        post: after attention, where there is a norm.
        factor: what the family multiplies its sub-layers by.
        attn_constant: what attention adds beside its linear part.
        reader: before the MLP.
        mlp_read, mlp_out: stream that the MLP reads, what it adds; None without an MLP.
        parallel: whether the MLP reads the block's own input.
    """

    norm: FrozenNorm
    pattern: Float[Tensor, "head q_pos k_pos"]
    W_V: Float[Tensor, "kv_head d_model d_head"]
    W_O: Float[Tensor, "head d_head d_model"]
    post: FrozenNorm
    factor: float
    attn_constant: Stream
    reader: FrozenNorm
    mlp_read: Stream | None
    mlp_out: Stream | None
    parallel: bool

    def attention(self, stream: Stream) -> Stream:
        """What attention adds, of the linear parts alone."""
        values = torch.einsum("pm,hmd->hpd", self.norm.linear(stream), self.W_V)
        z = self.pattern @ values.repeat_interleave(self._groups, 0)
        return self.post.linear(torch.einsum("hpd,hdm->pm", z, self.W_O)) * self.factor

    def attention_back(self, gradient: Tensor) -> Tensor:
        """A gradient on what attention adds, as one on the block's input ``[target pos d]``."""
        written = self.post.back(gradient * self.factor)
        z = torch.einsum("tqm,hdm->thqd", written, self.W_O)
        values = torch.einsum("thqd,hqk->thkd", z, self.pattern)
        if self._groups > 1:
            values = values.unflatten(1, (-1, self._groups)).sum(2)
        return self.norm.back(torch.einsum("thkd,hmd->tkm", values, self.W_V))

    @property
    def _groups(self) -> int:
        return len(self.W_O) // len(self.W_V)


@dataclass(frozen=True, eq=False)
class FrozenPass:
    """One prompt's pass.

    Attributes:
        embed: the stream before the first block.
        blocks: in order.
        final: the norm before the unembedding.
        normed: what it handed on.
        dtype, device: in which everything is computed.
    """

    embed: Stream
    blocks: tuple[FrozenBlock, ...]
    final: FrozenNorm
    normed: Stream

    @property
    def n_pos(self) -> int:
        """Number of tokens."""
        return len(self.embed)

    @property
    def dtype(self) -> torch.dtype:
        """In which everything is computed."""
        return self.embed.dtype

    @property
    def device(self) -> torch.device:
        """Where everything is computed."""
        return self.embed.device


def freeze(model: Model, ids: Tensor) -> tuple[FrozenPass, Run]:
    """Run one prompt and freeze it.

    Args:
        ids: ``[1 pos]``.

    Returns:
        The frozen pass, and the run that it is of.

    Raises:
        OptionError, SiteRefused: a family or a block that is no affine map when frozen.
    """
    need_frozen(model)
    run = model.run(ids, capture=[at for at in model.sites if at.name in _KEPT])
    dtype = torch.promote_types(model.dtype, torch.float32)
    read = _Reader(model, run, dtype)
    with torch.no_grad():
        blocks = tuple(_block(read, layer) for layer in model.adapted.parts.layers)
        last = read("resid_post", model.n_layers - 1)
        parts = model.adapted.parts
        normed = last if parts.final_norm is None else read("ln_final")
        final = frozen_norm(parts.final_norm, last, normed, read.bound, "ln_final")
        return FrozenPass(read("resid_pre", 0), blocks, final, normed), run


_KEPT = (
    "resid_pre", "ln1", "pattern", "z", "attn_out", "resid_mid", "ln2", "mlp_out", "resid_post",
    "ln_final",
)  # fmt: skip


def need_frozen(model: Model) -> None:
    """Refuse a model whose blocks are not proven to be made of norm, attention and MLP.

    Raises:
        OptionError: it is one.
    """
    layers = model.adapted.parts.layers
    why = ""
    if any(each.wiring == "post_norm_encoder" for each in layers):
        why = "in an encoder a norm stands in the stream itself, so parts do not add up"
    elif not model.adapted.seam_proven:
        why = "its layer seam is not proven: what its blocks are made of is not known"
    if why:
        raise OptionError(
            f"no attribution graph of {model.name}: {why}",
            mend="load a causal model of a family with a table, with its self-check (check=True)",
        )


@dataclass(frozen=True)
class _Reader:
    """Sites of the run in the working dtype, without the batch axis."""

    model: Model
    run: Run
    dtype: torch.dtype

    @property
    def bound(self) -> float:
        return outer_bound(self.model.dtype)

    def __call__(self, name: str, layer: int | None = None) -> Tensor:
        at = Address(name, layer)
        if at not in self.model.adapted.taps:
            raise SiteRefused(
                f"{at} is not proven on this model, and the frozen pass needs it",
                mend="residuum doctor says why it was refused",
                where=str(at),
            )
        return self.run[at][0].to(self.model.device, self.dtype)

    def weight(self, value: Tensor) -> Tensor:
        return value.detach().to(self.model.device, self.dtype)


def _block(read: _Reader, part: Layer) -> FrozenBlock:
    layer = part.index
    stream = read("resid_pre", layer)
    norm = frozen_norm(
        part.ln1, stream, stream if part.ln1 is None else read("ln1", layer), read.bound,
        f"L{layer}.ln1",
    )  # fmt: skip
    parallel = part.wiring == "parallel"
    reader, mlp_read = FrozenNorm(), None
    if part.has_mlp:
        mlp_read = stream if parallel else read("resid_mid", layer)
        shared = parallel and part.ln2 is None
        reader = norm if shared else _mlp_norm(read, part, mlp_read)
    W_O = read.weight(output_heads(part))
    raw = torch.einsum("phd,hdm->pm", read("z", layer), W_O)
    raw = raw + _or_zero(read, part.o_proj)
    made = read("attn_out", layer)
    post = part.post_attn_norm
    found = FrozenBlock(
        norm=norm, pattern=read("pattern", layer), W_V=read.weight(part.projections.weight("v")),
        W_O=W_O, post=frozen_norm(post, raw, made / part.scale, read.bound, f"L{layer}.attn_out"),
        factor=part.scale, attn_constant=torch.zeros_like(made), reader=reader, mlp_read=mlp_read,
        mlp_out=read("mlp_out", layer) if part.has_mlp else None, parallel=parallel,
    )  # fmt: skip
    constant = made - found.attention(stream)
    _prove(constant, _expected(read, part, found), made, read.bound, layer)
    return replace(found, attn_constant=constant)


def _mlp_norm(read: _Reader, part: Layer, stream: Tensor) -> FrozenNorm:
    if part.ln2 is None:
        return FrozenNorm()
    out = read("ln2", part.index)
    return frozen_norm(part.ln2, stream, out, read.bound, f"L{part.index}.ln2")


def _expected(read: _Reader, part: Layer, block: FrozenBlock) -> Tensor:
    """What attention adds of a stream of zeros, from the biases by name."""
    zero = torch.zeros_like(block.attn_constant)
    values = torch.einsum("pm,hmd->hpd", block.norm.affine(zero), block.W_V)
    bias = part.projections.bias("v")
    if bias is not None:
        values = values + read.weight(bias)[:, None]
    z = block.pattern @ values.repeat_interleave(len(block.W_O) // len(block.W_V), 0)
    raw = torch.einsum("hpd,hdm->pm", z, block.W_O) + _or_zero(read, part.o_proj)
    return block.post.affine(raw) * block.factor


def _or_zero(read: _Reader, module: torch.nn.Module) -> Tensor | float:
    bias = getattr(module, "bias", None)
    return read.weight(bias) if isinstance(bias, Tensor) else 0.0


def _prove(found: Tensor, expected: Tensor, made: Tensor, bound: float, layer: int) -> None:
    rest = float((found - expected).abs().max())
    if not rest <= bound * float(made.abs().max()):
        raise SiteRefused(
            f"block {layer}'s attention is not what its pattern and weights say, by {rest:.1e}",
            mend="take adapters and hooks off the model (PEFT: merge_and_unload())",
            where=f"L{layer}.attn_out",
        )
