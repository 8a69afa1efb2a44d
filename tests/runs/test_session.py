"""The session: hooks where something was asked, none afterwards, and no layer run in vain."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import residuum as rz

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import IDS, build, model


@contextmanager
def counted(held: rz.Model) -> Iterator[Counter[int]]:
    """How often each block finished, by the user's own hooks."""
    calls: Counter[int] = Counter()
    blocks = [layer.block for layer in held.adapted.parts.layers]
    handles = [
        block.register_forward_pre_hook(lambda *_, i=i: calls.update([i]))
        for i, block in enumerate(blocks)
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("name", ["gpt2", "llama", "gptj"])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_layers_after_the_last_needed_are_not_run(name: str, layer: int) -> None:
    held = model(name)
    for site in ("z", "mlp_act", "resid_post"):
        with counted(held) as calls:
            run = held.run(IDS, capture=[(site, layer)], logits=False)
        assert run.logits is None
        assert dict(calls) == dict.fromkeys(range(layer + 1), 1)
        assert torch.equal(run[site, layer], held.run(IDS, capture=[(site, layer)])[site, layer])


def test_an_edit_is_reached_before_the_pass_stops() -> None:
    with counted(model()) as calls:
        run = model().run(IDS, capture="L0.z", edits=rz.Zero("L1.z"), logits=False)
    assert dict(calls) == {0: 1, 1: 1} and list(run.fired.values()) == [1]


def test_with_logits_every_layer_runs_once() -> None:
    with counted(model()) as calls:
        model().run(IDS, capture="L0.z")
    assert dict(calls) == {0: 1, 1: 1, 2: 1}


def hooks(hf: Any) -> list[tuple[int, int]]:
    return [(len(each._forward_hooks), len(each._forward_pre_hooks)) for each in hf.modules()]


class _Break(Exception):
    pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, _Break], ids=["Ctrl-C", "error"])
@pytest.mark.parametrize("name", ["llama", "gptj"])
def test_nothing_is_left_behind_when_a_run_is_cut(name: str, error: type[BaseException]) -> None:
    held = rz.load(build(name), check=False)
    before, bare = hooks(held.hf), held.hf(IDS).logits
    kernel = held.hf.config._attn_implementation

    def interrupt(*_: Any) -> None:
        raise error

    handle = held.adapted.parts.layers[1].o_proj.register_forward_hook(interrupt)
    with pytest.raises(error):
        held.run(IDS, capture=["pattern", "q_in"], edits=rz.Zero("L0.z"))
    handle.remove()
    assert hooks(held.hf) == before
    assert held.hf.config._attn_implementation == kernel
    assert torch.equal(held.hf(IDS).logits, bare)
    assert held.run(IDS, capture="pattern")["L1.pattern"].shape == (2, 4, 5, 5)


def test_the_users_own_hooks_stay_and_see_the_edited_pass() -> None:
    held = rz.load(build("gpt2"), check=False)
    seen: list[torch.Tensor] = []
    handle = held.hf.transformer.h[2].register_forward_pre_hook(
        lambda module, args: seen.append(args[0].detach().clone())
    )
    run = held.run(IDS, capture="L2.resid_pre", edits=rz.Add("L1.resid_post", torch.ones(32)))
    assert torch.equal(seen[-1], run["L2.resid_pre"])
    assert handle.id in held.hf.transformer.h[2]._forward_pre_hooks
    handle.remove()


def test_a_refused_call_leaves_no_trace() -> None:
    held = rz.load(build("gpt2"), check=False)
    before = hooks(held.hf)
    for wrong in ("L0.z[H9]", "L7.z", "nothing"):
        with pytest.raises(rz.AddressError):
            held.run(IDS, capture=["L0.z", wrong])
    with pytest.raises(rz.ShapeError):
        held.run(IDS, edits=rz.Set("L0.z", torch.ones(3)))
    assert hooks(held.hf) == before
