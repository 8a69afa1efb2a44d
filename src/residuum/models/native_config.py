"""What a native model is made of: a transformers configuration in this package's own words."""

from __future__ import annotations

from typing import Any

from transformers import GenerationConfig
from transformers.configuration_utils import PreTrainedConfig

from residuum.core import OptionError

ACTIVATIONS = ("relu", "gelu", "gelu_new", "silu")
"""Activations of the MLP: ``gelu`` is the exact one, ``gelu_new`` the tanh approximation."""

NORMALIZATIONS = (None, "layernorm")
POSITIONS = (None, "learned")

_TRANSFORMERS_OWN = {
    *("name_or_path", "model_type", "architectures", "auto_map", "revision", "torch_dtype"),
    *("num_labels", "label2id", "id2label", "task_specific_params", "transformers_version"),
    *("attn_implementation", "experts_implementation", "return_dict"),
    *("output_attentions", "output_hidden_states"),
}


class NativeConfig(PreTrainedConfig):
    """Shape and parts of a native model; every field has a default, all are keywords.

    Attributes:
        n_layers, d_model, n_heads: as named; ``d_model`` need not be ``n_heads * d_head``.
        d_head: width of a head; None means ``d_model // n_heads``.
        d_mlp: width of the MLP; None makes the model attention-only.
        act: activation of the MLP, one of :data:`ACTIVATIONS`.
        normalization: None, or ``"layernorm"`` before attention, MLP and unembedding.
        positions: ``"learned"`` adds a position embedding; None adds nothing.
        attn_bias, mlp_bias, unembed_bias: whether these linear maps carry biases.
        d_vocab: tokens that can be read; also the outputs, unless ``d_vocab_out`` differs.
        n_ctx: longest context; a hard limit with learned positions.
        attn_scale: factor on q·k; None means ``1 / sqrt(d_head)``.
        tie_word_embeddings: whether the unembedding is the embedding, transposed.

    Raises:
        OptionError: unknown options or values, or ones that contradict each other.
    """

    model_type = "residuum_native"
    keys_to_ignore_at_inference = ("past_key_values",)
    attribute_map = {  # noqa: RUF012 (transformers reads a plain dict)
        "hidden_size": "d_model",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "head_dim": "d_head",
        "intermediate_size": "d_mlp",
        "hidden_act": "act",
        "vocab_size": "d_vocab",
        "max_position_embeddings": "n_ctx",
    }

    n_layers: int = 2
    d_model: int = 64
    n_heads: int = 4
    d_head: int | None = None
    d_mlp: int | None = None
    act: str = "relu"
    normalization: str | None = None
    positions: str | None = "learned"
    attn_bias: bool = True
    mlp_bias: bool = True
    unembed_bias: bool = False
    d_vocab: int = 64
    d_vocab_out: int | None = None
    n_ctx: int = 64
    attn_scale: float | None = None
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    use_cache: bool = True
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        if self.d_head is None:
            self.d_head = self.d_model // max(self.n_heads, 1)
        if self.d_vocab_out is None:
            self.d_vocab_out = self.d_vocab
        _check_known(kwargs)
        super().__post_init__(**kwargs)
        _check_values(self)


def _check_known(kwargs: dict[str, Any]) -> None:
    """Refuse options that neither this class nor transformers knows."""
    transformers_own = _TRANSFORMERS_OWN | set(GenerationConfig().to_dict())
    unknown = [
        key
        for key in kwargs
        if not key.startswith("_")
        and key not in transformers_own
        and not hasattr(PreTrainedConfig, key)
    ]
    if unknown:
        fields = [name for name in NativeConfig.__annotations__ if not name.startswith("_")]
        raise OptionError(
            f"unknown option of a native model: {', '.join(sorted(unknown))}",
            mend=f"use some of {', '.join(fields)}",
            where="NativeConfig",
        )


def _check_values(config: NativeConfig) -> None:
    allowed = (
        ("act", ACTIVATIONS),
        ("normalization", NORMALIZATIONS),
        ("positions", POSITIONS),
    )
    for name, choices in allowed:
        if getattr(config, name) not in choices:
            raise OptionError(
                f"{name}={getattr(config, name)!r} is not a choice",
                mend=f"use one of {', '.join(map(repr, choices))}",
                where="NativeConfig",
            )
    for name in ("n_layers", "d_model", "n_heads", "d_head", "d_vocab", "d_vocab_out", "n_ctx"):
        if getattr(config, name) < 1:
            raise OptionError(
                f"{name}={getattr(config, name)} is not positive",
                mend="give a whole number of at least 1",
                where="NativeConfig",
            )
    if config.tie_word_embeddings and config.d_vocab_out != config.d_vocab:
        raise OptionError(
            f"a tied unembedding needs d_vocab_out = d_vocab, got {config.d_vocab_out} and "
            f"{config.d_vocab}",
            mend="leave d_vocab_out out, or set tie_word_embeddings=False",
            where="NativeConfig",
        )
