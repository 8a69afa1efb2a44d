"""Tiny random configurations, one or more for each family with a table."""

from __future__ import annotations

from typing import Any

import torch

_BASE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 101,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_GROUPED = _BASE | {"num_key_value_heads": 2}
_GPT: dict[str, Any] = {
    "n_embd": 32,
    "n_layer": 3,
    "n_head": 4,
    "vocab_size": 101,
    "n_positions": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_MOE: dict[str, Any] = {"num_local_experts": 4, "num_experts_per_tok": 2}
_SLIDING: dict[str, Any] = {
    "sliding_window": 4,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "head_dim": 8,
}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", _GPT),
    "gpt2_scaled": ("gpt2", _GPT | {"scale_attn_by_inverse_layer_idx": True}),
    "gpt_neo": (
        "gpt_neo",
        {
            "hidden_size": 32,
            "num_layers": 3,
            "num_heads": 4,
            "attention_types": [[["global", "local", "global"], 1]],
            "window_size": 4,
            "vocab_size": 101,
            "max_position_embeddings": 64,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
    ),
    "gpt_neox": ("gpt_neox", _BASE),
    "gpt_neox_sequential": ("gpt_neox", _BASE | {"use_parallel_residual": False}),
    "gptj": ("gptj", _GPT | {"rotary_dim": 4}),
    "opt": ("opt", _BASE | {"ffn_dim": 48, "word_embed_proj_dim": 32}),
    "bloom": ("bloom", _GPT | {"hidden_size": 32}),
    "falcon": (
        "falcon",
        _BASE | {"new_decoder_architecture": True, "num_kv_heads": 2, "bias": False},
    ),
    "falcon_7b": (
        "falcon",
        _BASE | {"multi_query": True, "parallel_attn": True, "bias": False},
    ),
    "falcon_alibi": (
        "falcon",
        _BASE | {"multi_query": False, "parallel_attn": False, "alibi": True, "bias": True},
    ),
    "llama": ("llama", _GROUPED),
    "mistral": ("mistral", _GROUPED | {"sliding_window": 4}),
    "qwen2": ("qwen2", _GROUPED),
    "qwen3": ("qwen3", _GROUPED | {"head_dim": 8}),
    "gemma": ("gemma", _GROUPED | {"head_dim": 16}),
    "gemma2": ("gemma2", _GROUPED | _SLIDING),
    "gemma3_text": ("gemma3_text", _GROUPED | _SLIDING),
    "phi3": ("phi3", _GROUPED),
    "phi": ("phi", _GROUPED),
    "olmo": ("olmo", _GROUPED),
    "olmo2": ("olmo2", _GROUPED),
    "olmo3": ("olmo3", _GROUPED | {"sliding_window": 4, "layer_types": _SLIDING["layer_types"]}),
    "ministral": ("ministral", _GROUPED | _SLIDING),
    "cohere": ("cohere", _GROUPED | {"use_qk_norm": True}),
    "cohere2": ("cohere2", _GROUPED | _SLIDING),
    "granite": (
        "granite",
        _GROUPED
        | {
            "embedding_multiplier": 3.0,
            "residual_multiplier": 0.5,
            "logits_scaling": 2.0,
            "attention_multiplier": 0.3,
        },
    ),
    "stablelm": ("stablelm", _GROUPED | {"qk_layernorm": True}),
    "stablelm_parallel": ("stablelm", _GROUPED | {"use_parallel_residual": True}),
    "starcoder2": ("starcoder2", _GROUPED),
    "nemotron": ("nemotron", _GROUPED | {"head_dim": 8}),
    "mixtral": ("mixtral", _GROUPED | _MOE),
    "qwen3_moe": (
        "qwen3_moe",
        _GROUPED
        | {
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 24,
            "head_dim": 8,
            "mlp_only_layers": [1],
        },
    ),
    "gpt_oss": ("gpt_oss", _GROUPED | _MOE | _SLIDING),
    "bert": ("bert", _BASE),
}
"""Test name -> (model_type, configuration)."""

CAUSAL = tuple(name for name in CONFIGS if name != "bert")


def build(name: str, dtype: torch.dtype = torch.float32, **more: Any) -> Any:
    """A tiny random model, seeded, its weights large enough that all parts matter."""
    import transformers

    model_type, options = CONFIGS[name]
    config = transformers.AutoConfig.for_model(model_type, **(options | more))
    torch.manual_seed(7)
    masked = model_type == "bert"
    auto = transformers.AutoModelForMaskedLM if masked else transformers.AutoModelForCausalLM
    model = auto.from_config(config)
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    if hasattr(model, "set_experts_implementation") and dtype == torch.float64:
        model.set_experts_implementation("eager")
    return model.to(dtype).eval()
