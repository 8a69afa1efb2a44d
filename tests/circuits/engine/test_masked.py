from __future__ import annotations

import numpy as np
import pytest
import torch
from configs import CAUSAL, build
from layerwise import layerwise, metric_of, reference_values
from tiny import loaded, random_ids

import residuum as rz
from residuum.circuits.engine.masked import MaskedRuns
from residuum.circuits.engine.sizing import Portions
from residuum.circuits.graph.building import graph_of

F64 = torch.float64
LENGTH = 7
FLOAT32_INSIDE = ("gptj", "gpt_oss")  # scores, or norms and routers, whatever the dtype
SEVERAL = ("gpt2", "llama", "gemma2", "olmo2", "gpt_neox", "falcon", "gpt_oss", "granite")
KINDS = ("zero", "mean", "template_mean", "resample", "counterfactual")


def task_of(rows: int = 3, seed: int = 3, **more):
    clean, corrupt = random_ids(rows, LENGTH, seed), random_ids(rows, LENGTH, seed + 50)
    corrupt[:, :2] = clean[:, :2]
    answers, wrong = torch.arange(rows) + 5, torch.arange(rows) + 40
    return rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=answers, wrong=wrong, **more)


def some_circuits(graph, *shares, seed=0):
    drawn = np.random.default_rng(seed)
    return np.stack([drawn.random(graph.n_edges) < share for share in shares])


def reference_of(model, task, runs):
    prompts = runs.references.prompts
    return reference_values(model, task, runs.reference, None if prompts is None else prompts.ids)


def assert_is_layerwise(runs, kept, bound):
    model, graph, task = runs.model, runs.graph, runs.task
    reference = reference_of(model, task, runs)
    found = runs.metric(kept)
    for row, circuit in zip(found, kept, strict=True):
        logits = layerwise(model, graph, task, circuit, reference)
        truth = metric_of(task, logits).numpy()
        size = max(float(logits.abs().max()), float(model.run(task.clean).last.abs().max()))
        assert np.abs(row - truth).max() <= bound * size


@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", CAUSAL)
def test_masked_runs_are_the_models_own_with_every_input_written(name, dtype):
    model = loaded(name, dtype)
    graph = graph_of(model)
    bound = 1e-5 if dtype == torch.float32 else 1e-7 if name in FLOAT32_INSIDE else 1e-10
    assert_is_layerwise(MaskedRuns(model, graph, task_of()), some_circuits(graph, 0.5), bound)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SEVERAL)
def test_every_reference(name, kind):
    model, task = loaded(name, F64), task_of(4, templates=["a", "b", "a", "b"])
    graph = graph_of(model)
    runs = MaskedRuns(model, graph, task, kind, seed=1)
    bound = 1e-7 if name in FLOAT32_INSIDE else 1e-10
    assert_is_layerwise(runs, some_circuits(graph, 0.0, 0.6), bound)


@pytest.mark.parametrize("kind", ["counterfactual", "mean"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "olmo2", "gpt_neox"])
def test_what_is_known_already_changes_nothing(name, kind):
    """Small circuits and nearly whole ones, where much is as in the two known runs."""
    model = loaded(name, F64)
    graph = graph_of(model)
    kept = some_circuits(graph, 0.02, 0.1, 0.9, 0.98)
    single = np.ones((3, graph.n_edges), dtype=bool)
    single[np.arange(3), [0, graph.n_edges // 2, graph.n_edges - 1]] = False
    assert_is_layerwise(MaskedRuns(model, graph, task_of(), kind), np.r_[kept, single], 1e-10)


@pytest.mark.parametrize("kind", ["counterfactual", "mean", "zero"])
@pytest.mark.parametrize("name", ["gpt2", "gemma2", "gpt_neox"])
def test_graphs_by_position(name, kind):
    model = loaded(name, F64)
    task = task_of(positions={"one": [1, 2, 3], "two": [4, 5, 4], "end": [6, 6, 6]})
    graph = graph_of(model, task, by_position=True)
    assert graph.positions == ("one", "two", "end", "rest")
    runs = MaskedRuns(model, graph, task, kind)
    bound = 1e-8 if name == "gemma2" else 1e-10  # its norms round to float32
    assert_is_layerwise(runs, some_circuits(graph, 0.1, 0.5, 0.95), bound)


@pytest.mark.parametrize("kind", ["counterfactual", "resample"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma3_text"])
def test_prompts_of_several_lengths(name, kind):
    model = loaded(name, F64)
    clean, corrupt = random_ids(4, LENGTH), random_ids(4, LENGTH, 60)
    lengths = [5, 7, 5, 7]
    for row, length in enumerate(lengths):
        clean[row, length:] = corrupt[row, length:] = 0
    answers, wrong = torch.arange(4) + 5, torch.arange(4) + 40
    task = rz.Task.from_pairs(
        clean=clean, corrupt=corrupt, answers=answers, wrong=wrong, lengths=lengths
    )
    graph = graph_of(model)
    assert_is_layerwise(MaskedRuns(model, graph, task, kind), some_circuits(graph, 0.5), 1e-10)


@pytest.mark.parametrize("name", ["gemma2", "olmo2"])
def test_a_bias_behind_a_post_norm_is_the_runs_own(name):
    model = rz.load(build(name, F64, attention_bias=True))
    graph = graph_of(model)
    for kind in ("counterfactual", "mean"):
        runs = MaskedRuns(model, graph, task_of(), kind)
        assert_is_layerwise(runs, some_circuits(graph, 0.05, 0.5, 0.95), 1e-10)


@pytest.mark.parametrize("name", SEVERAL)
def test_all_edges_are_the_clean_run_and_none_the_corrupt_one(name):
    model, task = loaded(name, F64), task_of()
    runs = MaskedRuns(model, graph_of(model), task)
    clean, corrupt = (metric_of(task, model.run(ids).last) for ids in (task.clean, task.corrupt))
    assert np.abs(runs.whole - clean.numpy()).max() < 1e-10
    assert np.abs(runs.empty - corrupt.numpy()).max() < 1e-10
    assert np.abs(runs.whole - runs.empty).max() > 1e-3


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "gpt_neox"])
def test_taking_out_one_edge_is_a_cell_of_path_patching(name):
    """Also of queries, keys and values of grouped heads (llama and gemma2 have 4 and 2)."""
    model, task = loaded(name, F64), task_of()
    graph = graph_of(model)
    kept = ~np.eye(graph.n_edges, dtype=bool)
    runs = MaskedRuns(model, graph, task)
    effects = runs.whole - runs.metric(kept)
    table = rz.path_patch(model, task, direction="noise", engine="naive")
    receivers = [str(each) for each in graph.receivers]
    cells = table.per_example.sel(receiver=receivers).transpose("sender", "receiver", "example")
    senders = [str(each).replace("head_out", "z") for each in graph.senders]
    names = [str(each).replace("head_out", "z") for each in table.per_example.sender.values]
    rows = [names.index(each) for each in senders]
    expected = -cells.values[rows][graph.edges[:, 0], graph.edges[:, 1]]
    if name != "gemma2":  # path patching recomputes a post-norm, an edge goes through its own scale
        assert np.abs(effects - expected).max() < 1e-10
    else:
        behind = [i for i in range(graph.n_edges) if "head_out" not in graph.name(i)]
        assert np.abs(effects - expected)[behind].max() < 1e-10
    assert np.abs(effects).max() > 1e-3


def test_batches_and_order_change_nothing():
    model, task = loaded("llama", F64), task_of(5)
    graph = graph_of(model)
    kept = some_circuits(graph, 0.1, 0.9, 0.5, 0.2, 0.5)
    truth = MaskedRuns(model, graph, task).metric(kept)
    parted = MaskedRuns(model, graph, task)
    parted.portions = Portions((range(2), range(2, 4), range(4, 5)), 2, 1)
    order = [3, 1, 4, 0, 2]
    assert np.abs(parted.metric(kept[order]) - truth[order]).max() < 1e-12
    other = MaskedRuns(model, graph, task.subset(order)).metric(kept)
    assert np.abs(other - truth[:, order]).max() < 1e-12


def test_edges_that_a_graph_leaves_out_are_always_kept():
    model, task = loaded("gpt2", F64), task_of()
    graph = graph_of(model)
    some = np.flatnonzero(some_circuits(graph, 0.3)[0])
    part = type(graph)(graph.senders, graph.receivers, graph.edges[some])
    kept = some_circuits(part, 0.0, 0.5)
    whole = np.ones((2, graph.n_edges), dtype=bool)
    whole[:, some] = kept
    found = MaskedRuns(model, part, task).metric(kept)
    assert np.abs(found - MaskedRuns(model, graph, task).metric(whole)).max() < 1e-12


@pytest.mark.parametrize("name", ["gpt2", "gemma2"])
def test_soft_masks_agree_with_hard_ones_and_have_the_right_gradients(name):
    model, task = loaded(name, F64), task_of()
    graph = graph_of(model)
    runs = MaskedRuns(model, graph, task)
    hard = some_circuits(graph, 0.4, 0.7)
    with torch.no_grad():
        soft = runs.differentiable(torch.from_numpy(hard).double())
    assert np.abs(soft.numpy() - runs.metric(hard)).max() < 1e-10
    point = torch.rand(1, graph.n_edges, generator=torch.Generator().manual_seed(0), dtype=F64)
    point.requires_grad_()
    (slope,) = torch.autograd.grad(runs.differentiable(point).sum(), point)
    step, noise = torch.zeros_like(point), 1e-4 if name == "gemma2" else 1e-6  # float32 norms
    for edge in (0, graph.n_edges // 2, graph.n_edges - 1):
        step.zero_()[0, edge] = 1e-3
        with torch.no_grad():
            up, down = (runs.differentiable(point + way * step).sum() for way in (1, -1))
        assert float((up - down) / 2e-3 - slope[0, edge]) == pytest.approx(0, abs=noise)
    assert float(slope.abs().max()) > 1e-3


def test_work_is_counted_and_never_less_than_its_bound():
    model, task = loaded("gpt2"), task_of()
    graph = graph_of(model)
    runs = MaskedRuns(model, graph, task)
    runs.metric(np.zeros(graph.n_edges, dtype=bool))
    ready = runs.work
    assert (ready.circuits, ready.bound) == (1, 0.0)
    assert 3.0 < ready.passes < 5.0  # clean, corrupt, the whole and the empty circuit
    runs.metric(some_circuits(graph, 0.5))
    dense = runs.work
    assert 0.3 < dense.bound < 1.0 and dense.bound <= dense.passes - ready.passes
    last = np.ones(graph.n_edges, dtype=bool)
    last[graph.into("logits")[:3]] = False
    runs.metric(last)
    assert runs.work.bound == dense.bound  # edges into the logits need nothing computed anew


def test_a_metric_that_compares_with_the_clean_run():
    model, task = loaded("gpt2"), task_of()
    graph = graph_of(model)
    runs = MaskedRuns(model, graph, task, metric="kl_bits")
    assert runs.whole == pytest.approx(0, abs=1e-6)
    assert (runs.empty > 1e-4).all()


def test_refusals():
    model, task = loaded("gpt2"), task_of()
    graph = graph_of(model)
    with pytest.raises(rz.OptionError, match=r"family bert.*a norm stands between"):
        MaskedRuns(loaded("bert"), graph, task)
    with pytest.raises(rz.OptionError, match=r"'corrupt' is none .*carry") as refused:
        MaskedRuns(model, graph, task, "corrupt")
    assert "template_mean" in refused.value.mend
    with pytest.raises(rz.OptionError, match=r"of a model of 3 layers x 4 heads; .* has 2 layers"):
        MaskedRuns(loaded("gpt2", n_layer=2), graph, task)
    with pytest.raises(rz.OptionError, match="max_memory"):
        MaskedRuns(model, graph, task, max_memory="100 kB")
    with pytest.raises(rz.ShapeError, match=r"\[3\] and type bool"):
        MaskedRuns(model, graph, task).metric([True, False, True])
    with pytest.raises(rz.ShapeError, match="float64"):
        MaskedRuns(model, graph, task).metric(np.ones(graph.n_edges))


def test_a_model_with_a_hook_on_it_is_refused():
    model, task = rz.load(build("gpt2")), task_of()
    graph = graph_of(model)
    module = model.hf.transformer.h[1].mlp
    handle = model.hf.transformer.h[1].register_forward_hook(lambda *a: a[-1] * 1.5)
    with pytest.raises(rz.CheckFailed, match="not the model's own: with all edges kept"):
        MaskedRuns(model, graph, task).metric(np.ones(graph.n_edges, dtype=bool))
    handle.remove()
    assert "forward" not in vars(module)
    assert MaskedRuns(model, graph, task).whole.shape == (3,)


def test_less_memory_makes_smaller_portions_and_the_same_numbers():
    model, task = loaded("gpt2", F64), task_of(6)
    graph = graph_of(model)
    kept = some_circuits(graph, 0.2, 0.5, 0.9)
    roomy, tight = (MaskedRuns(model, graph, task, max_memory=m) for m in ("1 GB", "2 MB"))
    assert len(roomy.portions.rows) == 1 < len(tight.portions.rows)
    assert tight.portions.circuits < roomy.portions.circuits
    assert np.abs(tight.metric(kept) - roomy.metric(kept)).max() < 1e-12
