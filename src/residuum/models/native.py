"""Small native transformers for organisms: attention-only or with MLP, norms, positions or not.

Importing this module makes them known to ``AutoConfig`` and ``AutoModelForCausalLM``, so that a
folder written by ``save_pretrained`` loads like any other.

>>> model = NativeForCausalLM(NativeConfig(n_layers=1, d_model=8, n_heads=2, d_vocab=5, n_ctx=6))
>>> import torch
>>> tuple(model(torch.tensor([[1, 2, 3]])).logits.shape)
(1, 3, 5)
"""

from __future__ import annotations

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from residuum.models.native_block import NativeAttention, NativeBlock, NativeMLP
from residuum.models.native_config import ACTIVATIONS, NORMALIZATIONS, POSITIONS, NativeConfig
from residuum.models.native_model import NativeForCausalLM, NativeModel
from residuum.models.native_state import (
    load_native_folder,
    native_from_transformer_lens,
    native_to_transformer_lens,
)

AutoConfig.register(NativeConfig.model_type, NativeConfig, exist_ok=True)
AutoModel.register(NativeConfig, NativeModel, exist_ok=True)
AutoModelForCausalLM.register(NativeConfig, NativeForCausalLM, exist_ok=True)

__all__ = [
    "ACTIVATIONS",
    "NORMALIZATIONS",
    "POSITIONS",
    "NativeAttention",
    "NativeBlock",
    "NativeConfig",
    "NativeForCausalLM",
    "NativeMLP",
    "NativeModel",
    "load_native_folder",
    "native_from_transformer_lens",
    "native_to_transformer_lens",
]
