"""Neurons and latents as nodes: against whole runs with what each part adds written in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from finer_models import LATENTS, NEURONS, with_dictionary
from finer_oracle import Oracle, finer_reference
from layerwise import metric_of
from test_masked import some_circuits, task_of
from tiny import loaded

import residuum as rz
from residuum.circuits import MaskedRuns, graph_of
from residuum.models import Batch


def assert_is_by_hand(runs, kept, bound):
    model, graph, task = runs.model, runs.graph, runs.task
    reference = finer_reference(model, graph, task, runs.reference)
    found = runs.metric(kept)
    for row, circuit in zip(found, kept, strict=True):
        logits = Oracle(model, graph, task.clean, task).logits(circuit, reference)
        truth = metric_of(task, logits).numpy()
        size = max(float(logits.abs().max()), float(model.run(task.clean).last.abs().max()))
        assert np.abs(row - truth).max() <= bound * size


def circuits_of(graph):
    """Some at random, small and large ones, and each way in or out of a finer part cut alone."""
    drawn = some_circuits(graph, 0.05, 0.5, 0.95)
    ends = [str(graph.senders[s]) + str(graph.receivers[r]) for s, r, *_ in graph.edges]
    finer = np.array(["mlp_act" in e or "mlp_pre" in e or "/" in e for e in ends])
    return np.r_[drawn, ~finer[None], finer[None] | drawn[1:2]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neox", "phi3", "granite", "opt"])
def test_neurons_are_nodes(name, dtype):
    model = loaded(name, dtype)
    graph = graph_of(model, finer=NEURONS)
    bound = 1e-5 if dtype == torch.float32 else 1e-10
    assert_is_by_hand(MaskedRuns(model, graph, task_of()), circuits_of(graph), bound)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("reads", ["mlp_out", "ln2"])
@pytest.mark.parametrize("name", ["gpt2", "gemma2"])
def test_latents_are_nodes(name, reads, dtype):
    model = with_dictionary(name, dtype, reads)
    graph = graph_of(model, finer=LATENTS)
    bound = 1e-5 if dtype == torch.float32 else 1e-10
    assert_is_by_hand(MaskedRuns(model, graph, task_of()), circuits_of(graph), bound)


@pytest.mark.parametrize("kind", ["zero", "mean"])
def test_other_references(kind):
    for model, finer in (
        (loaded("gpt2", torch.float64), NEURONS),
        (with_dictionary("gpt2", torch.float64), LATENTS),
    ):
        graph = graph_of(model, finer=finer)
        assert_is_by_hand(MaskedRuns(model, graph, task_of(), kind), circuits_of(graph), 1e-10)


def test_by_position():
    model, task = loaded("gpt2", torch.float64), task_of(positions={"A": [3] * 3, "B": [5] * 3})
    graph = graph_of(model, task, by_position=True, finer=NEURONS)
    assert_is_by_hand(MaskedRuns(model, graph, task), some_circuits(graph, 0.4, 0.9), 1e-10)


def test_laws():
    """All edges are the clean run, none the reference run; a part as a whole is its MLP."""
    model, task = loaded("gpt2", torch.float64), task_of()
    plain, graph = graph_of(model), graph_of(model, finer=NEURONS)
    runs, coarse = MaskedRuns(model, graph, task), MaskedRuns(model, plain, task)
    np.testing.assert_allclose(runs.whole, coarse.whole, atol=1e-12)
    np.testing.assert_allclose(runs.empty, coarse.empty, atol=1e-10)
    kept = some_circuits(plain, 0.5)
    same = np.array([[coarse_of(graph, kept[0], plain, edge) for edge in range(graph.n_edges)]])
    np.testing.assert_allclose(runs.metric(same), coarse.metric(kept), atol=1e-10)
    assert 0 < same.sum() < graph.n_edges


def coarse_of(graph, kept, plain, edge):
    """Whether an edge's MLPs as wholes keep it."""
    sender, receiver, *_ = graph.edges[edge]
    names = []
    for node in (graph.senders[sender], graph.receivers[receiver]):
        name = {"mlp_act": "mlp_out", "mlp_pre": "mlp_in"}.get(node.name)
        names.append(f"L{node.layer}.{name}" if name else str(node))
    return kept[plain.index(" -> ".join(names))]


def test_gradients_of_masks_reach_neurons():
    model, task = loaded("gpt2", torch.float64), task_of(2)
    graph = graph_of(model, finer=NEURONS)
    runs = MaskedRuns(model, graph, task)
    kept = torch.full((1, graph.n_edges), 0.7, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(runs.differentiable(kept).sum(), kept)[0][0]
    for name in ("L0.mlp_act[N3] -> logits", "embed -> L1.mlp_pre[N5]", "embed -> L1.mlp_in"):
        edge = graph.index(name)
        moved = kept.detach().repeat(2, 1)
        moved[0, edge] += 1e-5
        moved[1, edge] -= 1e-5
        up, down = runs.differentiable(moved).detach().sum(dim=1)
        assert float(slope[edge]) == pytest.approx(float(up - down) / 2e-5, rel=1e-5, abs=1e-9)


def test_what_cannot_be_a_node_is_refused():
    task = task_of()
    model = loaded("gemma2")
    with pytest.raises(rz.OptionError, match="puts a norm behind its MLP"):
        MaskedRuns(model, graph_of(model, finer="L1.mlp_act[N3]"), task)
    plain = loaded("gpt2")
    nodes = graph_of(plain, finer="L1.mlp_act[N5]")
    far = tuple(str(each).replace("N5", "N999") for each in nodes.senders)
    with pytest.raises(rz.OptionError, match=r"mlp_act\[N999\] cannot be a node: .* neurons there"):
        MaskedRuns(plain, replace(nodes, senders=far), task)
    model = with_dictionary("gpt2", torch.float32)
    both = graph_of(model, finer=[*LATENTS, "L1.mlp_act[N3]"])
    with pytest.raises(rz.OptionError, match="neurons and latents of coder as parts, which over"):
        MaskedRuns(model, both, task)
    graph = graph_of(model, finer=LATENTS)
    del model.dictionaries["coder"]
    with pytest.raises(rz.OptionError, match="the model has no dictionary 'coder'") as caught:
        MaskedRuns(model, graph, task)
    assert "model.dictionaries['coder'] = " in caught.value.mend
    elsewhere = with_dictionary("gpt2", torch.float32, reads="resid_post")
    with pytest.raises(
        rz.OptionError, match=r"reads L1\.resid_post, which the MLP of layer 1 does"
    ):
        MaskedRuns(elsewhere, graph_of(elsewhere, finer=LATENTS), task)


@pytest.mark.parametrize("lengths", [[7, 7, 7], [7, 5, 6]], ids=["even", "ragged"])
def test_a_neurons_mean_is_that_of_its_activation(lengths):
    """Over real tokens where lengths differ, else position by position."""
    model, task = loaded("gpt2", torch.float64), task_of(lengths=lengths)
    runs = MaskedRuns(model, graph_of(model, finer=NEURONS), task, "mean")
    values, _ = runs.references.values(range(3), 0)
    mask = None if task.attention_mask is None else torch.cat([task.attention_mask] * 2)
    batch = Batch(torch.cat([task.clean, task.corrupt]), mask)
    acts = model.run(batch, capture=["L1.mlp_act"])["L1.mlp_act"][..., [0, 5]]
    mean = acts.mean(dim=0) if mask is None else acts[mask].mean(dim=0)
    expected = mean[..., None] * model.adapted.weights.by_layer("W_out")[1][[0, 5]]
    assert (values.finer[1] - expected).abs().max() < 1e-12 and expected.abs().max() > 1e-4
