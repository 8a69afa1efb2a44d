"""EAP and EAP-IG against attribution written out by autograd on plain edits, in every family."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edge_oracle import attributed, captured, family_task

import residuum as rz
from residuum import circuits
from residuum.circuits import graph_of
from residuum.circuits.discovery.discovering import discover
from residuum.circuits.discovery.eap import EAP, EAPIG
from residuum.circuits.discovery.problem import DiscoveryProblem
from residuum.core import OptionError, Patch, TaskError
from residuum.runs import metric_named

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "families"))
from configs import CAUSAL, build

FLOAT32_INSIDE = (
    *("gptj", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3"),
    *("olmo", "ministral", "cohere", "cohere2", "granite", "mixtral", "qwen3_moe", "gpt_oss"),
)
"""Families that compute norms, rotations or softmax in float32 whatever their dtype."""


@cache
def loaded(name: str, dtype: torch.dtype = torch.float64) -> rz.Model:
    return rz.load(build(name, dtype), check=False)


def bound(name: str) -> float:
    return 1e-6 if name in FLOAT32_INSIDE else 1e-8


def problem(model: rz.Model, task: rz.Task, graph: Any = None, **options: Any) -> DiscoveryProblem:
    return DiscoveryProblem(
        model, task, graph or graph_of(model), metric_named(task.metric), **options
    )


def gap(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape and np.abs(expected).max() > 1e-3
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", CAUSAL)
def test_eap_is_what_autograd_says(name: str) -> None:
    model, task = loaded(name), family_task(ragged=True)
    graph = graph_of(model)
    scores = EAP().score(problem(model, task, graph))
    assert gap(scores.examples, attributed(model, task, graph)) < bound(name)
    np.testing.assert_allclose(scores.values, scores.examples.mean(axis=0), rtol=1e-12)
    assert scores.examples.shape == (3, graph.n_edges)


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "olmo2", "gemma2", "mixtral"])
@pytest.mark.parametrize("at", ["inputs", "activations"])
def test_integrated_gradients_are_midpoints_on_the_way(name: str, at: Any) -> None:
    model, task = loaded(name), family_task()
    graph = graph_of(model)
    scores = EAPIG(3, at).score(problem(model, task, graph))
    expected = np.zeros_like(scores.examples)
    for site, edges in moved_places(model, graph, at).items():
        own = model.run(task.clean, capture=[site], logits=False)[site]
        other = model.run(task.corrupt, capture=[site], logits=False)[site]
        for share in (1 / 6, 3 / 6, 5 / 6):
            edit = Patch(site, own + share * (other - own))
            expected[:, edges] += attributed(model, task, graph, [edit])[:, edges] / 3
    assert gap(scores.examples, expected) < bound(name)
    assert gap(EAP().score(problem(model, task, graph)).examples, expected) > 1e-3


def moved_places(model: rz.Model, graph: Any, at: str) -> dict[str, list[int]]:
    """Sites that are moved, and the edges whose slopes are averaged then."""
    if at == "inputs":
        return {"L0.resid_pre": list(range(graph.n_edges))}
    found: dict[str, list[int]] = {}
    for edge, sender in enumerate(graph.edges[:, 0]):
        address = graph.senders[sender]
        site = {"embed": "L0.resid_pre", "head_out": f"L{address.layer}.attn_out"}.get(
            address.name, str(address)
        )
        found.setdefault(site, []).append(edge)
    return found


def test_the_sum_over_the_embeddings_edges_is_complete_to_second_order() -> None:
    """A left sum (as published) would fall with the steps, the midpoints' with their square."""
    model, task = loaded("gpt2"), family_task()
    errors = []
    for steps in (2, 4, 8):
        scores = EAPIG(steps).score(problem(model, task))
        total = scores.values[scores.graph.out_of("embed")].sum()
        errors.append(abs(total - (scores.full - scores.empty)))
    assert errors[0] > 1e-5
    assert errors[1] < 0.4 * errors[0] and errors[2] < 0.4 * errors[1]


def test_one_step_is_in_the_middle_and_neither_end_is_counted() -> None:
    model, task = loaded("gpt2"), family_task()
    graph = graph_of(model)
    one = EAPIG(1).score(problem(model, task, graph)).examples
    own, other = (
        model.run(ids, capture=["L0.resid_pre"], logits=False)["L0.resid_pre"]
        for ids in (task.clean, task.corrupt)
    )
    corrupted = attributed(model, task, graph, [Patch("L0.resid_pre", other)])
    middle = attributed(model, task, graph, [Patch("L0.resid_pre", (own + other) / 2)])
    assert gap(one, middle) < 1e-8
    assert gap(one, corrupted) > 1e-3


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2"])
def test_the_mean_is_over_prompts_alone(name: str) -> None:
    """Not over nodes, and not over positions: each head has a mean of its own at each place."""
    model, task = loaded(name), family_task(rows=4)
    graph = graph_of(model)
    both = [captured(model, ids, task, graph) for ids in (task.clean, task.corrupt)]
    mean = {at: torch.cat([each[at] for each in both]).mean(0, keepdim=True) for at in both[0]}
    scores = EAP().score(problem(model, task, graph, reference="mean"))
    assert gap(scores.examples, attributed(model, task, graph, reference=mean)) < bound(name)
    zero = {at: torch.zeros_like(value) for at, value in mean.items()}
    scores = EAP().score(problem(model, task, graph, reference="zero"))
    assert gap(scores.examples, attributed(model, task, graph, reference=zero)) < bound(name)


@pytest.mark.parametrize("reference", ["counterfactual", "zero", "template_mean"])
@pytest.mark.parametrize("method", [EAP(), EAPIG(2), EAPIG(2, "activations")])
def test_padding_changes_nothing(method: Any, reference: str) -> None:
    model, task = loaded("llama"), family_task(ragged=True)
    together = method.score(problem(model, task, reference=reference)).examples
    if reference == "template_mean":
        return  # a mean over prompts is another one for a single prompt
    for row in range(len(task)):
        alone = method.score(problem(model, task[row], reference=reference)).examples
        assert gap(together[row : row + 1], alone) < 1e-6


@pytest.mark.parametrize("method", [EAP(), EAPIG(2), EAPIG(2, "activations")])
def test_batch_size_and_order_change_nothing(method: Any, monkeypatch: Any) -> None:
    model, task = loaded("gpt2"), family_task(rows=5)
    whole = method.score(problem(model, task)).examples
    order = [3, 0, 4, 2, 1]
    assert gap(method.score(problem(model, task[order])).examples, whole[order]) < 1e-10
    for keep, rows in ((True, 2), (False, 2), (False, 5)):
        chunks = [(low, min(low + rows, 5)) for low in range(0, 5, rows)]
        monkeypatch.setattr(DiscoveryProblem, "divided", lambda *_: (keep, chunks))  # noqa: B023
        assert gap(method.score(problem(model, task)).examples, whole) < 1e-10


@pytest.mark.parametrize("at", [0, 2, 6])
def test_what_both_prompts_begin_with_is_not_computed_again(at: int) -> None:
    model, task = loaded("gpt2"), family_task(at=at)
    graph = graph_of(model)
    scores = EAP().score(problem(model, task, graph))
    assert gap(scores.examples, attributed(model, task, graph)) < 1e-8


def test_edges_by_position_sum_to_the_edge() -> None:
    model = loaded("gpt2")
    plain = family_task()
    task = rz.Task.from_pairs(
        clean=plain.clean,
        corrupt=plain.corrupt,
        answers=plain.answers,
        wrong=plain.wrong,
        positions={"changed": [2, 2, 2], "other": [3, 4, 5], "end": [6, 6, 6]},
    )
    whole = EAP().score(problem(model, task))
    graph = graph_of(model, task, by_position=True)
    scores = EAP().score(problem(model, task, graph))
    sums = {name.split(" @")[0]: 0.0 for name in graph.names}
    for name, value in zip(graph.names, scores.values, strict=True):
        sums[name.split(" @")[0]] += value
    expected = {name: value for name, value in zip(whole.graph.names, whole.values, strict=True)}
    assert set(sums) == set(expected)
    np.testing.assert_allclose([sums[n] for n in expected], [*expected.values()], atol=1e-12)
    assert scores.score("embed -> L0.v_in[H0] @changed") == pytest.approx(
        whole.score("embed -> L0.v_in[H0]"), abs=1e-12
    )


def test_a_metric_that_falls_is_signed_towards_clean() -> None:
    model, task = loaded("gpt2"), family_task()
    graph = graph_of(model)
    scores = EAP().score(
        DiscoveryProblem(model, task, graph, metric_named("loss_nats"), "counterfactual")
    )
    expected = -attributed(model, family_task(metric="loss_nats"), graph)
    assert gap(scores.examples, expected) < 1e-8
    assert scores.full == pytest.approx(float(task_loss(model, task)), rel=1e-9)


def task_loss(model: rz.Model, task: rz.Task) -> np.ndarray:
    return metric_named("loss_nats")(model.run(task.clean).last.double(), task).mean().numpy()


def test_metrics_without_a_slope_are_refused_with_the_reason() -> None:
    model, task = loaded("gpt2"), family_task()
    with pytest.raises(TaskError, match="least at the clean run itself") as error:
        discover(model, task, EAP(), metric="kl_bits")
    assert "EAPIG" in str(error.value)
    with pytest.raises(OptionError, match="'accuracy' has no gradient"):
        discover(model, task, EAPIG(2), metric="accuracy")
    scores = discover(model, task, EAPIG(2), metric="kl_bits").scores
    assert scores is not None and scores.full == 0 and scores.empty > 1e-4
    total = scores.values[scores.graph.out_of("embed")].sum()
    assert total == pytest.approx(scores.empty, rel=0.3)  # what the clean run spares is positive


def test_pairs_of_different_length_are_refused() -> None:
    with pytest.raises(TaskError, match=r"clean has shape \[1, 3\], corrupt \[1, 2\]"):
        rz.Task.from_pairs(
            clean=[[5, 6, 7]], corrupt=[[5, 6]], answers=[3], wrong=[4], model=loaded("gpt2")
        )


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match="steps=0"):
        EAPIG(0)
    with pytest.raises(OptionError, match="at='weights'"):
        EAPIG(2, at="weights")  # type: ignore[arg-type]
    model, task = loaded("gpt2"), family_task()
    with pytest.raises(OptionError, match="no method of discovery") as caught:
        discover(model, task, EAP)  # type: ignore[arg-type]
    methods = [
        name
        for name, each in vars(circuits).items()
        if isinstance(each, type) and hasattr(each, "score") and hasattr(each, "record")
    ]
    assert {"EAP", "JointMask", "Pruned", "Discovery"} <= set(methods)
    assert [name for name in methods if f"{name}(" not in str(caught.value.mend)] == ["Discovery"]
    with pytest.raises(OptionError, match="reference='noise'"):
        discover(model, task, EAP(), reference="noise")
    with pytest.raises(OptionError, match="both given"):
        discover(model, task, EAP(), n_edges=3, share=0.2)
    with pytest.raises(OptionError, match="unknown option steps"):
        discover(model, task, EAP(), steps=3)
    with pytest.raises(OptionError, match="max_memory is 0 MB"):
        discover(model, task, EAP(), max_memory=1000)


def test_a_hook_on_the_model_is_noticed() -> None:
    from residuum.core import CheckFailed

    model = rz.load(build("gpt2", torch.float64))
    handle = model.hf.transformer.h[1].register_forward_hook(lambda m, a, out: out * 1.01)
    try:
        with pytest.raises(CheckFailed, match="an adapter or a hook"):
            discover(model, family_task(), EAP())
    finally:
        handle.remove()
