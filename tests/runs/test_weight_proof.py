"""Weights are proved to say what the model does: those that are asked for, and no others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import residuum as rz
from residuum.runs import prove_unembedding, prove_weights

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "families"))
from configs import build

SITES = {
    "self_attn.q_proj": ("q", "q"),
    "self_attn.k_proj": ("k", "k"),
    "self_attn.v_proj": ("v", "v"),
    "self_attn.o_proj": ("o", "attn_out"),
    "mlp.up_proj": ("m", "mlp_pre"),
    "mlp.gate_proj": ("m", "mlp_pre"),
    "mlp.down_proj": ("mw", "mlp_out"),
}


def twice(_: nn.Module, __: Any, output: Any) -> Any:
    return (2 * output[0], *output[1:]) if isinstance(output, tuple) else 2 * output


@pytest.mark.parametrize("place", SITES)
def test_what_is_not_read_is_not_proved(place: str) -> None:
    """Each slot finds its own projections and no others, and says where."""
    model = rz.load(build("llama"), check=False)
    slots, site = SITES[place]
    model.hf.model.layers[1].get_submodule(place).register_forward_hook(twice)
    layers = model.adapted.parts.layers
    for slot in "qkvomw":
        if slot in slots:
            with pytest.raises(rz.CheckFailed, match=r"block 1 has an adapter .* off by") as found:
                prove_weights(model, layers, slot)
            assert found.value.where == f"L1.{site}"
            prove_weights(model, layers[:1], slot)
        else:
            prove_weights(model, layers, slot)
    prove_unembedding(model)


@pytest.mark.parametrize(
    ("place", "slots", "where"), [("", "q", "resid_post"), ("attn", "q", "attn_out"),
                                  ("mlp", "m", "mlp_out"), ("mlp", "w", "mlp_out")]
)  # fmt: skip
def test_what_stands_around_the_weights(place: str, slots: str, where: str) -> None:
    model = rz.load(build("gpt2"), check=False)
    module = model.hf.transformer.h[1].get_submodule(place)
    module.register_forward_hook(twice)
    with pytest.raises(rz.CheckFailed, match=type(module).__name__) as found:
        prove_weights(model, model.adapted.parts.layers, slots)
    assert found.value.where == f"L1.{where}" and "take the hook off" in found.value.mend


@pytest.mark.parametrize("name", ["bloom", "falcon", "gpt_neo", "gptj", "opt", "bert", "mixtral"])
def test_who_only_looks_is_let_through(name: str) -> None:
    hf = build(name, torch.float32)
    model = rz.load(hf, check=False)
    layers = model.adapted.parts.layers
    for part in layers:
        for module in filter(None, (part.block, part.attn, part.mlp, part.o_proj)):
            module.register_forward_hook(lambda *_: None)
            module.register_forward_pre_hook(lambda *_: None)
    prove_weights(model, layers, "qkvom")


def test_a_weight_that_is_not_in_memory() -> None:
    model = rz.load(build("llama"), check=False)
    model.hf.model.layers[0].self_attn.o_proj.to("meta")
    with pytest.raises(rz.CheckFailed, match="output projection of block 0 is not in mem") as found:
        prove_weights(model, model.adapted.parts.layers, "o")
    assert "offloading" in found.value.mend
