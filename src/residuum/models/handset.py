"""A two-layer attention-only induction model whose weights are set by hand.

The stream has four one-hot blocks of its own: the token, the position, the token before, and the
prediction; a fifth takes what nobody reads out. Layer 0's previous-token head copies the token
before into its block; layer 1's induction head looks for positions whose token before is the
present token, and predicts the token there. Head 0 of both layers reads positions alone and adds to
the prediction what is the same for all prompts. The other heads read everything and write into the
block that nobody reads out. There is no norm and no bias: every path is known.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from residuum.models.native_config import NativeConfig
from residuum.models.native_model import NativeForCausalLM

LETTERS = 12
"""Tokens; token 0 begins every prompt and appears nowhere else."""

WIDTH = 10
"""Tokens in a prompt, and the context."""

HEADS = 3
PREVIOUS, INDUCTION = 2, 1
"""Head of layer 0 that copies the token before; head of layer 1 that predicts."""

STRENGTH = 60.0
"""Score of a match: all other positions together get about e⁻⁶⁰ of the attention."""

_TOKEN = slice(0, LETTERS)
_POSITION = slice(LETTERS, LETTERS + WIDTH)
_BEFORE = slice(_POSITION.stop, _POSITION.stop + LETTERS)
_PREDICTION = slice(_BEFORE.stop, _BEFORE.stop + LETTERS)
_UNREAD = slice(_PREDICTION.stop, _PREDICTION.stop + LETTERS)
_D_HEAD = LETTERS


def handmade_induction(dtype: torch.dtype = torch.float32) -> Any:
    """The model with its hand-set weights; ``rz.load("handmade_induction")`` loads it too.

    Args:
        dtype: of the weights.

    Returns:
        A transformers model in evaluation mode: 2 layers, 3 heads each, 12 tokens, context 10.
        Head 2 of layer 0 attends to the token before, head 1 of layer 1 does induction.

    >>> model = handmade_induction()
    >>> int(model(torch.tensor([[0, 4, 7, 9, 4]])).logits[0, -1].argmax())
    7
    """
    config = NativeConfig(
        n_layers=2,
        n_heads=HEADS,
        d_model=_UNREAD.stop,
        d_head=_D_HEAD,
        d_vocab=LETTERS,
        n_ctx=WIDTH,
        normalization=None,
        positions="learned",
        attn_bias=False,
        attn_scale=1.0,
    )
    model = NativeForCausalLM(config)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.model.embed.weight[:, _TOKEN] = torch.eye(LETTERS)
        model.model.pos_embed.weight[:, _POSITION] = torch.eye(WIDTH)
        model.lm_head.weight[:, _PREDICTION] = torch.eye(LETTERS)
        for block in model.model.blocks:
            for head in range(HEADS):
                _idle(block.attn, head, generator)
            _of_positions(block.attn, generator)
        _previous_token(model.model.blocks[0].attn)
        _induction(model.model.blocks[1].attn)
    torch.nn.Module.to(model, dtype)
    return model.eval()


def _rows(head: int, size: int = _D_HEAD) -> slice:
    return slice(head * _D_HEAD, head * _D_HEAD + size)


def _idle(attn: Any, head: int, generator: torch.Generator) -> None:
    """Random queries, keys and values of everything; what it writes nobody reads but its like."""
    for module in _inputs(attn):
        module.weight[_rows(head)] = _random(_D_HEAD, _UNREAD.stop, generator)
    attn.o_proj.weight[_UNREAD, _rows(head)] = _random(LETTERS, _D_HEAD, generator)


def _of_positions(attn: Any, generator: torch.Generator) -> None:
    """Head 0: random queries, keys and values of positions; it writes into the prediction."""
    attn.o_proj.weight[:, _rows(0)] = 0.0
    for module in _inputs(attn):
        module.weight[_rows(0)] = 0.0
        module.weight[_rows(0), _POSITION] = _random(_D_HEAD, WIDTH, generator)
    attn.o_proj.weight[_PREDICTION, _rows(0)] = 0.3 * _random(LETTERS, _D_HEAD, generator)


def _inputs(attn: Any) -> tuple[Any, Any, Any]:
    return attn.q_proj, attn.k_proj, attn.v_proj


def _random(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    return 0.5 * torch.randn(rows, columns, generator=generator)


def _previous_token(attn: Any) -> None:
    rows = _rows(PREVIOUS)
    for module in _inputs(attn):
        module.weight[rows] = 0.0
    attn.o_proj.weight[:, rows] = 0.0
    attn.q_proj.weight[_rows(PREVIOUS, WIDTH), _POSITION] = STRENGTH * _before()
    attn.k_proj.weight[_rows(PREVIOUS, WIDTH), _POSITION] = torch.eye(WIDTH)
    attn.v_proj.weight[rows, _TOKEN] = torch.eye(LETTERS)
    attn.o_proj.weight[_BEFORE, rows] = torch.eye(LETTERS)


def _before() -> Tensor:
    """``[position before, position]``; the first position looks at itself."""
    table = torch.zeros(WIDTH, WIDTH)
    table[torch.arange(WIDTH - 1), torch.arange(1, WIDTH)] = 1.0
    table[0, 0] = 1.0
    return table


def _induction(attn: Any) -> None:
    rows = _rows(INDUCTION)
    for module in _inputs(attn):
        module.weight[rows] = 0.0
    attn.o_proj.weight[:, rows] = 0.0
    attn.q_proj.weight[rows, _TOKEN] = STRENGTH * torch.eye(LETTERS)
    attn.k_proj.weight[rows, _BEFORE] = torch.eye(LETTERS)
    attn.v_proj.weight[rows, _TOKEN] = torch.eye(LETTERS)
    attn.o_proj.weight[_PREDICTION, rows] = torch.eye(LETTERS)
