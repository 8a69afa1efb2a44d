"""How a sweep is divided does not change it; memory is kept to, and its lack is survived."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import residuum as rz
from residuum.runs import Forks
from residuum.runs.memory import memory_in_bytes, out_of_memory
from residuum.runs.sweeping import outcome as engines, sizing
from residuum.runs.sweeping.grid import Cell, Grid
from residuum.runs.sweeping.plan import Sizes, plan_blocks

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "families"))
from configs import build

GRIDS: tuple[Any, ...] = (
    ("z", ("layer", "head")),
    ("resid_pre", ("layer", "pos")),
    ("q", ("layer", "head", "pos")),
    ("mlp_act", ("layer", "neuron")),
)


@pytest.fixture(scope="module")
def model() -> rz.Model:
    return rz.load(build("llama", torch.float32))


@pytest.fixture(scope="module")
def task() -> rz.Task:
    generator = torch.Generator().manual_seed(5)
    clean = torch.randint(3, 101, (6, 8), generator=generator)
    corrupt = clean.clone()
    for row, at in enumerate((4, 4, 2, 6, 4, 3)):
        corrupt[row, at] = (clean[row, at] + 7) % 98 + 3
    answers, wrong = torch.arange(3, 9), torch.arange(50, 56)
    return rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=answers, wrong=wrong)


def sized(monkeypatch: pytest.MonkeyPatch, tokens: int, rows: int) -> None:
    monkeypatch.setattr(engines, "sizes_of", lambda *_, **__: Sizes(tokens, rows))


@pytest.mark.parametrize(("site", "by"), GRIDS)
@pytest.mark.parametrize(("tokens", "rows"), [(1, 1), (9, 2), (40, 4), (10_000, 6)])
def test_effects_do_not_depend_on_how_they_are_batched(
    model: rz.Model,
    task: rz.Task,
    site: str,
    by: Any,
    tokens: int,
    rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = rz.patch(model, task, site, by)
    scale = max(np.abs(whole.clean).max(), model.run(task.clean).logits.abs().max().item())
    sized(monkeypatch, tokens, rows)
    parts = rz.patch(model, task, site, by)
    assert parts.engine == whole.engine == "forked"
    assert np.abs(parts.per_example.values - whole.per_example.values).max() < 1e-5 * scale
    assert np.abs(parts.clean - whole.clean).max() < 1e-5 * scale


def test_effects_do_not_depend_on_the_order_of_cells(model: rz.Model, task: rz.Task) -> None:
    straight = rz.patch(model, task, "z", ("layer", "head"))
    turned = rz.patch(
        model, task, "z", ("head", "layer"), only={"layer": [2, 0], "head": [3, 1, 0, 2]}
    )
    assert turned.effects.dims == ("head", "layer")
    again = turned.effects.transpose("layer", "head").sel(layer=[0, 2], head=[0, 1, 2, 3])
    assert again.values == pytest.approx(straight.effects.sel(layer=[0, 2]).values, abs=1e-5)


def test_only_some_cells(model: rz.Model, task: rz.Task) -> None:
    whole = rz.patch(model, task, "z", ("layer", "head", "pos"))
    some = rz.patch(model, task, "z", ("layer", "head", "pos"), only={"layer": 1, "pos": [-1, 4]})
    assert some.effects.coords["pos"].values.tolist() == [7, 4]
    found = whole.effects.sel(layer=[1], pos=[7, 4]).values
    assert some.effects.values == pytest.approx(found, abs=1e-5)
    assert some.top(1)[0].at.startswith("L1.z[H")


@pytest.mark.parametrize(
    ("only", "words"),
    [
        ({"layer": [9]}, "does not fit 3 indices"),
        ({"layer": []}, "does not fit"),
        ({"layer": [0, 0]}, "does not fit"),
        ({"layer": [True]}, "does not fit"),
        ({"pos": [0]}, "does not go through"),
    ],
)
def test_cells_that_are_not_there(
    model: rz.Model, task: rz.Task, only: dict[str, Any], words: str
) -> None:
    with pytest.raises(rz.OptionError, match=words):
        rz.patch(model, task, "z", ("layer", "head"), only=only)


def test_a_patterns_future_is_impossible(model: rz.Model, task: rz.Task) -> None:
    by = ("layer", "head", "q_pos", "k_pos")
    only = {"layer": [1], "head": [0, 2]}
    forked, naive = (
        rz.patch(model, task, "pattern", by, only=only, engine=e) for e in ("forked", "naive")
    )
    future = np.triu(np.ones((8, 8), dtype=bool), 1)
    assert np.isnan(forked.effects.values[..., future]).all()
    assert not np.isnan(forked.effects.values[..., ~future]).any()
    assert np.nanmax(np.abs((forked.per_example - naive.per_example).values)) < 1e-5
    rows = rz.patch(model, task, "pattern", ("layer", "head", "q_pos"), only=only)
    by_pos = rz.patch(model, task, "pattern", ("layer", "head", "pos"), only=only)
    assert (rows.effects.values == by_pos.effects.values).all()


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "olmo2", "bert", "gptj"])
def test_neurons(name: str, task: rz.Task) -> None:
    m = rz.load(build(name, torch.float32))
    only = {"neuron": [0, 5, 31]}
    forked, naive = (
        rz.patch(m, task, "mlp_act", ("layer", "neuron", "pos"), only=only, engine=e)
        for e in ("forked", "naive")
    )
    scale = m.run(task.clean).logits.abs().max().item()
    assert np.abs(forked.per_example.values - naive.per_example.values).max() < 1e-5 * scale
    assert np.abs(naive.effects.values).max() > 0


def test_a_random_direction_of_the_same_size(model: rz.Model, task: rz.Task) -> None:
    sweep = rz.patch(model, task, "resid_post", ("layer",), control=3)
    again = rz.patch(model, task, "resid_post", ("layer",), control=3)
    assert sweep.control is not None and again.control is not None
    assert (sweep.control.values == again.control.values).all()
    layer, run = 1, model.run(task.corrupt, capture=["resid_post"])
    far = model.run(task.clean, capture=["resid_post"])["resid_post", layer]
    base = run["resid_post", layer]
    found = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(1_000_003 * seed + layer)
        unit = torch.randn(base.shape[-1], generator=generator, dtype=torch.float64)
        moved = base + (far - base).norm(dim=-1, keepdim=True) * (unit / unit.norm()).float()
        after = model.run(task.corrupt, edits=rz.Patch("L1.resid_post", moved)).last.double()
        rows = torch.arange(len(task))
        diff = after[rows, task.answers[:, 0]] - after[rows, task.wrong[:, 0]]
        found.append(abs(float((diff - torch.tensor(sweep.corrupt)).mean())))
    assert float(sweep.control[layer]) == pytest.approx(np.mean(found), abs=1e-4)
    with pytest.raises(rz.OptionError, match="needs vectors"):
        rz.patch(model, task, "pattern", ("layer", "head"), control=1)


@pytest.mark.parametrize("limit", [1, 5, 17])
def test_lack_of_memory_is_met_with_smaller_batches(
    model: rz.Model, task: rz.Task, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rz.patch(model, task, "z", ("layer", "head"))
    finish, failures = Forks.finish_all, []

    def short(self: Forks, changes: Any) -> torch.Tensor:
        rows = sum(len(change.rows) for change in changes)
        if rows > limit and len(changes[0].stream) > 2:
            failures.append(rows)
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return finish(self, changes)

    monkeypatch.setattr(Forks, "finish_all", short)
    parts = rz.patch(model, task, "z", ("layer", "head"))
    assert failures, "the whole batch did not fit"
    assert np.abs(parts.per_example.values - whole.per_example.values).max() < 1e-5


def test_other_errors_are_not_taken_for_lack_of_memory(
    model: rz.Model, task: rz.Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Forks, changes: Any) -> torch.Tensor:
        if len(changes) == 1 and changes[0].layer == 0:
            return finish(self, changes)
        raise RuntimeError("shapes cannot be multiplied")

    finish = Forks.finish_all
    monkeypatch.setattr(Forks, "finish_all", broken)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        rz.patch(model, task, "z", ("layer", "head"))
    assert out_of_memory(MemoryError()) and not out_of_memory(ValueError("out of memory"))


def test_too_little_memory_says_how_much_is_needed(model: rz.Model, task: rz.Task) -> None:
    with pytest.raises(rz.OptionError, match="takes about"):
        rz.patch(model, task, max_memory=1000)
    assert rz.patch(model, task, max_memory="50 MB").engine == "forked"


@pytest.mark.parametrize(
    ("text", "found"),
    [(None, None), (12, 12), ("2 GB", 2 * 10**9), ("1.5KiB", 1536), (" 7b ", 7), ("3", 3)],
)
def test_amounts_of_memory(text: Any, found: int | None) -> None:
    assert memory_in_bytes(text) == found


@pytest.mark.parametrize("text", ["", "much", "-1 GB", "2 XB", 0, -5, True, float("nan"), []])
def test_no_amounts_of_memory(text: Any) -> None:
    with pytest.raises(rz.OptionError, match="no amount of memory"):
        memory_in_bytes(text)


def test_less_memory_makes_smaller_batches(model: rz.Model, task: rz.Task) -> None:
    grid = Grid("z", ("layer", "head"), ((0, 1, 2), (0, 1, 2, 3)))
    sizes = [
        sizing.sizes_of(
            model, task, sizing.kept_by_sweep(grid), max_memory=most, whole_logits=False
        )
        for most in (300_000, 3_000_000, 10**9)
    ]
    assert sizes[0].tokens < sizes[1].tokens < sizes[2].tokens
    assert sizes[0].rows <= sizes[1].rows <= sizes[2].rows == len(task)


_PEAK = """
import sys, torch, residuum as rz
from transformers import GPT2Config, GPT2LMHeadModel
torch.set_num_threads(1)
torch.manual_seed(0)
config = GPT2Config(vocab_size=500, n_positions=64, n_embd=256, n_layer=4, n_head=8)
model = rz.load(GPT2LMHeadModel(config).eval())
clean = torch.randint(0, 500, (64, 48)); corrupt = clean.clone()
corrupt[:, 3] = (clean[:, 3] + 1) % 500
task = rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=clean[:, 0], wrong=clean[:, 0] + 1)
def sweep(pairs, most):
    only = {"layer": [1], "pos": [3, 4, 20]}
    return rz.patch(model, pairs, "z", ("layer", "head", "pos"), only=only, max_memory=most)
def memory(name):
    lines = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    return int(lines[name].split()[0]) * 1024
sweep(task.head(2), "20 MB")
open("/proc/self/clear_refs", "w").write("5")
before = memory("VmRSS")
sweep(task, sys.argv[1])
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads Linux's /proc")
def test_the_budget_is_kept_to_as_measured() -> None:
    given_back = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    peaks = {}
    for most in ("40 MB", "400 MB"):
        run = [sys.executable, "-c", _PEAK, most]
        env = {**os.environ, **given_back}
        done = subprocess.run(run, capture_output=True, text=True, timeout=250, env=env)
        assert done.returncode == 0, done.stderr
        peaks[most] = int(done.stdout.split()[-1])
    assert 10e6 < peaks["40 MB"] <= 40e6
    assert peaks["40 MB"] < peaks["400 MB"] <= 400e6


@settings(max_examples=60)
@given(
    first=st.lists(st.integers(0, 6), min_size=1, max_size=7),
    tokens=st.integers(1, 60),
    rows=st.integers(1, 7),
    by_pos=st.booleans(),
    forked=st.booleans(),
)
def test_every_cell_is_planned_once(
    first: list[int], tokens: int, rows: int, by_pos: bool, forked: bool
) -> None:
    by = ("layer", "head", "pos") if by_pos else ("layer", "head")
    coords = ((0, 1, 2), (0, 1), tuple(range(6)))[: len(by)]
    grid = Grid("z", by, coords)
    ends = torch.full((len(first),), 5)
    blocks = plan_blocks(grid, torch.tensor(first), ends, 6, Sizes(tokens, rows), forked=forked)
    cells = [cell for _, cell in grid.cells()]
    seen = [(row, i) for b in blocks for i in b.cells for row in range(b.first_row, b.end_row)]
    assert len(set(seen)) == len(seen)

    def changed(row: int, cell: Cell) -> bool:
        return first[row] <= (5 if cell.pos is None else cell.pos)

    wanted = {(r, i) for r in range(len(first)) for i, c in enumerate(cells) if changed(r, c)}
    assert wanted <= set(seen)
    for block in blocks:
        layers = [cells[i].layer for i in block.cells]
        assert layers == sorted(layers)
        assert {cells[i].pos for i in block.cells} <= {block.pos}
