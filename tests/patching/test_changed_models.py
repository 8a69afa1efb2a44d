"""Models that are not what their weights say: adapters, hooks, train mode, later changes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import residuum as rz

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "families"))
from configs import build


class Adapted(nn.Linear):
    """A linear layer whose ``weight`` is not all that it does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layer, and a low-rank part beside it."""
        return super().forward(x) + x @ self.down.T @ self.up.T


def adapt(linear: nn.Linear, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    linear.__class__ = Adapted
    linear.down = nn.Parameter(0.3 * torch.randn(4, linear.in_features, generator=generator))
    linear.up = nn.Parameter(0.3 * torch.randn(linear.out_features, 4, generator=generator))


@pytest.fixture
def task() -> rz.Task:
    generator = torch.Generator().manual_seed(3)
    clean = torch.randint(3, 101, (4, 7), generator=generator)
    corrupt = clean.clone()
    corrupt[:, 3] = (clean[:, 3] + 7) % 98 + 3
    return rz.Task.from_pairs(
        clean=clean, corrupt=corrupt, answers=torch.arange(3, 7), wrong=torch.arange(50, 54)
    )


SWEEPS: tuple[Any, ...] = (
    ("z", ("layer", "head")),
    ("q", ("layer", "head")),
    ("attn_out", ("layer",)),
    ("mlp_act", ("layer",)),
    ("mlp_out", ("layer",)),
    ("resid_post", ("layer", "pos")),
)


def largest_gap(model: rz.Model, task: rz.Task) -> float:
    gaps = []
    have = {address.name for address in model.sites}
    for site, by in SWEEPS:
        if site not in have:  # refused at load, by name and with the reason
            continue
        auto, naive = (rz.patch(model, task, site, by, engine=e) for e in ("auto", "naive"))
        gaps.append(np.abs(auto.per_example.values - naive.per_example.values).max())
    paths = [
        rz.path_patch(model, task, "L0.z", ["L1.q_in", "L1.mlp_in", "logits"], engine=e)
        for e in ("auto", "naive")
    ]
    gaps.append(np.nanmax(np.abs((paths[0].per_example - paths[1].per_example).values)))
    return float(max(gaps))


@pytest.mark.parametrize("where", ["self_attn.o_proj", "mlp.down_proj", "self_attn.q_proj"])
@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_an_adapter_on_a_projection(name: str, where: str, task: rz.Task) -> None:
    hf = build(name, torch.float32)
    for index, layer in enumerate(hf.model.layers):
        adapt(layer.get_submodule(where), index)
    model = rz.load(hf)
    assert largest_gap(model, task) < 1e-5
    site = {"self_attn.o_proj": "z", "mlp.down_proj": "mlp_act"}.get(where)
    if site is not None:
        sweep = rz.patch(model, task, site, ("layer",))
        assert sweep.engine == "naive" and "an adapter or a hook" in sweep.warnings[0]
        with pytest.raises(rz.OptionError, match="cannot be forked"):
            rz.patch(model, task, site, ("layer",), engine="forked")


@pytest.mark.parametrize(
    "where",
    [
        "transformer.h.1",
        "transformer.h.1.attn",
        "transformer.h.1.attn.c_proj",
        "transformer.h.1.mlp",
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_a_hook_before_and_after_load(where: str, before: bool, task: rz.Task) -> None:
    def larger(_: Any, __: Any, output: Any) -> Any:
        return (1.5 * output[0], *output[1:]) if isinstance(output, tuple) else 1.5 * output

    hf = build("gpt2", torch.float32)
    model = None if before else rz.load(hf)
    hf.get_submodule(where).register_forward_hook(larger)
    model = rz.load(hf) if model is None else model
    assert largest_gap(model, task) < 1e-5


def test_train_mode_changes_nothing_and_stays(task: rz.Task) -> None:
    hf = build("gpt2", torch.float32)
    model = rz.load(hf)
    for module in hf.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    calm = [rz.patch(model, task, site, by) for site, by in SWEEPS]
    table = rz.path_patch(model, task, "L0.z", ["L1.q_in", "L1.mlp_in"])
    hf.train()
    for before, (site, by) in zip(calm, SWEEPS, strict=True):
        after = rz.patch(model, task, site, by)
        assert after.engine == "forked"
        assert (after.per_example.values == before.per_example.values).all(), site
    again = rz.path_patch(model, task, "L0.z", ["L1.q_in", "L1.mlp_in"])
    assert np.nanmax(np.abs((again.per_example - table.per_example).values)) == 0
    assert hf.training and all(module.training for module in hf.modules())


@pytest.mark.parametrize("paths", [False, True])
def test_kept_blocks_of_other_weights_are_not_taken(
    paths: bool, task: rz.Task, tmp_path: Path
) -> None:
    hf = build("llama", torch.float32)
    model = rz.load(hf)

    def sweep(**options: Any) -> np.ndarray:
        if paths:
            return rz.path_patch(model, task, "L0.z", "L1.q_in", **options).per_example.values
        return rz.patch(model, task, **options).per_example.values

    first = sweep(keep=tmp_path)
    with torch.no_grad():
        hf.model.layers[1].self_attn.q_proj.weight.data.mul_(3)
    second, fresh = sweep(keep=tmp_path), sweep()
    assert np.array_equal(second, fresh, equal_nan=True)
    assert not np.array_equal(second, first, equal_nan=True)
    handle = hf.model.layers[1].register_forward_hook(lambda m, i, o: o)
    sweep(keep=tmp_path)
    handle.remove()
    assert len([path for path in tmp_path.iterdir() if path.suffix == ".cells"]) == 3
