"""How much memory a lens takes at its peak, as the allocator counts it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import residuum as rz
from residuum.lenses import vocabulary_chunks

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))
from configs import build

LAYERS, TOKENS, VOCABULARY = 3, 512, 20_000
ALL = (LAYERS + 1) * TOKENS * VOCABULARY * 4
"""Bytes of layers × tokens × vocabulary in float32."""


def peak_bytes(call: Callable[[], Any]) -> int:
    """Most bytes that torch held at once during a call, above what it held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        call()
    events = seen.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    held = peak = 0
    for _, change in changes:
        held += change
        peak = max(peak, held)
    return peak


def world(layers: int = LAYERS) -> tuple[rz.Model, torch.Tensor]:
    more = {"vocab_size": VOCABULARY, "n_positions": TOKENS, "n_layer": layers}
    held = rz.load(build("gpt2", **more), check=False)
    generator = torch.Generator().manual_seed(1)
    return held, torch.randint(3, VOCABULARY, (TOKENS,), generator=generator)


def test_the_measure_sees_what_is_held() -> None:
    row = TOKENS * VOCABULARY * 4
    assert row <= peak_bytes(lambda: torch.ones(TOKENS, VOCABULARY)) < 1.01 * row
    together = peak_bytes(lambda: [torch.ones(TOKENS, VOCABULARY) for _ in range(4)])
    in_turn = peak_bytes(lambda: [torch.ones(TOKENS, VOCABULARY).sum() for _ in range(4)])
    assert 4 * row <= together < 4.01 * row and row <= in_turn < 1.01 * row
    held, prompt = world()
    assert peak_bytes(lambda: held.run(prompt)) >= row


@pytest.mark.parametrize("site", ["resid_post", "mlp_out"])
def test_the_peak_stays_below_one_layers_logits_however_many_layers(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, prompt = world()
    monkeypatch.setattr(vocabulary_chunks, "AT_ONCE", 2**18)
    small = peak_bytes(lambda: rz.logit_lens(held, prompt, site=site, top=2, track=[5]))
    assert small < TOKENS * VOCABULARY * 4 < ALL
    monkeypatch.setattr(vocabulary_chunks, "AT_ONCE", TOKENS * VOCABULARY)
    whole = peak_bytes(lambda: rz.logit_lens(held, prompt, site=site, top=2, track=[5]))
    assert whole > TOKENS * VOCABULARY * 8  # the bound is broken where slices are as wide as all


def test_as_shipped_the_peak_is_a_few_slices_and_does_not_grow_with_layers() -> None:
    held, prompt = world()
    shipped = peak_bytes(lambda: rz.logit_lens(held, prompt, top=2))
    assert shipped < 5 * vocabulary_chunks.AT_ONCE * 8
    deeper, _ = world(3 * LAYERS)
    more = peak_bytes(lambda: rz.logit_lens(deeper, prompt, top=2)) - shipped
    assert more < TOKENS * VOCABULARY  # bytes, for six layers more: a quarter of one's logits
