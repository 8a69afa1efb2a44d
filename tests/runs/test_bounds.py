"""A captured tensor is never read beyond its end: parts and positions that are not there."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import residuum as rz
from residuum.runs import Run

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import IDS, model

MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
SITES = ["z", "k", "pattern", "head_out", "mlp_act", "resid_post"]


def _run(family: str = "gpt2", *, mask: torch.Tensor | None = None, reduce: Any = None) -> Run:
    queries = [rz.Capture(f"L1.{site}", reduce=reduce) for site in SITES]
    return model(family).run(IDS, attention_mask=mask, capture=queries)


@pytest.mark.parametrize(
    ("at", "what"),
    [
        ("L1.z[H{heads}]", "head {heads} is out of range: L1.z has {heads}"),
        ("L1.z[H99]", "head 99 is out of range: L1.z has {heads}"),
        ("L1.k[H{kv}]", "head {kv} is out of range: L1.k has {kv}"),
        ("L1.pattern[H99]", "head 99 is out of range: L1.pattern has {heads}"),
        ("L1.head_out[H99]@-1", "head 99 is out of range: L1.head_out has {heads}"),
        ("L1.mlp_act[N{mlp}]", "neuron {mlp} is out of range: L1.mlp_act has {mlp}"),
        ("L1.resid_post@5", "position 5 is out of range: the shortest prompt has 5 tokens"),
        ("L1.z[H0]@-6", "position -6 is out of range: the shortest prompt has 5 tokens"),
        ("L1.pattern@99", "position 99 is out of range: the shortest prompt has 5 tokens"),
        ("L1.z@7:9", "positions 7:9 cover no token: the longest prompt has 5 tokens"),
    ],
)
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_what_is_not_there_is_named(family: str, at: str, what: str) -> None:
    run, dims = _run(family), model(family).dims
    sizes = {"heads": dims.n_heads, "kv": dims.n_kv_heads, "mlp": dims.d_mlp}
    address = rz.Address.parse(at.format(**sizes))
    for ask in (lambda: run[address], lambda: run.site_value(address)):
        with pytest.raises(rz.AddressError) as refused:
            ask()
        assert refused.value.what == what.format(**sizes)
        assert refused.value.mend and refused.value.where == str(address)
    assert address not in run


def test_the_last_part_and_position_are_there() -> None:
    run, dims = _run(), model().dims
    for at in (f"L1.z[H{dims.n_heads - 1}]@4", f"L1.mlp_act[N{(dims.d_mlp or 0) - 1}]@-5"):
        assert run[at].shape[0] == 2 and rz.Address.parse(at) in run


def test_means_have_bounds_too() -> None:
    mean, heads = _run(reduce="mean"), model().dims.n_heads
    assert mean[f"L1.z[H{heads - 1}]"].ndim == 1
    with pytest.raises(rz.AddressError, match=f"head {heads} is out of range: L1.z has {heads}"):
        mean[f"L1.z[H{heads}]"]


def test_no_padding_is_read_as_a_position() -> None:
    run = _run(mask=MASK)
    assert run["L1.resid_post@2"].shape[0] == 2
    with pytest.raises(rz.AddressError, match="the shortest prompt has 3 tokens"):
        run["L1.resid_post@3"]


def test_a_number_beyond_float32_is_refused_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in (1e300, -1e300):
            with pytest.raises(rz.ShapeError, match="NaN or infinity"):
                rz.Set("L0.z", number)
