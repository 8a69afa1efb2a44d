"""Every method against what is known: hand-set and trained models, a linear one, the oracle."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edge_oracle import family_task
from handmade import handmade_induction, induction_task

import residuum as rz
from residuum.circuits import (
    ACDC,
    EAP,
    EAPIG,
    AtPStar,
    DiscoveryProblem,
    ExactEdges,
    InformationFlow,
    LearnedMask,
    PathSearch,
    discover,
    graph_of,
)
from residuum.circuits.engine.masked import MaskedRuns
from residuum.core import CheckFailed, OptionError
from residuum.models.native_config import NativeConfig
from residuum.models.native_model import NativeForCausalLM
from residuum.patching.path_patching import path_patch
from residuum.runs import metric_named

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "families"))
from configs import build

CIRCUIT = (
    "embed -> L0.v_in[H2]",
    "L0.head_out[H2] -> L1.k_in[H1]",
    "L1.head_out[H1] -> logits",
)
"""The hand-set model's only edges."""


@cache
def loaded(name: str) -> rz.Model:
    return rz.load(build(name, torch.float64))


@cache
def handmade() -> rz.Model:
    return rz.load(handmade_induction())


def problem(model: rz.Model, task: rz.Task, graph: Any = None, **options: Any) -> DiscoveryProblem:
    metric = metric_named(options.pop("metric", task.metric))
    return DiscoveryProblem(model, task, graph or graph_of(model), metric, **options)


def gap(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape and np.abs(expected).max() > 1e-4
    return float(np.abs(found - expected).max() / np.abs(expected).max())


# -- exact edges ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "gemma2", "mixtral"])
@pytest.mark.parametrize("options", [{}, {"reference": "mean"}, {"metric": "kl_bits"}])
def test_forked_edges_equal_whole_passes(name: str, options: Any) -> None:
    model, task = loaded(name), family_task(ragged=True)
    forked, naive = (
        ExactEdges(engine).score(problem(model, task, **options)) for engine in ("forked", "naive")
    )
    assert gap(forked.examples, naive.examples) < 1e-6
    assert forked.passes < 0.6 * naive.passes and forked.warnings == ()


@pytest.mark.parametrize("reference", ["counterfactual", "zero", "template_mean", "resample"])
@pytest.mark.parametrize("by_position", [False, True])
def test_an_exact_edge_is_a_masked_run_without_it(reference: str, by_position: bool) -> None:
    model, plain = loaded("llama"), family_task(rows=4)
    task = rz.Task.from_pairs(
        clean=plain.clean,
        corrupt=plain.corrupt,
        answers=plain.answers,
        wrong=plain.wrong,
        positions={"changed": [2] * 4, "end": [6] * 4},
        templates=["a", "b", "a", "b"],
    )
    graph = graph_of(model, task, by_position=by_position)
    exact = ExactEdges().score(problem(model, task, graph, reference=reference)).examples
    some = np.random.default_rng(0).choice(graph.n_edges, 40, replace=False)
    kept = np.ones((41, graph.n_edges), dtype=bool)
    kept[np.arange(40), some] = False
    runs = MaskedRuns(model, graph, task, reference).metric(kept)
    assert np.abs(exact[:, some].T - (runs[40] - runs[:40])).max() < 1e-6 * np.abs(runs).max()


def test_exact_edges_are_path_patchings() -> None:
    model, task = loaded("gpt2"), family_task()
    graph = graph_of(model)
    scores = ExactEdges().score(problem(model, task, graph))
    table = path_patch(model, task, direction="noise")
    expected = np.array(
        [
            -table.effect(str(graph.senders[i]), str(graph.receivers[j]))
            for i, j in graph.edges.tolist()
        ]
    )
    assert gap(scores.values, expected) < 1e-9


def test_heads_that_are_normed_together_take_whole_passes_and_say_so() -> None:
    model, task = loaded("olmo2"), family_task()
    scores = ExactEdges().score(problem(model, task))
    assert "normed over all heads together" in scores.warnings[0]
    with pytest.raises(OptionError, match="cannot be forked"):
        discover(model, task, ExactEdges("forked"))


# -- known answers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [ExactEdges(), EAPIG(5), EAPIG(5, "activations"), ACDC(0.05), PathSearch(), PathSearch(0.1)],
)
def test_the_hand_set_circuit_and_nothing_else(method: Any) -> None:
    own = hasattr(method, "chosen")
    circuit = discover(handmade(), induction_task(), method, **({} if own else {"n_edges": 3}))
    assert circuit.edge_names == CIRCUIT
    scores = circuit.scores
    assert scores is not None
    others = np.abs(scores.values[~circuit.kept])
    inside = scores.values[circuit.kept]
    assert others.max() < 1e-5 and inside.min() > 1.99
    if not isinstance(method, EAPIG):
        np.testing.assert_allclose(scores.examples[:, circuit.kept], 2.0, atol=1e-5)
    assert scores.full - scores.empty == pytest.approx(2.0, abs=1e-5)


@pytest.mark.slow
def test_a_learned_mask_finds_the_hand_set_circuit() -> None:
    circuit = discover(handmade(), induction_task(), LearnedMask(n_edges=3), seed=1)
    assert circuit.edge_names == CIRCUIT
    again = discover(handmade(), induction_task(), LearnedMask(n_edges=3), seed=1)
    np.testing.assert_array_equal(circuit.scores.values, again.scores.values)


def test_a_mask_is_learned_towards_its_target() -> None:
    method = LearnedMask(share=0.25, steps=60)
    circuit = discover(handmade(), induction_task(8), method)
    graph = circuit.graph
    assert circuit.n_edges == round(0.25 * graph.n_edges)
    assert circuit.scores.method["expected"] == pytest.approx(0.25 * graph.n_edges, rel=0.5)
    assert ((circuit.scores.values >= 0) & (circuit.scores.values <= 1)).all()
    assert "not an effect" in circuit.scores.warnings[0]


def test_a_saturated_softmax_hides_the_key_from_eap_and_not_from_atp_star() -> None:
    """The case that the correction is for: attention is all on one token, so it has no slope."""
    model, task = handmade(), induction_task()
    key = CIRCUIT[1]
    assert abs(EAP().score(problem(model, task)).score(key)) < 1e-6
    corrected = AtPStar(grad_drop=False).score(problem(model, task))
    assert corrected.score(key) == pytest.approx(2.0, abs=1e-4)
    assert AtPStar().score(problem(model, task)).score(key) == pytest.approx(2.0, abs=1e-4)


def test_gbmi_is_two_heads_and_nothing_else(test_data: Any) -> None:
    """Mean |effect|, first seven letters permuted: as path patching had it."""
    model = rz.load(test_data / "gbmi_indhead")
    scores = ExactEdges().score(problem(model, permuted_letters()))
    sizes = dict(zip(scores.graph.names, np.abs(scores.examples).mean(axis=0), strict=True))
    key = "L0.head_out[H0] -> L1.k_in[H0]"
    circuit = {
        *(key, "L1.head_out[H0] -> logits", "embed -> L0.v_in[H0]", "embed -> L1.v_in[H0]"),
    }
    assert sizes[key] == pytest.approx(23.5, rel=0.15)
    table = path_patch(model, permuted_letters(), direction="noise").per_example
    for name, size in sizes.items():
        sender, receiver = name.split(" -> ")
        expected = np.abs(table.sel(sender=sender, receiver=receiver)).mean("example")
        assert size == pytest.approx(float(expected), abs=1e-4), name
    assert min(sizes[name] for name in circuit) > 0.9 * sizes[key]
    others = {name: size for name, size in sizes.items() if name not in circuit}
    assert len(others) == 8 and max(others.values()) <= 0.05 * sizes[key], others
    found = discover(model, permuted_letters(), PathSearch(0.05))
    assert set(found.edge_names) == circuit


def test_atp_star_keeps_what_goes_through_the_second_of_two_layers(test_data: Any) -> None:
    """One of two layers left out would leave the largest edge into the first nothing."""
    model = rz.load(test_data / "gbmi_indhead")
    circuit = discover(model, permuted_letters(), AtPStar(), n_edges=4, how="top")
    assert set(circuit.edge_names) == {
        "embed -> L0.v_in[H0]",
        "embed -> L1.v_in[H0]",
        "L0.head_out[H0] -> L1.k_in[H0]",
        "L1.head_out[H0] -> logits",
    }
    assert "no GradDrop: of 2 layers" in circuit.scores.warnings[0]
    assert circuit.scores.method["grad_drop"] is False
    deeper = AtPStar().score(problem(loaded("gpt2"), family_task()))
    assert deeper.method["grad_drop"] is True and not deeper.warnings


@pytest.mark.parametrize("run", ["discover", "masked"])
def test_weights_that_are_nan_are_named_and_no_hook_is_blamed(run: str) -> None:
    model = rz.load(build("gpt2"))
    model.hf.transformer.h[1].mlp.c_fc.weight.data[0, 0] = float("nan")
    with pytest.raises(CheckFailed, match="itself are NaN or infinite") as caught:
        if run == "discover":
            discover(model, family_task(), EAP())
        else:
            runs = MaskedRuns(model, graph_of(model), family_task())
            runs.metric(np.ones(runs.graph.n_edges, dtype=bool))
    assert "so are weights of transformer.h.1.mlp.c_fc.weight" in caught.value.what
    assert "load the model again" in caught.value.mend


def permuted_letters(rows: int = 64) -> rz.Task:
    """Seven distinct letters, then one of the first six again; against another order of them."""
    draw = torch.Generator().manual_seed(0)
    letters = torch.rand(rows, 26, generator=draw).argsort(dim=1)[:, :7]
    last = letters.gather(1, torch.randint(0, 6, (rows, 1), generator=draw))
    order = torch.rand(rows, 7, generator=draw).argsort(dim=1)
    sides, answers = [letters, letters.gather(1, order)], []
    for side in sides:
        place = (side == last).int().argmax(dim=1)
        answers.append((side[torch.arange(rows), (place + 1).clamp_max(6)], place < 6))
    kept = (answers[0][1] & answers[1][1] & (answers[0][0] != answers[1][0])).nonzero()[:, 0]
    clean, corrupt = (torch.cat([side, last], dim=1)[kept] for side in sides)
    right, wrong = answers[0][0][kept], answers[1][0][kept]
    return rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=right, wrong=wrong)


# -- laws ----------------------------------------------------------------------------------------


@cache
def linear_model() -> rz.Model:
    """Attention-only, no norm, no queries: each head averages over the past, all else is linear."""
    config = NativeConfig(n_layers=3, n_heads=2, d_model=16, d_vocab=20, n_ctx=8)
    torch.manual_seed(0)
    hf = NativeForCausalLM(config).double().eval()
    with torch.no_grad():
        for parameter in hf.parameters():
            parameter.copy_(torch.randn(parameter.shape, dtype=torch.float64) * 0.3)
        for block in hf.model.blocks:
            block.attn.q_proj.weight.zero_()
            if block.attn.q_proj.bias is not None:
                block.attn.q_proj.bias.zero_()
    return rz.load(hf, check=False)  # the check refuses queries that nothing depends on


def linear_task() -> rz.Task:
    draw = torch.Generator().manual_seed(2)
    clean, corrupt = torch.randint(0, 20, (2, 5, 6), generator=draw)
    answers, wrong = torch.randint(0, 20, (2, 5), generator=draw)
    wrong = torch.where(wrong == answers, (wrong + 1) % 20, wrong)
    return rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=answers, wrong=wrong)


@pytest.mark.parametrize("method", [EAP(), EAPIG(2), EAPIG(2, "activations"), ExactEdges()])
def test_on_a_linear_model_effects_are_exact_and_sum(method: Any) -> None:
    model, task = linear_model(), linear_task()
    scores = method.score(problem(model, task))
    graph, whole = scores.graph, scores.full - scores.empty
    assert abs(whole) > 0.01
    assert scores.values[graph.into("logits")].sum() == pytest.approx(whole, abs=1e-10)
    assert scores.values[graph.out_of("embed")].sum() == pytest.approx(whole, abs=1e-10)
    exact = ExactEdges("naive").score(problem(model, task))
    assert gap(scores.examples, exact.examples) < 1e-10
    asked = [i for i, n in enumerate(graph.names) if ".q_in" in n or ".k_in" in n]
    assert np.abs(scores.examples[:, asked]).max() < 1e-12  # nobody's scores depend on anything


@pytest.mark.parametrize("method", [AtPStar(), InformationFlow(), ExactEdges(), PathSearch(0.05)])
def test_scores_do_not_depend_on_batch_and_order(method: Any, monkeypatch: Any) -> None:
    model, task = loaded("llama"), family_task(rows=5)
    whole = method.score(problem(model, task)).examples
    order = [3, 0, 4, 2, 1]
    assert gap(method.score(problem(model, task[order])).examples, whole[order]) < 1e-6
    for keep, rows in ((True, 2), (False, 2)):
        chunks = [(low, min(low + rows, 5)) for low in range(0, 5, rows)]
        monkeypatch.setattr(DiscoveryProblem, "divided", lambda *_, c=(keep, chunks): c)
        assert gap(method.score(problem(model, task)).examples, whole) < 1e-6


def test_acdc_is_one_try_after_the_other() -> None:
    model, task, threshold = loaded("gpt2"), family_task(), 0.002
    graph = graph_of(model)
    circuit = discover(model, task, ACDC(threshold), graph=graph)
    runs, kept = MaskedRuns(model, graph, task), np.ones(graph.n_edges, dtype=bool)
    now = runs.metric(kept)[0].mean()
    for receiver in reversed(graph.receivers):
        for edge in graph.into(receiver)[::-1]:
            without = kept.copy()
            without[edge] = False
            value = runs.metric(without)[0].mean()
            if now - value < threshold:
                kept, now = without, value
    assert 0 < circuit.n_edges < graph.n_edges
    np.testing.assert_array_equal(circuit.kept, kept)
    assert circuit.scores.values[circuit.kept].min() >= threshold
    assert circuit.scores.values[~circuit.kept].max() < threshold


def test_atp_star_without_its_corrections_is_eap() -> None:
    model, task = loaded("gemma2"), family_task(ragged=True)
    plain = AtPStar(False, False).score(problem(model, task))
    assert gap(plain.examples, EAP().score(problem(model, task)).examples) < 1e-12


def test_dropped_slopes_are_those_of_a_model_without_the_layer() -> None:
    """By hand for edges into the logits and into one receiver, with the last layer left out."""
    model, task = loaded("gpt2"), family_task()
    graph = graph_of(model)
    whole = EAP().score(problem(model, task, graph)).examples
    found = AtPStar(qk_correction=False).score(problem(model, task, graph)).examples
    np.testing.assert_allclose(
        np.abs(found[:, graph.into("logits")]), np.abs(whole[:, graph.into("logits")]), atol=1e-12
    )
    last = graph.into("L2.mlp_in")  # nothing comes after it: both other layers leave it as it is
    np.testing.assert_allclose(found[:, last], whole[:, last], atol=1e-12)
    first = graph.into("L0.v_in[H1]")
    assert np.abs(found[:, first] - whole[:, first]).max() > 1e-4


def test_information_flow_adds_up_at_the_answer() -> None:
    model, task = loaded("llama"), family_task(ragged=True)
    scores = InformationFlow().score(problem(model, task))
    graph = scores.graph
    assert ((scores.values >= 0) & (scores.values <= 1)).all() and "not effects" in scores.warnings[
        0
    ]
    np.testing.assert_allclose(scores.examples[:, graph.into("logits")].sum(axis=1), 1, atol=1e-6)
    into = [scores.values[i] for i, n in enumerate(graph.names) if ".q_in" in n or ".k_in" in n]
    assert not np.any(into)
    best = {s: scores.examples[:, graph.out_of(s)].max(axis=1) for s in graph.senders}
    for number, name in enumerate(graph.names):  # a route is no wider than what it goes on to
        receiver = graph.receivers[graph.edges[number, 1]]
        if receiver.name == "mlp_in":
            on = best[rz.Address("mlp_out", receiver.layer)]
            assert (scores.examples[:, number] <= on + 1e-9).all(), name


# -- verification --------------------------------------------------------------------------------


def test_verified_edges_are_exact_and_what_is_open_is_said() -> None:
    model, task = loaded("gpt2"), family_task()
    exact = ExactEdges().score(problem(model, task)).values
    circuit = discover(model, task, EAP(), n_edges=20, verify=40, sample=30, seed=3)
    scores = circuit.scores
    assert scores is not None
    told = scores.method["verification"]
    measured = [*told["edges"], *told["sampled"]]
    assert len(told["edges"]) == 40 and len(set(measured)) == 70
    np.testing.assert_allclose(scores.values[measured], exact[measured], atol=1e-9)
    first = EAP().score(problem(model, task)).values
    assert set(told["edges"]) == set(np.argsort(-np.abs(first))[:40].tolist())
    rest = np.delete(np.abs(exact), told["edges"]).sum() / np.abs(exact).sum()
    assert told["interval"][0] <= rest <= told["interval"][1]
    assert told["open_share"] == pytest.approx(rest, abs=0.15)
    assert "40 edges measured exactly" in scores.warnings[-1]


def test_verification_sees_what_the_gradient_missed() -> None:
    """EAP gives the key's edge nothing; its sample of the rest finds that much lies there."""
    circuit = discover(handmade(), induction_task(), EAP(), n_edges=1, verify=1, sample=200)
    told = circuit.scores.method["verification"]
    assert told["open_share"] == pytest.approx(2 / 3, abs=1e-3)
    all_measured = discover(handmade(), induction_task(), EAP(), n_edges=3, verify=200)
    assert all_measured.edge_names == CIRCUIT
    assert all_measured.scores.method["verification"]["open_share"] == 0


def test_the_circuit_says_how_it_was_found() -> None:
    model, task = loaded("llama"), family_task()
    circuit = discover(model, task, EAP(), share=0.2, how="top", by="signed")
    assert circuit.n_edges == round(0.2 * circuit.graph.n_edges)
    assert circuit.scores.values[circuit.kept].min() >= circuit.scores.values[~circuit.kept].max()
    assert circuit.selection["how"] == "top" and circuit.selection["by"] == "signed"
    assert circuit.task_hash == task.task_hash and circuit.weight_hash == model.adapted.weight_hash
    assert circuit.provenance.strategy.startswith("EAP(")


def test_options_of_methods_are_checked() -> None:
    for make in (lambda: ACDC(0.0), lambda: PathSearch(-1), lambda: LearnedMask(share=2.0)):
        with pytest.raises(OptionError, match="out of range"):
            make()
    with pytest.raises(OptionError, match="no target, or two"):
        LearnedMask()
    with pytest.raises(OptionError, match="engine='fast'"):
        ExactEdges("fast")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="relative threshold needs a run"):
        discover(handmade(), induction_task(), PathSearch(), reference="zero")
