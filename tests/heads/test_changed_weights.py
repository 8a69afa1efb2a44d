"""Models that do something else than their weights say are refused before weights are read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import residuum as rz
from residuum import heads
from residuum.core import CheckFailed, ResiduumError, ShapeError
from residuum.models.native import NativeConfig, NativeForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "families"))
from configs import build

IDS = torch.arange(3, 11)[None]


class LowRank(nn.Module):
    """A LoRA layer as PEFT makes it: ``weight`` and ``bias`` are the base layer's alone."""

    def __init__(self, base: nn.Module, size: float = 0.3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.base = base
        columns = base.nf if hasattr(base, "nf") else base.out_features
        rows = base.weight.numel() // columns
        like = base.weight
        self.down = nn.Parameter(torch.randn(rows, 2, generator=generator).to(like))
        self.up = nn.Parameter(size * torch.randn(2, columns, generator=generator).to(like))

    @property
    def weight(self) -> Any:
        return self.base.weight

    @property
    def bias(self) -> Any:
        return self.base.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + x @ self.down @ self.up


class Bare(LowRank):
    """The same without a ``weight`` of its own."""

    weight = None


READS: dict[str, tuple[str, Any]] = {
    "ov": ("vo", lambda m: heads.ov(m, 1, 0)),
    "qk": ("qk", lambda m: heads.qk(m, 1, 0)),
    "composition K": ("qkvo", lambda m: heads.composition(m, "K", draws=20)),
    "composition V": ("vo", lambda m: heads.composition(m, "V", draws=20)),
    "head to neuron": ("om", lambda m: heads.virtual_weights(m, "L1.z[H0]", "L1.mlp_pre")),
    "head to key": ("ko", lambda m: heads.virtual_weights(m, "L0.z[H0]", "L1.k[H0]")),
    "neuron": ("mu", lambda m: heads.neuron(m, 1, 3)),
    "embed to logits": ("u", lambda m: heads.virtual_weights(m, "embed", "logits")),
    "detect_heads": ("vou", lambda m: heads.detect_heads(m, n=4, removal=None)),
}
"""Verb -> what it reads (as ``prove_weights`` names it; ``u`` is the unembedding), and a call."""
PLACES = {
    "self_attn.q_proj": "q",
    "self_attn.k_proj": "k",
    "self_attn.v_proj": "v",
    "self_attn.o_proj": "o",
    "mlp.up_proj": "m",
    "mlp.gate_proj": "m",
    "mlp.down_proj": "m",
}


def replaced(hf: Any, path: str, kind: type = LowRank, **options: Any) -> Any:
    outer, _, name = path.rpartition(".")
    setattr(hf.get_submodule(outer), name, kind(hf.get_submodule(path), **options))
    return hf


def wrong_scale(_: Any, __: Any, output: Any) -> Any:
    return (1.5 * output[0], *output[1:]) if isinstance(output, tuple) else 1.5 * output


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("after", [False, True])
def test_an_adapter_in_place_of_a_projection(where: str, after: bool) -> None:
    """Every verb that reads this weight refuses it; every other works as before."""
    hf = build("llama", torch.float32)
    loaded = rz.load(hf, check=False)
    for block in (0, 1):
        replaced(hf, f"model.layers.{block}.{where}")
    model = loaded if after else rz.load(hf, check=False)
    for name, (reads, call) in READS.items():
        if PLACES[where] in reads or (after and reads != "u"):
            with pytest.raises(CheckFailed, match=r"block [01]") as refused:
                call(model)
            assert "merge the adapter" in refused.value.mend, name
        else:
            call(model)


@pytest.mark.parametrize("kind", [LowRank, Bare])
@pytest.mark.parametrize("where", ["attn.c_proj", "attn.c_attn"])
def test_an_adapter_on_a_conv1d(kind: type, where: str) -> None:
    model = rz.load(replaced(build("gpt2", torch.float32), f"transformer.h.1.{where}", kind),
                    check=False)  # fmt: skip
    for name in ("ov", "detect_heads", "composition K"):
        with pytest.raises(CheckFailed, match="block 1") as refused:
            READS[name][1](model)
        assert "inf" not in refused.value.what
    assert heads.ov(model, 0, 0).matrix.norm() > 0


def test_an_adapter_that_does_nothing_yet_is_let_through() -> None:
    hf = build("llama", torch.float32)
    plain = heads.ov(rz.load(hf, check=False), 1, 0).matrix.dense()
    model = rz.load(replaced(hf, "model.layers.1.self_attn.o_proj", size=0.0), check=False)
    assert torch.equal(heads.ov(model, 1, 0).matrix.dense(), plain)


def test_a_small_adapter_in_half_precision_is_seen() -> None:
    """About one per cent of what the weight does."""
    hf = replaced(build("llama", torch.bfloat16), "model.layers.1.self_attn.o_proj", size=1e-3)
    with pytest.raises(CheckFailed, match=r"off by [12]\.\de-02"):
        heads.ov(rz.load(hf, check=False), 1, 0)


@pytest.mark.parametrize(
    "where", ["transformer.h.1", "transformer.h.1.attn", "transformer.h.1.attn.c_proj"]
)
def test_a_hook(where: str) -> None:
    hf = build("gpt2", torch.float32)
    model = rz.load(hf)
    before = heads.ov(model, 1, 0).matrix.dense()
    watching = hf.get_submodule(where).register_forward_hook(lambda *_: None)
    assert torch.equal(heads.ov(model, 1, 0).matrix.dense(), before)  # who only looks may
    watching.remove()
    changing = hf.get_submodule(where).register_forward_hook(wrong_scale)
    for name in ("ov", "composition K", "detect_heads"):
        with pytest.raises(CheckFailed, match="block 1"):
            READS[name][1](model)
    changing.remove()
    assert torch.equal(heads.ov(model, 1, 0).matrix.dense(), before)


def test_a_hook_before_attention_and_one_on_an_mlp() -> None:
    hf = build("gpt2", torch.float32)
    model = rz.load(hf)
    attn, mlp = hf.transformer.h[1].attn, hf.transformer.h[1].mlp
    before = attn.register_forward_pre_hook(lambda _, args: (2 + args[0], *args[1:]))
    with pytest.raises(CheckFailed, match="the attention of block 1"):
        heads.qk(model, 1, 0)
    before.remove()
    attn.register_forward_pre_hook(lambda *_: None)
    mlp.register_forward_hook(wrong_scale)
    with pytest.raises(CheckFailed, match="the MLP of block 1"):
        heads.neuron(model, 1, 0)
    assert heads.qk(model, 1, 0).matrix.norm() > 0


def test_the_unembedding() -> None:
    hf = build("llama", torch.float32)
    model = rz.load(hf)
    hf.lm_head.register_forward_hook(wrong_scale)
    for name, (reads, call) in READS.items():
        if "u" in reads:
            with pytest.raises(CheckFailed, match="the unembedding has an adapter or a hook"):
                call(model)
        else:
            assert call(model), name
    with pytest.raises(CheckFailed, match="the unembedding"):
        heads.ov(model, 0, 0, full=True)
    exchanged = build("llama", torch.float32)
    model = rz.load(exchanged)
    replaced(exchanged, "lm_head")
    with pytest.raises(CheckFailed, match="exchanged after the model was loaded"):
        heads.virtual_weights(model, "embed", "logits")


def test_attention_only_verbs() -> None:
    sizes: dict[str, Any] = {"n_heads": 2, "d_model": 16, "d_vocab": 20}
    for layers, call in (
        (2, lambda m: heads.path_expansion(m, IDS)),
        (1, lambda m: heads.skip_trigrams(m, 3)),
    ):
        hf = NativeForCausalLM(NativeConfig(n_layers=layers, **sizes))
        assert call(rz.load(hf, check=False))
        model = rz.load(replaced(hf, "model.blocks.0.attn.o_proj"), check=False)
        with pytest.raises(CheckFailed, match="the output projection of block 0") as refused:
            call(model)
        assert "merge_and_unload" in refused.value.mend


def test_whole_numbers_for_weights_are_refused() -> None:
    """As a quantised layer holds them."""
    hf = build("llama", torch.float32)
    layer = hf.model.layers[1].self_attn.o_proj
    layer.weight = nn.Parameter(layer.weight.detach().mul(100).char(), requires_grad=False)
    with pytest.raises(CheckFailed, match="has no plain weight matrix") as refused:
        heads.ov(rz.load(hf, check=False), 1, 0)
    assert "unquantised" in refused.value.mend


@pytest.mark.parametrize("name", READS)
def test_nan_in_the_weights(name: str, capfd: Any) -> None:
    hf = build("llama", torch.float32)
    with torch.no_grad():
        for path in (*PLACES, "lm_head"):
            module = hf.lm_head if path == "lm_head" else hf.model.layers[1].get_submodule(path)
            module.weight[0, 0] = float("nan")
    with pytest.raises(ShapeError, match="NaN or infinity") as refused:
        READS[name][1](rz.load(hf, check=False))
    assert "look at the weights" in refused.value.mend
    assert "MKL" not in "".join(capfd.readouterr())


def test_nan_in_an_attention_only_model() -> None:
    for path in ("model.blocks.1.attn.o_proj", "model.blocks.1.attn.k_proj", "model.embed"):
        hf = NativeForCausalLM(NativeConfig(n_heads=2, d_model=16, d_vocab=20))
        with torch.no_grad():
            hf.get_submodule(path).weight[3, 0] = float("inf")
        with pytest.raises(ResiduumError):  # the last two where the sum is compared
            heads.path_expansion(rz.load(hf, check=False), IDS)
