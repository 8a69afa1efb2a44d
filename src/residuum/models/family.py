"""What a family of models is: one row of declarations, no code.

A row says where the modules of a block are and how a few things are wired. Everything else
(sites, the layer seam, weights by name, the self-check) is derived from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

QKVLayout = Literal["separate", "blocks", "grouped"]
MLPKind = Literal["plain", "gated", "fused_gated", "moe"]
Door = Literal["interface", "module"]
Wiring = Literal["sequential", "parallel", "post_norm_encoder", "opaque"]


@dataclass(frozen=True)
class Family:
    """Where the parts of a model are. Paths are dotted, relative to the model or to the block.

    Attributes:
        name: the family's name in tables.
        model_types: values of ``config.model_type`` it covers.
        blocks: the list of blocks.
        embed: token embedding.
        final_norm: norm before the unembedding; None if there is none.
        unembed: the unembedding.
        ln1: norm before attention, in the block; alternatives in order, None when absent.
        attn: the module that calls the attention function.
        o_proj: output projection of attention, in the block.
        mlp: the module (or modules, joined by the seam) between ``ln2`` and the stream.
        qkv: projections, in the attention module: three names, or one fused.
        qkv_layout: ``separate``; ``blocks``: fused as [q | k | v]; ``grouped``: fused per key head.
        q_norm, k_norm: norms on queries and keys, in the attention module.
        mlp_kind: plain, gated, gated with one fused projection, or mixture of experts.
        mlp_in, mlp_gate, mlp_out: projections of the MLP, in the block.
        router, experts: of a mixture, in the block.
        post_attn_norm, post_mlp_norm: norms between a sub-layer and the stream.
        wiring: sequential, parallel, BERT's post-norm encoder, or opaque: only what goes into and
            comes out of a block is known.
        parallel_if: config attribute that makes the block parallel when true.
        door: whether attention goes through transformers' attention interface, or the module's
            forward must be replaced while someone looks inside.
        embed_norm: norm on the embedding before the first block.
        pos_embed: learned positions.
        embed_scale, sublayer_scale: config attributes that multiply the embedding, or what each
            sub-layer adds to the stream.
        logit_scale, logit_divisor, logit_softcap: config attributes of what follows the
            unembedding.
        position_ids: whether ``forward`` takes them (left padding then needs them).
    """

    name: str
    model_types: tuple[str, ...]
    blocks: str = "model.layers"
    embed: str = "model.embed_tokens"
    final_norm: str | None = "model.norm"
    unembed: str = "lm_head"
    ln1: tuple[str, ...] = ("input_layernorm",)
    attn: str = "self_attn"
    o_proj: str = "self_attn.o_proj"
    ln2: tuple[str, ...] = ("post_attention_layernorm",)
    mlp: str | None = "mlp"
    qkv: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")
    qkv_layout: QKVLayout = "separate"
    q_norm: str | None = None
    k_norm: str | None = None
    mlp_kind: MLPKind = "gated"
    mlp_in: str = "mlp.up_proj"
    mlp_gate: str = "mlp.gate_proj"
    mlp_out: str = "mlp.down_proj"
    router: str = "mlp.gate"
    experts: str = "mlp.experts"
    post_attn_norm: str | None = None
    post_mlp_norm: str | None = None
    wiring: Wiring = "sequential"
    parallel_if: str | None = None
    door: Door = "interface"
    embed_norm: str | None = None
    pos_embed: str | None = None
    embed_scale: str | None = None
    sublayer_scale: str | None = None
    logit_scale: str | None = None
    logit_divisor: str | None = None
    logit_softcap: str | None = None
    position_ids: bool = True


_PRE_POST: dict[str, Any] = {
    "ln2": ("pre_feedforward_layernorm",),
    "post_attn_norm": "post_attention_layernorm",
    "post_mlp_norm": "post_feedforward_layernorm",
}
_GPT: dict[str, Any] = {
    "blocks": "transformer.h",
    "embed": "transformer.wte",
    "final_norm": "transformer.ln_f",
    "ln1": ("ln_1",),
    "ln2": ("ln_2",),
    "mlp_kind": "plain",
}
_FUSED: dict[str, Any] = {
    "embed": "transformer.word_embeddings",
    "blocks": "transformer.h",
    "final_norm": "transformer.ln_f",
    "attn": "self_attention",
    "o_proj": "self_attention.dense",
    "qkv": ("query_key_value",),
    "qkv_layout": "grouped",
    "mlp_kind": "plain",
    "mlp_in": "mlp.dense_h_to_4h",
    "mlp_out": "mlp.dense_4h_to_h",
    "door": "module",
}
_GPTJ: dict[str, Any] = {**_GPT, "ln2": ()}
_FALCON: dict[str, Any] = {**_FUSED, "ln1": ("ln_attn", "input_layernorm")}
_PLAIN: dict[str, Any] = {"mlp_kind": "plain", "mlp_in": "mlp.fc1", "mlp_out": "mlp.fc2"}
_QK_NORM: dict[str, Any] = {"q_norm": "q_norm", "k_norm": "k_norm"}

FAMILIES: tuple[Family, ...] = (
    Family(
        "gpt2",
        ("gpt2",),
        **_GPT,
        attn="attn",
        o_proj="attn.c_proj",
        qkv=("c_attn",),
        qkv_layout="blocks",
        mlp_in="mlp.c_fc",
        mlp_out="mlp.c_proj",
        pos_embed="transformer.wpe",
    ),
    Family(
        "gpt_neo",
        ("gpt_neo",),
        **_GPT,
        attn="attn.attention",
        o_proj="attn.attention.out_proj",
        mlp_in="mlp.c_fc",
        mlp_out="mlp.c_proj",
        pos_embed="transformer.wpe",
        door="module",
    ),
    Family(
        "gptj",
        ("gptj",),
        **_GPTJ,
        attn="attn",
        o_proj="attn.out_proj",
        mlp_in="mlp.fc_in",
        mlp_out="mlp.fc_out",
        wiring="parallel",
        door="module",
    ),
    Family(
        "gpt_neox",
        ("gpt_neox",),
        blocks="gpt_neox.layers",
        embed="gpt_neox.embed_in",
        final_norm="gpt_neox.final_layer_norm",
        unembed="lm_head|embed_out",
        attn="attention",
        o_proj="attention.dense",
        qkv=("query_key_value",),
        qkv_layout="grouped",
        mlp_kind="plain",
        mlp_in="mlp.dense_h_to_4h",
        mlp_out="mlp.dense_4h_to_h",
        parallel_if="use_parallel_residual",
    ),
    Family(
        "opt",
        ("opt",),
        blocks="model.decoder.layers",
        embed="model.decoder.embed_tokens",
        final_norm="model.decoder.final_layer_norm",
        ln1=("self_attn_layer_norm",),
        ln2=("final_layer_norm",),
        o_proj="self_attn.out_proj",
        mlp=None,
        mlp_kind="plain",
        mlp_in="fc1",
        mlp_out="fc2",
        pos_embed="model.decoder.embed_positions",
    ),
    Family(
        "bloom",
        ("bloom",),
        **_FUSED,
        embed_norm="transformer.word_embeddings_layernorm",
        position_ids=False,
    ),
    Family(
        "falcon",
        ("falcon",),
        **_FALCON,
        ln2=("ln_mlp", "post_attention_layernorm"),
        parallel_if="parallel_attn",
    ),
    Family("llama", ("llama", "mistral", "ministral", "qwen2", "gemma")),
    Family("qwen3", ("qwen3",), **_QK_NORM),
    Family("gemma2", ("gemma2",), **_PRE_POST, logit_softcap="final_logit_softcapping"),
    Family(
        "gemma3",
        ("gemma3_text",),
        **_PRE_POST,
        **_QK_NORM,
        logit_softcap="final_logit_softcapping",
    ),
    Family(
        "phi3",
        ("phi3",),
        qkv=("qkv_proj",),
        qkv_layout="blocks",
        mlp_kind="fused_gated",
        mlp_in="mlp.gate_up_proj",
    ),
    Family(
        "phi",
        ("phi",),
        **_PLAIN,
        o_proj="self_attn.dense",
        ln2=(),
        final_norm="model.final_layernorm",
        wiring="parallel",
    ),
    Family("olmo", ("olmo",)),
    Family(
        "olmo2",
        ("olmo2", "olmo3"),
        ln1=(),
        ln2=(),
        post_attn_norm="post_attention_layernorm",
        post_mlp_norm="post_feedforward_layernorm",
        **_QK_NORM,
    ),
    Family(
        "cohere",
        ("cohere", "cohere2"),
        ln2=(),
        wiring="parallel",
        logit_scale="logit_scale",
        **_QK_NORM,
    ),
    Family(
        "granite",
        ("granite",),
        embed_scale="embedding_multiplier",
        sublayer_scale="residual_multiplier",
        logit_divisor="logits_scaling",
    ),
    Family(
        "stablelm",
        ("stablelm",),
        q_norm="q_layernorm",
        k_norm="k_layernorm",
        parallel_if="use_parallel_residual",
    ),
    Family(
        "starcoder2",
        ("starcoder2",),
        mlp_kind="plain",
        mlp_in="mlp.c_fc",
        mlp_out="mlp.c_proj",
    ),
    Family("nemotron", ("nemotron",), mlp_kind="plain"),
    Family("mixtral", ("mixtral",), mlp_kind="moe"),
    Family("qwen3_moe", ("qwen3_moe",), mlp_kind="moe", **_QK_NORM),
    Family("gpt_oss", ("gpt_oss",), mlp_kind="moe", router="mlp.router"),
    Family(
        "bert",
        ("bert",),
        blocks="bert.encoder.layer",
        embed="bert.embeddings.word_embeddings",
        embed_norm="bert.embeddings.LayerNorm",
        pos_embed="bert.embeddings.position_embeddings",
        final_norm="cls.predictions.transform",
        unembed="cls.predictions.decoder",
        ln1=(),
        ln2=(),
        attn="attention.self",
        qkv=("query", "key", "value"),
        o_proj="attention.output.dense",
        post_attn_norm="attention.output.LayerNorm",
        post_mlp_norm="output.LayerNorm",
        mlp=None,
        mlp_kind="plain",
        mlp_in="intermediate.dense",
        mlp_out="output.dense",
        wiring="post_norm_encoder",
    ),
    Family(
        "native",
        ("residuum_native",),
        blocks="model.blocks",
        embed="model.embed",
        pos_embed="model.pos_embed",
        final_norm="model.ln_final",
        ln1=("ln1",),
        attn="attn",
        o_proj="attn.o_proj",
        ln2=("ln2",),
        mlp_kind="plain",
        mlp_in="mlp.fc_in",
        mlp_out="mlp.fc_out",
    ),
)
"""Every family with a table, most of them proven by ``tests/families``."""


def family_of(model_type: str) -> Family | None:
    """The row that covers a ``config.model_type``, or None."""
    return next((row for row in FAMILIES if model_type in row.model_types), None)
