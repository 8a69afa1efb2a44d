"""The parts of one loaded model, found by its family's row: modules by layer, and dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from residuum.core import LoadError
from residuum.models.family import Family
from residuum.models.projections import Projections


@dataclass(frozen=True)
class Dims:
    """Sizes of a model.

    Attributes:
        d_mlp: None for attention-only models and mixtures of experts.
        n_ctx: longest prompt, None when the model sets no bound.
        n_experts: 0 unless a mixture.
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_head: int
    d_mlp: int | None
    d_vocab: int
    n_ctx: int | None
    n_experts: int = 0


@dataclass(frozen=True)
class Layer:
    """Modules of one block; None where the family has none.

    Attributes:
        attn: module that calls the attention function; its attributes differ by family.
        projections: how queries, keys and values come out of it.
        mlp_kind: of this block (a mixture may have dense blocks among its sparse ones).
        wiring: of this block.
    """

    index: int
    block: nn.Module
    ln1: nn.Module | None
    attn: Any
    o_proj: nn.Module
    ln2: nn.Module | None
    mlp: nn.Module | None
    projections: Projections
    mlp_kind: str
    mlp_in: nn.Module | None
    mlp_gate: nn.Module | None
    mlp_out: nn.Module | None
    router: nn.Module | None
    experts: Any
    post_attn_norm: nn.Module | None
    post_mlp_norm: nn.Module | None
    wiring: str
    scale: float = 1.0

    @property
    def opaque(self) -> bool:
        """Whether only what goes in and comes out is known; the other fields then hold nothing."""
        return self.wiring == "opaque"

    @property
    def has_mlp(self) -> bool:
        """Whether the block has an MLP at all (attention-only models do not)."""
        return self.mlp_out is not None or self.mlp_kind == "moe"

    @property
    def attn_writer(self) -> nn.Module:
        """The module whose output, times ``scale``, attention adds to the stream."""
        encoder = self.wiring == "post_norm_encoder"
        return self.o_proj if encoder or self.post_attn_norm is None else self.post_attn_norm

    @property
    def mlp_writer(self) -> nn.Module | None:
        """The module whose output, times ``scale``, the MLP adds to the stream."""
        if self.wiring != "post_norm_encoder" and self.post_mlp_norm is not None:
            return self.post_mlp_norm
        return self.mlp if self.mlp_kind == "moe" else self.mlp_out


@dataclass(frozen=True)
class Parts:
    """All parts of a loaded model."""

    hf: Any
    family: Family
    layers: tuple[Layer, ...]
    embed: nn.Module
    embed_norm: nn.Module | None
    pos_embed: nn.Module | None
    final_norm: nn.Module | None
    unembed: nn.Module | None
    dims: Dims
    embed_scale: float

    @property
    def causal(self) -> bool:
        """Whether a position is blind to later ones; forks and shared prefixes stand on it.

        An encoder is not, nor a decoder that was told so, in its configuration or its attention.
        """
        told = (text_config(self.hf), *(layer.attn for layer in self.layers))
        blind = all(getattr(each, "is_causal", True) is not False for each in told)
        return blind and all(each.wiring != "post_norm_encoder" for each in self.layers)


def find(root: nn.Module, path: str | None) -> nn.Module | None:
    """The sub-module at a dotted path (``a|b`` tries both), or None."""
    for choice in (path or "").split("|"):
        module: Any = root
        for name in filter(None, choice.split(".")):
            module = getattr(module, name, None)
        if isinstance(module, nn.Module) and choice:
            return module
    return None


def _first(root: nn.Module, names: tuple[str, ...]) -> nn.Module | None:
    return next((found for name in names if (found := find(root, name)) is not None), None)


def _need(root: nn.Module, path: str, family: Family) -> nn.Module:
    module = find(root, path)
    if module is None:
        raise LoadError(
            f"a {type(root).__name__} of family {family.name} has no module {path!r}",
            mend="load a causal or masked language model; doctor lists the families with a table",
        )
    return module


def text_config(hf: Any) -> Any:
    """The configuration of the language model inside a model."""
    return hf.config.get_text_config()


def _number(config: Any, *names: str) -> int | None:
    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _scalar(config: Any, name: str | None) -> float:
    return float(getattr(config, name)) if name else 1.0


def find_parts(hf: Any, family: Family) -> Parts:
    """Find every part of ``hf`` that the family's row names.

    Raises:
        LoadError: a part that the row requires is not there.
    """
    config = text_config(hf)
    blocks = _need(hf, family.blocks, family)
    layers = tuple(
        _layer(index, block, family, config) for index, block in enumerate(blocks.children())
    )
    if not layers:
        raise LoadError("the model has no blocks", mend="check config.num_hidden_layers")
    embed = _need(hf, family.embed, family)
    unembed = find(hf, family.unembed)
    return Parts(
        hf=hf,
        family=family,
        layers=layers,
        embed=embed,
        embed_norm=find(hf, family.embed_norm),
        pos_embed=find(hf, family.pos_embed),
        final_norm=find(hf, family.final_norm),
        unembed=unembed,
        dims=_dims(config, layers, embed, unembed),
        embed_scale=_scalar(config, family.embed_scale),
    )


def _opaque_layer(index: int, block: nn.Module) -> Layer:
    """A block of a family without a table, of which nothing inside is known."""
    return Layer(
        index=index,
        block=block,
        ln1=None,
        attn=block,
        o_proj=block,
        ln2=None,
        mlp=None,
        projections=Projections((), "none", 0, 0, 0),
        mlp_kind="plain",
        mlp_in=None,
        mlp_gate=None,
        mlp_out=None,
        router=None,
        experts=None,
        post_attn_norm=None,
        post_mlp_norm=None,
        wiring="opaque",
    )


def _layer(index: int, block: nn.Module, family: Family, config: Any) -> Layer:
    if family.wiring == "opaque":
        return _opaque_layer(index, block)
    attn = _need(block, family.attn, family)
    router = find(block, family.router) if family.mlp_kind == "moe" else None
    kind = "gated" if family.mlp_kind == "moe" and router is None else family.mlp_kind
    parallel = bool(family.parallel_if and getattr(config, family.parallel_if, False))
    wiring = "parallel" if parallel else family.wiring
    shared = wiring == "parallel" and _first(block, family.ln2) is None
    return Layer(
        index=index,
        block=block,
        ln1=_first(block, family.ln1),
        attn=attn,
        o_proj=_need(block, family.o_proj, family),
        ln2=None if shared else _first(block, family.ln2),
        mlp=find(block, family.mlp),
        projections=Projections.of(attn, family, config),
        mlp_kind=kind,
        mlp_in=None if kind == "moe" else find(block, family.mlp_in),
        mlp_gate=find(block, family.mlp_gate) if kind == "gated" else None,
        mlp_out=None if kind == "moe" else find(block, family.mlp_out),
        router=router,
        experts=find(block, family.experts) if kind == "moe" else None,
        post_attn_norm=find(block, family.post_attn_norm),
        post_mlp_norm=find(block, family.post_mlp_norm),
        wiring=wiring,
        scale=_scalar(config, family.sublayer_scale),
    )


def _dims(
    config: Any, layers: tuple[Layer, ...], embed: nn.Module, unembed: nn.Module | None
) -> Dims:
    first = layers[0]
    width = getattr(embed, "embedding_dim", 0) if first.opaque else _out_features(first.o_proj)
    d_model = int(width or getattr(config, "hidden_size", 0))
    d_mlp = next((_out_features(each.mlp_in) for each in layers if each.mlp_in is not None), None)
    if d_mlp is not None and first.mlp_kind == "fused_gated":
        d_mlp //= 2
    vocab = _out_features(unembed) if unembed is not None else None
    return Dims(
        n_layers=len(layers),
        n_heads=first.projections.n_heads,
        n_kv_heads=first.projections.n_kv_heads,
        d_model=d_model,
        d_head=first.projections.d_head,
        d_mlp=d_mlp,
        d_vocab=int(vocab or getattr(embed, "num_embeddings", 0)),
        n_ctx=_context(config, first),
        n_experts=_number(config, "num_local_experts", "num_experts") or 0,
    )


def _context(config: Any, first: Layer) -> int | None:
    """Longest prompt the positions allow; models with ALiBi set no bound."""
    return _number(config, "max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")


def _out_features(module: nn.Module | None) -> int | None:
    if module is None:
        return None
    features = getattr(module, "out_features", None) or getattr(module, "nf", None)
    return int(features) if features else None
