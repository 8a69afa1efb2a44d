"""Approximations of patching: where they are exact, how fast they become so, what they miss."""

from __future__ import annotations

import json
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import residuum as rz
from residuum.core import SITES, Address, AddressError, Patch
from residuum.models import Batch
from residuum.models.native import NativeConfig, NativeForCausalLM
from residuum.patching.gradients.attribution import (
    Approximated,
    AttributionPatching,
    NodeIG,
    approximate,
)
from residuum.patching.gradients.check import (
    Approximation,
    CheckedCell,
    draw_cells,
    exact_metric,
)
from residuum.patching.gradients.problem import Passed, Problem
from residuum.patching.gradients.softmax import key_by_key
from residuum.runs import metric_named
from residuum.runs.sweeping.grid import make_grid

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "families"))
from configs import CONFIGS, build

FAMILIES = (
    "gpt2",
    "llama",  # grouped heads
    "gemma2",  # soft caps, sliding windows, post-norms
    "gpt_oss",  # sinks
    "mistral",  # sliding window
    "bloom",  # ALiBi
    "falcon",  # parallel blocks, fused and grouped heads
    "gptj",
    "qwen3",  # norms on queries and keys
    "cohere",
    "bert",  # looks both ways
)
HEADS = ("layer", "head")
PLAIN = AttributionPatching(qk_correction=False, check=0)
CORRECTED = AttributionPatching(check=0)


@cache
def model(name: str, dtype: torch.dtype = torch.float32) -> rz.Model:
    """A tiny model whose weights are larger than at the start of training, so that parts matter."""
    made = build(name, torch.float64)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3.0 if name in ("bloom", "bert", "opt") else 1.5)
    return rz.load(made.to(dtype), check=False)


@cache
def native(layers: int = 2, **options: Any) -> rz.Model:
    """Attention alone: no MLP, no norm, so that the last layer is followed by linear maps only."""
    shape = {"d_model": 16, "n_heads": 4, "d_vocab": 101, "n_ctx": 16, "initializer_range": 0.4}
    torch.manual_seed(3)
    made = NativeForCausalLM(NativeConfig(n_layers=layers, **(shape | options)))
    return rz.load(made.eval(), check=False)


def pairs(lengths: list[int] | None = None, rows: int = 3, width: int = 7) -> rz.Task:
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(3, 101, (rows, width), generator=generator)
    corrupt = clean.clone()
    corrupt[:, 2] = (clean[:, 2] + 7) % 98 + 3
    corrupt[0, 4] = (clean[0, 4] + 11) % 98 + 3
    return rz.Task.from_pairs(
        clean=clean,
        corrupt=corrupt,
        answers=torch.arange(3, 3 + rows),
        wrong=torch.arange(50, 50 + rows),
        lengths=None if lengths is None else torch.tensor(lengths),
    )


def problem(
    m: rz.Model, task: rz.Task, site: str, by: Any, metric: str = "", only: Any = None
) -> Problem:
    source, target = (Batch(ids, task.attention_mask) for ids in (task.clean, task.corrupt))
    measure = metric_named(metric or task.metric)
    return Problem(m, task, make_grid(m, task, site, by, only), source, target, measure)


def swept(
    m: rz.Model, task: rz.Task, site: str, by: Any, method: Any, metric: str = "", only: Any = None
) -> Approximated:
    asked = problem(m, task, site, by, metric, only)
    return approximate(m, task, asked.grid, asked.source, asked.target, asked.measure, method)


def predicted(*args: Any, **options: Any) -> np.ndarray:
    """Predicted effects, ``[...by example]``."""
    found = swept(*args, **options).outcome
    return found.values - found.base


def exact(m: rz.Model, task: rz.Task, site: str, by: Any, donor: Any = None) -> np.ndarray:
    """The oracle: one whole forward pass for each cell, the edit at the cell's own address."""
    grid = make_grid(m, task, site, by)
    measure, mask = metric_named(task.metric), task.attention_mask
    donor = donor or m.run(task.clean, attention_mask=mask, capture=f"L*.{site}")

    def read(**edits: Any) -> np.ndarray:
        last = m.run(task.corrupt, attention_mask=mask, **edits).last
        return measure(last.double(), task).numpy()

    effects = np.full((*grid.sizes, len(task)), np.nan)
    for index, cell in grid.cells():
        at = Address(site, cell.layer, cell.part, cell.pos)
        effects[index] = read(edits=Patch(at, donor)) - read()
    return effects


def largest(values: np.ndarray) -> float:
    return float(np.abs(values).max())


# -- where it is exact ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("site", "by"),
    [
        ("resid_post", ("layer", "pos")),
        ("head_out", ("layer", "head", "pos")),
        ("attn_out", ("layer",)),
        ("z", ("layer", "head")),
        ("v", ("layer", "head", "pos")),
        ("pattern", ("layer", "head", "pos")),
    ],
)
@pytest.mark.parametrize("method", [PLAIN, NodeIG(steps=1, check=0)])
def test_the_last_layer_of_a_linear_end_is_exact(site: str, by: Any, method: Any) -> None:
    m, task = native(), pairs()
    truth = exact(m, task, site, by)
    assert largest(truth[-1]) > 0.1
    assert largest(predicted(m, task, site, by, method)[-1] - truth[-1]) < 1e-5


@pytest.mark.parametrize("site", ["q", "k"])
@pytest.mark.parametrize("by", [HEADS, ("layer",), ("layer", "pos"), ("layer", "head", "pos")])
def test_corrected_queries_and_keys_are_exact_before_a_linear_end(site: str, by: Any) -> None:
    m, task = native(attn_scale=4.0), pairs()
    truth = exact(m, task, site, by)[-1]
    assert largest(truth) > 0.1
    assert largest(predicted(m, task, site, by, CORRECTED)[-1] - truth) < 1e-5
    assert largest(predicted(m, task, site, by, PLAIN)[-1] - truth) > 0.1


@pytest.mark.parametrize("name", ["gpt2", "opt", "stablelm"])
@pytest.mark.parametrize(
    ("site", "by"),
    [
        ("z", HEADS),
        ("resid_pre", ("layer", "pos")),
        ("q", HEADS),
        ("mlp_act", ("layer",)),
        ("mlp_out", ("layer", "pos")),
    ],
)
def test_it_is_the_slope_towards_the_donor(name: str, site: str, by: Any) -> None:
    m, task, small = model(name, torch.float64), pairs(), 1e-5
    base, given = (m.run(ids, capture=f"L*.{site}").captured for ids in (task.corrupt, task.clean))

    def towards(step: float) -> Any:
        mixed = {at: base[at] + step * (given[at] - base[at]) for at in base}
        return exact(m, task, site, by, donor=_Donor(mixed))

    slopes = (towards(small) - towards(-small)) / (2 * small)
    found = predicted(m, task, site, by, PLAIN)
    assert largest(slopes) > 1e-3
    assert largest(found - slopes) < 1e-5 * largest(slopes) + 1e-7


class _Donor:
    """Values that no run has, handed to ``Patch`` as a run is."""

    def __init__(self, values: dict[Address, Tensor]) -> None:
        self.values = values

    def site_value(self, at: Address) -> Tensor:
        value, dims = self.values[at.base], at.site.dims
        for axis, index in (("head", at.part), ("pos", at.pos)):
            if index is not None:
                value = value.select(dims.index(axis), index).unsqueeze(dims.index(axis))
        for axis, index in (("pos", at.pos), ("head", at.part)):
            if index is not None:
                value = value.squeeze(dims.index(axis)) if axis in dims else value
        return value


# -- how fast it becomes exact -------------------------------------------------------------------


def gap(m: rz.Model, task: rz.Task, site: str, method: Any, step: float) -> tuple[float, float]:
    """Largest error and largest effect when the donor is a step from the base to the clean run."""
    asked = problem(m, task, site, HEADS)
    moved = step_from_base(asked, step)
    found = method.attribute(asked)
    truth = exact(m, task, site, HEADS, donor=_Donor(moved))
    return largest(found - truth), largest(truth)


def step_from_base(asked: Problem, step: float) -> dict[Address, Tensor]:
    """Make the donor a step from the base run towards the clean one; its values."""
    moved = {at: v + step * (asked.given.values[at] - v) for at, v in asked.base.values.items()}
    asked.__dict__["given"] = Passed(moved, {}, asked.given.metric)
    return moved


@pytest.mark.parametrize("method", [PLAIN, CORRECTED], ids=["plain", "corrected"])
@pytest.mark.parametrize("site", ["z", "q", "k", "v"])
def test_the_error_is_of_second_order(site: str, method: Any) -> None:
    m, task = model("gpt2", torch.float64), pairs()
    errors = [gap(m, task, site, method, step)[0] for step in (0.04, 0.02, 0.01)]
    assert errors[0] > 1e-9
    for before, after in pairwise(errors):
        assert 3.0 < before / after < 5.5


@pytest.mark.parametrize("name", FAMILIES)
def test_small_changes_are_predicted_in_every_family(name: str) -> None:
    m, task = model(name, torch.float64), pairs()
    for site, method in (("z", PLAIN), ("q", CORRECTED), ("k", CORRECTED), ("v", PLAIN)):
        error, effect = gap(m, task, site, method, 1e-2)
        assert effect > 1e-5 and error < 0.06 * effect, site


@pytest.mark.parametrize("name", CONFIGS)
def test_every_site_of_every_family_near_the_base(name: str) -> None:
    """A step of 2/1,000 towards the donor; ragged prompts. Against one pass for each cell.

    Smaller steps drown in the rounding of norms that compute in float32 whatever the dtype.
    """
    m, task = model(name, torch.float64), pairs([7, 5, 6])
    everywhere = [site for site in SITES if sum(a.name == site for a in m.sites) == m.n_layers]
    assert {"resid_pre", "z", "q", "k", "v", "pattern", "head_out", "mlp_out"} <= {*everywhere}
    for site in everywhere:
        by = HEADS if "head" in SITES[site].dims else ("layer",)
        asked = problem(m, task, site, by)
        step_from_base(asked, 2e-3)
        truth = np.zeros((*asked.grid.sizes, len(task)))
        for index, _ in asked.grid.cells():
            cell = dict(zip(by, index, strict=True))
            truth[index] = exact_metric(asked, cell) - asked.base.metric
        for method in (PLAIN, CORRECTED):
            found = method.attribute(asked)
            assert found.shape == truth.shape and largest(truth) > 0
            assert largest(found - truth) < 0.06 * largest(truth), (site, method)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_gives_finite_effects(name: str) -> None:
    m, task = model(name), pairs()
    for site, by in (("k", ("layer", "head", "pos")), ("mlp_out", ("layer",))):
        for method in (CORRECTED, NodeIG(steps=2, check=0)):
            found = predicted(m, task, site, by, method)
            assert np.isfinite(found).all() and largest(found) > 1e-4


# -- queries and keys ----------------------------------------------------------------------------


def saturated() -> rz.Model:
    """One head whose last token asks for x or for y, 60 logits above the rest; written by hand.

    Tokens: 0 = x, 1 = y, 2 = "where is x", 3 = "where is y". The head copies what it finds to the
    logits of x and y, so the logit difference is 1 where it looks at x and -1 where at y.
    """
    options = {"d_model": 4, "n_heads": 1, "d_vocab": 4, "n_ctx": 3, "d_head": 4}
    config = NativeConfig(n_layers=1, positions=None, attn_bias=False, attn_scale=1.0, **options)
    made = NativeForCausalLM(config).eval()
    m = rz.load(made, check=False)
    part = m.adapted.parts.layers[0]
    unembed = m.adapted.parts.unembed
    asks, shows, copies = torch.zeros(3, 4, 4).unbind()
    asks[0, 2] = asks[1, 3] = 60.0
    shows[0, 0] = shows[1, 1] = 1.0
    copies[0, 0] = copies[1, 1] = 1.0
    into = (m.adapted.parts.embed, part.attn.q_proj, part.attn.k_proj, part.attn.v_proj)
    with torch.no_grad():
        for module, weight in zip(into, (torch.eye(4), asks, shows, copies), strict=True):
            module.weight.copy_(weight)
        part.attn.o_proj.weight.copy_(torch.eye(4))
        unembed.weight.copy_(torch.diag(torch.tensor([1.0, 1.0, 0.0, 0.0])))
    return m


def asked(clean: list[int], corrupt: list[int]) -> rz.Task:
    return rz.Task.from_pairs(clean=[clean], corrupt=[corrupt], answers=[0], wrong=[1])


def test_a_saturated_query_is_found_only_with_the_correction() -> None:
    m, task = saturated(), asked([0, 1, 2], [0, 1, 3])
    row = m.run(task.clean, capture="pattern")["pattern", 0][0, 0, 2].tolist()
    assert row == pytest.approx([1.0, 0.0, 0.0], abs=1e-20)
    for by in (HEADS, ("layer", "pos")):
        truth = exact(m, task, "q", by)
        assert largest(truth) == pytest.approx(2.0)
        assert largest(predicted(m, task, "q", by, PLAIN)) < 1e-6
        assert predicted(m, task, "q", by, CORRECTED) == pytest.approx(truth, abs=1e-6)


def test_a_saturated_key_is_found_only_with_the_correction() -> None:
    """The keys of x and y change places; one of them alone leaves the head undecided.

    With y's key like x's the two share the head's mass, with x's like y's all three tokens do; both
    times x and y get as much.
    """
    m, task = saturated(), asked([0, 1, 2], [1, 0, 2])
    by = ("layer", "head", "pos")
    donor = m.run(task.clean, capture="k")
    runs = [m.run(task.corrupt, edits=Patch(f"L0.k[H0]@{p}", donor)).last[0] for p in range(3)]
    truth = [float(last[0] - last[1]) for last in runs]
    assert truth == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)
    assert largest(predicted(m, task, "k", by, PLAIN)) < 1e-6
    effects = predicted(m, task, "k", by, CORRECTED)[0, 0, :, 0]
    assert effects == pytest.approx([-1.0, -1.0, 0.0], abs=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("site", ["q", "k"])
def test_the_corrected_pattern_is_the_models_own(name: str, site: str) -> None:
    """Against patching each position and taking the pattern from the model itself."""
    m, task = model(name), pairs()
    kv = site == "k"
    heads = m.dims.n_kv_heads if kv else m.n_heads

    def metric(logits: Tensor) -> Tensor:
        return metric_named("logit_diff")(logits[:, -1].double(), task).sum()

    base = m.run(task.corrupt, capture=["pattern"], grad_of=metric)
    donor = m.run(task.clean, capture=[f"L*.{site}"])
    found = predicted(m, task, site, ("layer", "pos", "head"), CORRECTED)
    for layer in range(m.n_layers):
        slope = base.grad["pattern", layer].double()
        for pos in range(task.clean.shape[1]):
            edit = Patch(f"L{layer}.{site}@{pos}", donor)
            run = m.run(task.corrupt, capture=["pattern"], edits=edit)
            change = run["pattern", layer].double() - base["pattern", layer].double()
            truth = (slope * change).sum(dim=(2, 3)).unflatten(1, (heads, -1)).sum(-1).T
            assert found[layer, pos] == pytest.approx(truth.numpy(), abs=2e-6)


@pytest.mark.parametrize("sink", [None, [-3.0, 0.5]])
@pytest.mark.parametrize("scale", [1.0, 30.0, 200.0])
def test_one_key_alone_against_a_softmax_for_each_key(sink: Any, scale: float) -> None:
    generator = torch.Generator().manual_seed(1)
    old, new, slope = torch.randn(3, 2, 2, 5, 5, generator=generator, dtype=torch.float64).unbind()
    future = torch.ones(5, 5, dtype=torch.bool).triu(1)
    old, new = (each.mul(scale).masked_fill(future, -3e38) for each in (old, new))
    sinks = None if sink is None else torch.tensor(sink, dtype=torch.float64)

    def pattern(scores: Tensor) -> Tensor:
        if sinks is None:
            return scores.softmax(-1)
        extra = sinks.reshape(1, 2, 1, 1).expand(2, 2, 5, 1)
        return torch.cat([scores, extra], -1).softmax(-1)[..., :-1]

    truth = torch.zeros(2, 2, 5, dtype=torch.float64)
    for key in range(5):
        mixed = old.clone()
        mixed[..., key] = new[..., key]
        truth[..., key] = (slope * (pattern(mixed) - pattern(old))).sum(dim=(-2, -1))
    torch.testing.assert_close(key_by_key(old, new, slope, sinks), truth, rtol=1e-9, atol=1e-12)
    assert float(truth.abs().max()) > 0.1


# -- integrated gradients ------------------------------------------------------------------------


@pytest.mark.parametrize(("site", "by"), [("z", HEADS), ("resid_mid", ("layer", "pos"))])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_layer_is_divided_completely(name: str, site: str, by: Any) -> None:
    m, task = model(name, torch.float64), pairs()
    truth = exact(m, task, site, ("layer",))
    errors = []
    for steps in (8, 16, 32):
        found = predicted(m, task, site, by, NodeIG(steps=steps, check=0))
        errors.append(largest(found.sum(axis=1) - truth))
    assert errors[-1] < 2e-3 * largest(truth)
    plain = predicted(m, task, site, by, PLAIN).sum(axis=1)
    assert largest(plain - truth) > 20 * errors[-1]
    for before, after in pairwise(errors):
        assert before / after > 3.0  # the midpoint rule: a quarter for each doubling


# -- laws of sums, batches and nothing -----------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "gpt_oss"])
@pytest.mark.parametrize("method", [PLAIN, CORRECTED, NodeIG(steps=2, check=0)])
def test_clean_into_clean_is_exactly_zero(name: str, method: Any) -> None:
    m, task = model(name), pairs()
    same = Batch(task.clean)
    for site, by in (("z", HEADS), ("q", HEADS), ("k", ("layer", "pos")), ("mlp_out", ("layer",))):
        grid = make_grid(m, task, site, by)
        measure = metric_named("logit_diff")
        found = approximate(m, task, grid, same, same, measure, method).outcome
        assert (found.values == found.base).all()
        assert (found.given == found.base).all()


@pytest.mark.parametrize("method", [CORRECTED, NodeIG(steps=2, check=0)])
def test_cells_sum_to_larger_cells(method: Any) -> None:
    m, task = model("llama"), pairs()
    for site, small, axis, by in (
        ("z", ("layer", "head", "pos"), 2, HEADS),
        ("v", ("pos", "layer", "head"), 0, HEADS),
        ("mlp_act", ("layer", "neuron"), 1, ("layer",)),
        ("q", ("head", "pos", "layer"), 1, ("head", "layer")),
    ):
        cells = predicted(m, task, site, small, method)
        whole = predicted(m, task, site, by, method)
        assert cells.sum(axis=axis) == pytest.approx(whole, abs=1e-5), site
        assert largest(whole) > 1e-3


def test_a_pattern_by_row_and_column() -> None:
    m, task = model("llama"), pairs()
    found = predicted(m, task, "pattern", ("layer", "head", "q_pos", "k_pos"), PLAIN)
    future = np.triu(np.ones((7, 7), dtype=bool), 1)
    assert np.isnan(found[:, :, future]).all() and np.isfinite(found[:, :, ~future]).all()
    by_row = predicted(m, task, "pattern", ("layer", "head", "q_pos"), PLAIN)
    assert np.nansum(found, axis=3) == pytest.approx(by_row, abs=1e-5)
    checked = swept(
        m, task, "pattern", ("layer", "q_pos", "k_pos"), AttributionPatching(check=200)
    ).approximation
    assert checked.cells == len(checked.checked) == 3 * 28
    assert all(each.cell["k_pos"] <= each.cell["q_pos"] for each in checked.checked)


def test_some_indices_only() -> None:
    m, task = model("gpt2"), pairs()
    only = {"layer": (2, 0), "head": (3,)}
    for site, method in (("z", PLAIN), ("k", CORRECTED), ("q", NodeIG(steps=2, check=0))):
        some = swept(m, task, site, HEADS, method, only=only)
        every = predicted(m, task, site, HEADS, method)
        assert (some.outcome.values - some.outcome.base) == pytest.approx(
            every[[2, 0]][:, [3]], abs=1e-7
        )
    found = swept(m, task, "z", HEADS, AttributionPatching(), only=only).approximation
    assert [dict(each.cell) for each in found.checked] == [
        {"layer": layer, "head": 3}
        for layer in sorted((0, 2), key=lambda i: -abs(every_mean(m, task)[i, 3]))
    ]
    truth = exact(m, task, "z", HEADS).mean(-1)
    for each in found.checked:
        assert each.exact == pytest.approx(truth[each.cell["layer"], 3], abs=1e-6)


def every_mean(m: rz.Model, task: rz.Task) -> np.ndarray:
    return predicted(m, task, "z", HEADS, PLAIN).mean(axis=-1)


@pytest.mark.parametrize("method", [CORRECTED, PLAIN, NodeIG(steps=2, check=0)])
@pytest.mark.parametrize("name", ["gpt2", "gemma2", "bloom", "gpt_oss"])
def test_ragged_prompts_are_as_each_alone(name: str, method: Any) -> None:
    m, task = model(name), pairs([7, 5, 6])
    for site in ("z", "q", "k", "resid_mid" if name != "bloom" else "mlp_out"):
        by = HEADS if site in "zqk" else ("layer",)
        together = predicted(m, task, site, by, method)
        alone = [predicted(m, task.subset([i]), site, by, method) for i in range(3)]
        assert together == pytest.approx(np.concatenate(alone, axis=-1), abs=3e-6), site
        assert largest(together) > 1e-3


def test_rows_at_a_time_give_the_same() -> None:
    m, task = model("gpt2"), pairs()
    for site, method in (("k", CORRECTED), ("z", NodeIG(steps=2, check=0))):
        whole, parts = (problem(m, task, site, HEADS) for _ in range(2))
        parts.tokens_at_once = 7
        assert method.attribute(parts) == pytest.approx(method.attribute(whole), abs=1e-7)
        assert parts.base.metric == pytest.approx(whole.base.metric, abs=1e-6)


def test_a_metric_whose_less_is_better() -> None:
    m, task = model("gpt2"), pairs()
    found = swept(m, task, "z", HEADS, AttributionPatching(check=12), metric="loss_nats")
    means = (found.outcome.values - found.outcome.base).mean(-1)
    for each in found.approximation.checked:
        assert each.predicted == -means[each.cell["layer"], each.cell["head"]]
        assert abs(each.error) < 0.5 * found.approximation.largest_effect
    assert found.approximation.unit == "nats"


@pytest.mark.parametrize("metric", ["logit_diff", "loss_nats"])
@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_a_sweep_by_a_method_beside_the_exact_one(direction: Any, metric: str) -> None:
    m, task, axes = model("llama"), pairs(), ("head", "layer")
    options = {"direction": direction, "metric": metric, "only": {"head": [1, 0]}}
    truth = rz.patch(m, task, "k", axes, **options)
    made = rz.patch(m, task, "k", axes, method=AttributionPatching(check=100), **options)
    assert made.effects.dims == truth.effects.dims and made.engine == "attribution"
    assert (made.clean, made.corrupt) == (pytest.approx(truth.clean), pytest.approx(truth.corrupt))
    for each in made.approximation.checked:
        assert each.exact == pytest.approx(float(truth.effects.sel(each.cell)), abs=2e-6)
        assert each.predicted == pytest.approx(float(made.effects.sel(each.cell)), abs=1e-9)
    assert len(made.approximation.checked) == truth.effects.size == 6
    assert made.approximation.largest_error < 0.5 * made.approximation.largest_effect
    with pytest.raises(rz.OptionError):
        rz.patch(m, task, "k", axes, method=AttributionPatching(), engine="naive")


# -- the record ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "bloom"])
def test_the_checked_cells_are_patched_exactly(name: str) -> None:
    m, task = model(name), pairs([7, 5, 6])
    for site, by in (("k", HEADS), ("head_out", HEADS), ("resid_pre", ("layer",))):
        found = swept(m, task, site, by, AttributionPatching(check=100, seed=1))
        truth = exact(m, task, site, by).mean(-1)
        means = (found.outcome.values - found.outcome.base).mean(-1)
        assert len(found.approximation.checked) == truth.size
        for each in found.approximation.checked:
            index = tuple(each.cell[axis] for axis in by)
            assert each.exact == pytest.approx(truth[index], abs=2e-6)
            assert each.predicted == means[index]


def test_half_are_the_largest_and_half_are_drawn() -> None:
    values = np.array([0.1, -5.0, 0.2, 4.0, 0.3, -0.4, 0.5, 0.6])
    top, rest = draw_cells(values, 5, seed=0)
    assert top == [1, 3, 7] and len(rest) == 2 and not set(rest) & set(top)
    draws = {tuple(draw_cells(values, 5, seed)[1]) for seed in range(20)}
    assert len(draws) > 5 and draw_cells(values, 5, 3) == draw_cells(values, 5, 3)


def record(*cells: tuple[float, float]) -> Approximation:
    checked = tuple(CheckedCell({"layer": i}, *each) for i, each in enumerate(cells))
    name = "attribution patching, QK-corrected"
    return Approximation(name, {"seed": 0}, "logits", 144, checked, "by hand")


def test_the_record_in_one_line() -> None:
    found = record((1.0, 1.5), (-2.0, -2.0), (0.0, 0.1))
    assert found.mean_error == pytest.approx(0.2)
    assert (found.largest_error, found.largest_effect) == (0.5, 2.0)
    assert (found.relative_error, found.rank_correlation) == (0.25, 1.0)
    assert str(found) == (
        "attribution patching, QK-corrected: on 3 of 144 cells checked exactly, mean error 0.2 "
        "logits, largest 0.5 (25 % of the largest effect)"
    )
    assert str(record((0.1, 0.0))).endswith("largest 0.1 (every exact effect is 0)")
    assert record((3.0, 0.1), (2.0, 0.2), (1.0, 0.3)).rank_correlation == -1.0
    assert record((1.0, 0.1), (1.0, 0.2)).rank_correlation is None


def test_nothing_checked_says_so() -> None:
    found = swept(model("gpt2"), pairs(), "q", HEADS, CORRECTED).approximation
    assert str(found) == "attribution patching, QK-corrected: error not measured"
    data = found.to_json()
    assert (data["mean_error"], data["relative_error"], data["checked"]) == (None, None, [])
    assert data["drawn"] == "none"


def test_the_record_as_json_and_the_cost() -> None:
    found = swept(model("gpt2"), pairs(), "z", HEADS, NodeIG(steps=2, check=4, seed=5))
    data = json.loads(json.dumps(found.approximation.to_json()))
    assert data["method"] == "integrated gradients in 2 steps"
    assert data["options"] == {"steps": 2, "check": 4, "seed": 5}
    assert data["drawn"] == "the 2 largest predicted, 2 others at random, seed 5"
    assert [set(each) for each in data["checked"]] == [{"cell", "predicted", "exact"}] * 4
    assert (found.outcome.engine, found.outcome.why) == ("integrated gradients", "")
    assert found.outcome.passes == 2 + 3 * 2 * 3 + 4
    plain = swept(model("gpt2"), pairs(), "z", HEADS, CORRECTED)
    assert (plain.outcome.engine, plain.outcome.passes) == ("attribution", 2 + 3)
    assert plain.approximation.method == "attribution patching"  # nothing to correct at z


# -- what is refused -----------------------------------------------------------------------------


def test_a_metric_without_a_gradient_is_refused() -> None:
    with pytest.raises(rz.OptionError, match="accuracy has no gradient") as caught:
        swept(model("gpt2"), pairs(), "z", HEADS, CORRECTED, metric="accuracy")
    assert "logit_diff" in str(caught.value) and "patch exactly" in str(caught.value)


@pytest.mark.parametrize("method", [AttributionPatching, "attribution", None])
def test_what_is_no_method_is_refused(method: Any) -> None:
    with pytest.raises(rz.OptionError, match="no method of approximation"):
        swept(model("gpt2"), pairs(), "z", HEADS, method)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: AttributionPatching(check=-1),
        lambda: AttributionPatching(qk_correction=1),  # type: ignore[arg-type]
        lambda: AttributionPatching(seed=0.5),  # type: ignore[arg-type]
        lambda: NodeIG(steps=0),
        lambda: NodeIG(steps=True),
        lambda: NodeIG(check=None),  # type: ignore[arg-type]
        lambda: NodeIG(seed=-1),
    ],
)
def test_impossible_options_are_refused(wrong: Any) -> None:
    with pytest.raises(rz.OptionError):
        wrong()


def test_a_site_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(AddressError):
        swept(native(), pairs(), "mlp_out", ("layer",), CORRECTED)


def test_progress_is_told() -> None:
    class Listener:
        heard: list[Any] = []  # noqa: RUF012

        def start(self, stage: str, total: int) -> None:
            self.heard.append((stage, total))

        def advance(self, steps: int = 1) -> None:
            self.heard.append(steps)

        def finish(self) -> None:
            self.heard.append("end")

    m, task, listener = model("gpt2"), pairs(), Listener()
    p = problem(m, task, "z", HEADS)
    method = NodeIG(steps=1, check=2)
    approximate(m, task, p.grid, p.source, p.target, p.measure, method, listener)
    assert listener.heard == [
        *(("integrated gradients at z", 3), 1, 1, 1, "end"),
        *(("checking", 2), 1, 1, "end"),
    ]
