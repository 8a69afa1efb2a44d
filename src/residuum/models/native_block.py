"""One block of a native model: attention through transformers' interface, MLP, norms."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from residuum.models.native_config import NativeConfig


def eager_attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Explicit attention in the dtype of its inputs.

    Args:
        module: the attention module (unused; the interface hands it over).
        query, key, value: [batch head pos d_head].
        attention_mask: added to the scores, or None.
        scaling: factor on q·k.
        dropout: ignored; native models have none.
        kwargs: what other kernels need.

    Returns:
        Output [batch pos head d_head] and pattern [batch head q_pos k_pos].
    """
    scores = query @ key.transpose(-1, -2) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    pattern = scores.softmax(dim=-1).to(value.dtype)
    return (pattern @ value).transpose(1, 2).contiguous(), pattern


class NativeAttention(nn.Module):
    """Multi-head causal self-attention: four linear maps around the attention interface."""

    def __init__(self, config: NativeConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = cast(int, config.d_head)
        self.num_key_value_groups = 1
        self.scaling = self.head_dim**-0.5 if config.attn_scale is None else config.attn_scale
        self.is_causal = True
        width, bias = config.n_heads * self.head_dim, config.attn_bias
        self.q_proj = nn.Linear(config.d_model, width, bias=bias)
        self.k_proj = nn.Linear(config.d_model, width, bias=bias)
        self.v_proj = nn.Linear(config.d_model, width, bias=bias)
        self.o_proj = nn.Linear(width, config.d_model, bias=bias)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend: [batch pos d_model] -> the same shape, and the pattern if the kernel has it."""
        shape = hidden_states.shape[:-1]
        heads = (*shape, -1, self.head_dim)
        q = self.q_proj(hidden_states).view(heads).transpose(1, 2)
        k = self.k_proj(hidden_states).view(heads).transpose(1, 2)
        v = self.v_proj(hidden_states).view(heads).transpose(1, 2)
        if past_key_values is not None:
            k, v = past_key_values.update(k, v, self.layer_idx)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            cast(str, self.config._attn_implementation), eager_attention_forward
        )
        out, pattern = attend(
            self, q, k, v, attention_mask, dropout=0.0, scaling=self.scaling, **kwargs
        )
        return self.o_proj(out.reshape(*shape, -1).contiguous()), pattern


class NativeMLP(nn.Module):
    """One hidden layer: ``fc_out(act(fc_in(x)))``."""

    def __init__(self, config: NativeConfig) -> None:
        super().__init__()
        d_mlp = cast(int, config.d_mlp)
        self.fc_in = nn.Linear(config.d_model, d_mlp, bias=config.mlp_bias)
        self.act = ACT2FN[config.act]
        self.fc_out = nn.Linear(d_mlp, config.d_model, bias=config.mlp_bias)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Map [batch pos d_model] to the same shape."""
        return self.fc_out(self.act(self.fc_in(hidden_states)))


def norm_of(config: NativeConfig) -> nn.Module:
    """A fresh norm over the stream, or the identity where the configuration has none."""
    if config.normalization is None:
        return nn.Identity()
    return nn.LayerNorm(config.d_model, eps=config.layer_norm_eps)


class NativeBlock(nn.Module):
    """Attention, then the MLP if there is one, each added to the stream."""

    def __init__(self, config: NativeConfig, layer_idx: int) -> None:
        super().__init__()
        self.ln1 = norm_of(config)
        self.attn = NativeAttention(config, layer_idx)
        self.has_mlp = config.d_mlp is not None
        if self.has_mlp:
            self.ln2 = norm_of(config)
            self.mlp = NativeMLP(config)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Stream [batch pos d_model] before the block -> after it, and the attention pattern."""
        attn_out, pattern = self.attn(
            self.ln1(hidden_states),
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            **kwargs,
        )
        hidden_states = hidden_states + attn_out
        if self.has_mlp:
            hidden_states = hidden_states + self.mlp(self.ln2(hidden_states))
        return hidden_states, pattern
