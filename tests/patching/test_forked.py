"""Forked sweeps equal whole passes, on every family and at every site that is forked."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import residuum as rz
from residuum.models import Batch
from residuum.runs import Forks
from residuum.runs.sweeping.changes import FORKED_SITES
from residuum.runs.sweeping.writing import first_differences

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "families"))
from configs import CONFIGS, build

OWN_SINGLE_PRECISION = ("gptj", "gpt_neo")
SWEEPS = (
    ("resid_pre", ("layer", "pos")),
    ("resid_mid", ("layer", "pos")),
    ("attn_out", ("layer",)),
    ("mlp_out", ("layer", "pos")),
    ("z", ("layer", "head")),
    ("k", ("layer", "head", "pos")),
)


@cache
def model(name: str, dtype: torch.dtype = torch.float32) -> rz.Model:
    return rz.load(build(name, dtype))


def pairs(seed: int = 0, rows: int = 3, width: int = 8) -> rz.Task:
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(3, 101, (rows, width), generator=generator)
    corrupt = clean.clone()
    corrupt[:, 4] = (clean[:, 4] + 7) % 98 + 3
    corrupt[0, 6] = (clean[0, 6] + 11) % 98 + 3
    return rz.Task.from_pairs(
        clean=clean,
        corrupt=corrupt,
        answers=torch.arange(3, 3 + rows),
        wrong=torch.arange(50, 50 + rows),
    )


def largest_gap(m: rz.Model, task: rz.Task, site: str, by: Any, **options: Any) -> float:
    forked = rz.patch(m, task, site, by, engine="forked", **options)
    naive = rz.patch(m, task, site, by, engine="naive", **options)
    assert forked.engine == "forked" and naive.engine == "naive"
    ends = np.abs(np.concatenate([naive.clean, naive.corrupt])).max()
    read = m.run(task.clean).logits.abs().max().item()
    gap = np.abs(forked.per_example.values - naive.per_example.values).max()
    return float(gap / max(ends, read))


@pytest.mark.parametrize("name", CONFIGS)
def test_equals_one_pass_a_cell(name: str) -> None:
    m = model(name)
    for site, by in SWEEPS:
        if any(address.name == site for address in m.sites):
            assert largest_gap(m, pairs(), site, by) < 1e-5, site


@pytest.mark.parametrize("site", FORKED_SITES)
@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "falcon", "mixtral", "gpt_oss"])
def test_every_forked_site(name: str, site: str) -> None:
    m = model(name)
    if not any(address.name == site for address in m.sites):
        pytest.skip(f"{name} has no {site}: its blocks are parallel")
    heads = site in ("z", "q", "k", "v", "pattern", "head_out")
    by = ("layer", "head", "pos") if heads else ("layer", "pos")
    assert largest_gap(m, pairs(), site, by, direction="noise") < 1e-5


@pytest.mark.parametrize("name", [n for n in CONFIGS if n not in OWN_SINGLE_PRECISION])
def test_in_double_precision(name: str) -> None:
    m = model(name, torch.float64)
    for site, by in (("resid_pre", ("layer", "pos")), ("z", ("layer", "head"))):
        assert largest_gap(m, pairs(), site, by) < 1e-10, site


@pytest.mark.parametrize("name", ["gpt2", "llama", "bloom", "gptj", "gemma3_text"])
def test_ragged_prompts(name: str) -> None:
    m = model(name)
    task = pairs()
    ragged = rz.Task.from_pairs(
        clean=task.clean,
        corrupt=task.corrupt,
        answers=task.answers,
        wrong=task.wrong,
        lengths=torch.tensor([8, 6, 7]),
    )
    assert largest_gap(m, ragged, "z", ("layer", "head")) < 1e-5
    assert largest_gap(m, ragged, "resid_post", ("layer",)) < 1e-5


@pytest.mark.parametrize("metric", ["logit_diff", "prob", "loss_nats", "accuracy"])
def test_every_metric_reads_the_same(metric: str) -> None:
    assert largest_gap(model("gemma2"), pairs(), "z", ("layer", "head"), metric=metric) < 1e-5


@settings(max_examples=20)
@given(
    seed=st.integers(0, 1000),
    at=st.integers(1, 7),
    site=st.sampled_from(FORKED_SITES),
    by_pos=st.booleans(),
)
def test_any_prefix_and_place(seed: int, at: int, site: str, by_pos: bool) -> None:
    m = model("qwen3")
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(3, 101, (2, 8), generator=generator)
    corrupt = clean.clone()
    corrupt[:, at] = (clean[:, at] + 5) % 98 + 3
    task = rz.Task.from_pairs(
        clean=clean, corrupt=corrupt, answers=torch.tensor([3, 4]), wrong=torch.tensor([5, 6])
    )
    by = ("layer", "pos") if by_pos else ("layer",)
    assert largest_gap(m, task, site, by) < 1e-5


def test_cells_before_the_first_difference_are_exactly_zero() -> None:
    sweep = rz.patch(model("gpt2"), pairs(), "z", ("layer", "head", "pos"))
    assert (sweep.effects.values[:, :, :4] == 0).all()
    assert (sweep.effects.values[:, :, 4:] != 0).any()


def test_the_two_unpatched_runs_are_counted() -> None:
    for jobs in (1, rz.InProcess()):
        sweep = rz.patch(model("gpt2"), pairs(), "mlp_out", ("layer",), jobs=jobs)
        assert 2 < sweep.passes < 2 + sweep.effects.size


def test_fewer_passes_than_cells() -> None:
    sweep = rz.patch(model("gpt2"), pairs(), "z", ("layer", "head", "pos"))
    cells = sweep.effects.size
    assert sweep.passes < 0.2 * cells
    assert sweep.passes + sweep.passes_saved == pytest.approx(cells + 2)


def test_what_is_not_forked_says_so() -> None:
    sweep = rz.patch(model("gpt2"), pairs(), "mlp_pre", ("layer",))
    assert sweep.engine == "naive"
    assert "not forked" in sweep.warnings[0]
    with pytest.raises(rz.OptionError, match="cannot be forked"):
        rz.patch(model("gpt2"), pairs(), "mlp_pre", ("layer",), engine="forked")


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", CONFIGS)
def test_an_unchanged_fork_is_the_base_run(name: str, side: str) -> None:
    if name == "bert" and side == "left":
        pytest.skip("an encoder's positions count from the first column")
    ids = torch.randint(3, 101, (2, 8), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[1, slice(0, 2) if side == "left" else slice(6, 8)] = False
    forks = Forks(model(name).adapted, Batch(ids, mask))
    assert forks.proven(2e-6) == ""


def test_first_differences() -> None:
    a = torch.tensor([[1, 2, 3], [1, 2, 3]])
    b = torch.tensor([[1, 9, 3], [1, 2, 3]])
    assert first_differences(a, b).tolist() == [1, 3]
