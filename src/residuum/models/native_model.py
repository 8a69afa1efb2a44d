"""The native model: a small causal transformer that is an ordinary transformers citizen.

Its attention goes through transformers' attention interface, so that what works on Llama or
GPT-2 (the attention door, KV cache, padding, generation) works on it without an adapter.
"""

# No postponed annotations here: transformers reads the class in ``config: NativeConfig``.

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache
from transformers.generation.utils import GenerationMixin
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import PreTrainedModel

from residuum.core import OptionError, TokenError
from residuum.models.native_block import NativeBlock, norm_of
from residuum.models.native_config import NativeConfig


class NativePreTrainedModel(PreTrainedModel):
    """What transformers needs to know about native models."""

    config_class = NativeConfig
    base_model_prefix = "model"
    _no_split_modules = ["NativeBlock"]  # noqa: RUF012 (transformers reads a plain list)
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True


class NativeModel(NativePreTrainedModel):
    """Embeddings, blocks and the final norm; no unembedding."""

    config: NativeConfig

    def __init__(self, config: NativeConfig) -> None:
        super().__init__(config)
        self.embed = nn.Embedding(config.d_vocab, config.d_model)
        self.has_positions = config.positions is not None
        if self.has_positions:
            self.pos_embed = nn.Embedding(config.n_ctx, config.d_model)
        self.blocks = nn.ModuleList(NativeBlock(config, i) for i in range(config.n_layers))
        self.ln_final = norm_of(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The token embedding."""
        return self.embed

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the token embedding."""
        self.embed = cast(nn.Embedding, value)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Token ids [batch pos] -> the normed stream [batch pos d_model].

        Raises:
            OptionError: both or neither of ``input_ids`` and ``inputs_embeds``; attentions asked
                of a kernel that does not have them.
            TokenError: the sequence is longer than the position embedding.
        """
        kwargs.pop("return_dict", None)
        stream = self._embed(input_ids, inputs_embeds)
        use_cache = self.config.use_cache if use_cache is None else use_cache
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        seen = 0 if past_key_values is None else past_key_values.get_seq_length()
        if position_ids is None:
            position_ids = torch.arange(stream.shape[1], device=stream.device)[None] + seen
        if self.has_positions:
            self._check_length(seen + stream.shape[1], position_ids)
            stream = stream + self.pos_embed(position_ids)
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=stream,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
        want_patterns = _asked(output_attentions, self.config.output_attentions)
        states, patterns = [stream], []
        for block in self.blocks:
            stream, pattern = block(
                stream, attention_mask=mask, past_key_values=past_key_values, **kwargs
            )
            states.append(stream)
            patterns.append(pattern)
        if want_patterns and any(pattern is None for pattern in patterns):
            _refuse_attentions(self.config._attn_implementation)
        stream = states[-1] = self.ln_final(stream)
        want_states = _asked(output_hidden_states, self.config.output_hidden_states)
        return BaseModelOutputWithPast(
            last_hidden_state=stream,
            past_key_values=past_key_values if use_cache else None,
            hidden_states=tuple(states) if want_states else None,
            attentions=tuple(patterns) if want_patterns else None,
        )

    def _embed(self, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
        if (input_ids is None) == (inputs_embeds is None):
            raise OptionError(
                "a forward pass needs exactly one of input_ids and inputs_embeds",
                mend="give token ids, or embeddings, not both",
                where="NativeModel",
            )
        return self.embed(input_ids) if inputs_embeds is None else inputs_embeds

    def _check_length(self, length: int, position_ids: Tensor) -> None:
        left_padded = length > self.config.n_ctx and int(position_ids.max()) < self.config.n_ctx
        if length > self.config.n_ctx and not left_padded:
            raise TokenError(
                f"{length} tokens do not fit a context of {self.config.n_ctx}",
                mend="shorten the prompt or generate fewer tokens",
                where="NativeModel",
            )


def _asked(argument: bool | None, default: bool | None) -> bool:
    return bool(default if argument is None else argument)


def _refuse_attentions(kernel: str | None) -> None:
    raise OptionError(
        f"the attention kernel {kernel!r} does not hand out attention patterns",
        mend='load with attn_implementation="eager", or capture the site "pattern"',
        where="output_attentions",
    )


class NativeForCausalLM(NativePreTrainedModel, GenerationMixin):
    """A native model with its unembedding, ``lm_head``."""

    config: NativeConfig
    _tied_weights_keys = {"lm_head.weight": "model.embed.weight"}  # noqa: RUF012

    def __init__(self, config: NativeConfig) -> None:
        super().__init__(config)
        self.model = NativeModel(config)
        d_out = cast(int, config.d_vocab_out)
        self.lm_head = nn.Linear(config.d_model, d_out, bias=config.unembed_bias)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        """The unembedding."""
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the unembedding."""
        self.lm_head = new_embeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Token ids [batch pos] -> logits [batch pos d_vocab_out], and the loss (nats) if labelled.

        ``logits_to_keep``: how many last positions to unembed (0: all), or a vector of positions.
        """
        return_dict = kwargs.pop("return_dict", None)
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        whole_number = isinstance(logits_to_keep, int)
        kept = slice(-logits_to_keep, None) if whole_number and logits_to_keep else slice(None)
        logits = self.lm_head(
            outputs.last_hidden_state[:, kept if whole_number else logits_to_keep]
        )
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.d_vocab_out
            )
        result = CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
        return cast(Any, result if return_dict in (None, True) else result.to_tuple())
