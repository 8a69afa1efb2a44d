"""Adapters and hooks: what is read off a weight is not read where the module does more."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import residuum as rz
from residuum.lenses import attention_view, direct_logit_attribution, stream_contributions

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import id_task

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))
from configs import build

PROMPT = [4, 5, 7, 10]


class Adapter(nn.Module):
    """A low-rank change beside a linear layer, whose weight and bias it shows as its own."""

    def __init__(self, base: nn.Linear, shows_weight: bool = True) -> None:
        super().__init__()
        self.base = base
        generator = torch.Generator().manual_seed(1)
        self.down = nn.Parameter(torch.randn(2, base.in_features, generator=generator) * 0.1)
        self.up = nn.Parameter(torch.randn(base.out_features, 2, generator=generator) * 0.1)
        if shows_weight:
            self.weight, self.bias = base.weight, base.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + x @ self.down.T @ self.up.T

    def merged(self) -> nn.Linear:
        with torch.no_grad():
            self.base.weight.add_(self.up @ self.down)
        return self.base


def adapted(where: str, shows_weight: bool = True) -> tuple[Any, nn.Module, str]:
    """A tiny Llama with an adapter in block 1 (or on the head), and where that is."""
    hf = build("llama")
    block = hf.model.layers[1]
    owner = {"o_proj": block.self_attn, "down_proj": block.mlp, "lm_head": hf}[where]
    setattr(owner, where, Adapter(getattr(owner, where), shows_weight))
    return hf, owner, where


VERBS: dict[str, Callable[[rz.Model], Any]] = {
    "attribution": lambda m: direct_logit_attribution(m, id_task()),
    "neurons": lambda m: direct_logit_attribution(m, id_task(), neurons=True),
    "stream": lambda m: stream_contributions(m, PROMPT),
    "attention": lambda m: attention_view(m, PROMPT),
    "heads' logits": lambda m: rz.logit_lens(m, PROMPT, site="head_out"),
    "MLPs' logits": lambda m: rz.logit_lens(m, PROMPT, site="mlp_out"),
}
CASES = {
    "o_proj": ("attribution", "neurons", "stream", "attention", "heads' logits"),
    "down_proj": ("neurons",),
    "lm_head": ("attribution", "neurons", "heads' logits", "MLPs' logits"),
}


@pytest.mark.parametrize(("where", "verb"), [(w, v) for w, verbs in CASES.items() for v in verbs])
def test_an_adapter_is_named_and_merging_it_mends(where: str, verb: str) -> None:
    hf, owner, name = adapted(where)
    held = rz.load(hf, check=False)
    with pytest.raises(rz.CheckFailed, match=r"has an adapter or a hook \(Adapter\)") as caught:
        VERBS[verb](held)
    assert "merge the adapter" in caught.value.mend and "family" not in str(caught.value)
    assert caught.value.where == {"o_proj": "L1.attn_out", "down_proj": "L1.mlp_out",
                                  "lm_head": "logits"}[where]  # fmt: skip
    setattr(owner, name, getattr(owner, name).merged())
    VERBS[verb](rz.load(hf, check=False))


def test_an_adapter_without_a_weight_of_its_own_is_named() -> None:
    held = rz.load(adapted("o_proj", shows_weight=False)[0], check=False)
    for verb in CASES["o_proj"]:
        with pytest.raises(
            rz.CheckFailed, match=r"\(Adapter\) has no plain weight matrix"
        ) as caught:
            VERBS[verb](held)
        assert "merge the adapter" in caught.value.mend


def test_an_adapter_inside_an_mlp_changes_no_sum() -> None:
    """What the MLP adds is read off the run, so that it is right with the adapter in it."""
    held = rz.load(adapted("down_proj")[0])
    found = direct_logit_attribution(held, id_task())
    np.testing.assert_allclose(found.total, found.logits, atol=1e-5)
    plain = direct_logit_attribution(rz.load(build("llama")), id_task())
    assert np.abs(found.total - plain.total).max() > 1e-3


@pytest.mark.parametrize(("place", "block"), [("transformer.h.1", 1), ("transformer.h.2.attn", 2)])
def test_a_hook_on_a_block_is_found_where_it_is(place: str, block: int) -> None:
    held = rz.load(build("gpt2"), check=False)
    extra = torch.randn(32, generator=torch.Generator().manual_seed(1)) * 0.1

    def add(module: nn.Module, given: Any, out: Any) -> Any:
        return (out[0] + extra, *out[1:]) if isinstance(out, tuple) else out + extra

    hook = held.hf.get_submodule(place).register_forward_hook(add)
    try:
        for call in (lambda: direct_logit_attribution(held, id_task()),
                     lambda: stream_contributions(held, PROMPT)):  # fmt: skip
            with pytest.raises(rz.CheckFailed, match=f"block {block} has an adapter") as caught:
                call()
            assert "take the hook off" in caught.value.mend
            assert caught.value.where.startswith(f"L{block}.")
    finally:
        hook.remove()
    direct_logit_attribution(held, id_task())
    stream_contributions(held, PROMPT)


def test_a_hook_between_blocks_is_found() -> None:
    held = rz.load(build("gpt2"), check=False)
    extra = torch.randn(32, generator=torch.Generator().manual_seed(1))
    block = held.hf.transformer.h[2]
    block.register_forward_pre_hook(lambda _, x: (x[0] + extra, *x[1:]))
    with pytest.raises(rz.CheckFailed, match="block 2 has an adapter or a hook") as caught:
        direct_logit_attribution(held, id_task())
    assert caught.value.where == "L2.resid_post"


def test_who_only_looks_is_let_through() -> None:
    held = rz.load(build("gpt2"), check=False)
    before = attention_view(held, PROMPT).output
    for module in held.hf.modules():
        module.register_forward_hook(lambda *_: None)
    assert torch.equal(attention_view(held, PROMPT).output, before)
    for verb in VERBS.values():
        verb(held)


def exchange_forward(module: nn.Module, change: Callable[..., Any]) -> None:
    """As libraries do that keep weights elsewhere: no hook, no other module."""
    plain = module.forward
    module.forward = lambda *given, **options: change(plain, *given, **options)


def test_a_changed_forward_is_found_where_the_sum_is_missed() -> None:
    """No hook stands there, and each weight is what its module does: the whole prompt shows it."""
    extra = torch.randn(32, generator=torch.Generator().manual_seed(1))
    behind, before = (rz.load(build("gpt2"), check=False) for _ in range(2))
    exchange_forward(behind.hf.transformer.h[1], lambda f, *x, **o: f(*x, **o) + extra)
    block = before.hf.transformer.h[2]

    class Shifted(type(block)):
        def __call__(self, x: Tensor, *rest: Any, **options: Any) -> Any:
            return super().__call__(x + extra, *rest, **options)

    block.__class__ = Shifted
    with pytest.raises(rz.CheckFailed, match="L1 adds something that neither") as caught:
        direct_logit_attribution(behind, id_task())
    assert "take the hook off" in caught.value.mend
    with pytest.raises(rz.CheckFailed, match=r"parts of L1 miss its stream"):
        stream_contributions(behind, PROMPT)
    with pytest.raises(rz.CheckFailed, match="L2 does not begin where the block before it"):
        direct_logit_attribution(before, id_task())


def test_a_module_exchanged_after_loading_is_found() -> None:
    """Its weight is still the one that is held; the model runs another."""
    held = rz.load(build("llama"), check=False)
    held.hf.model.layers[1].self_attn.o_proj = nn.Linear(32, 32, bias=False)
    for verb in CASES["o_proj"]:
        with pytest.raises(rz.CheckFailed, match="block 1 was exchanged after") as caught:
            VERBS[verb](held)
        assert "load the model again" in caught.value.mend


def test_a_small_adapter_in_half_precision_is_seen() -> None:
    """Some two per cent of what the weight does."""
    hf, _, _ = adapted("o_proj")
    with torch.no_grad():
        hf.model.layers[1].self_attn.o_proj.up.mul_(0.03)
    with pytest.raises(rz.CheckFailed, match=r"\(Adapter\), off by [1-4]\.\de-02"):
        attention_view(rz.load(hf.to(torch.bfloat16), check=False), PROMPT)


def test_half_precision_and_every_layout_of_weights_are_not_taken_for_adapters() -> None:
    for name in ("gpt2", "llama", "gemma2", "falcon", "mixtral", "gpt_oss", "granite"):
        for dtype in (torch.float16, torch.bfloat16, torch.float64):
            held = rz.load(build(name, dtype), check=False)
            attention_view(held, PROMPT)
            rz.logit_lens(held, PROMPT, site="head_out")
