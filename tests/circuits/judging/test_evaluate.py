from __future__ import annotations

import json
from functools import cache

import handmade
import numpy as np
import pytest
import torch

import residuum as rz
from residuum.circuits import (
    EdgeScores,
    circuit_from_edges,
    circuit_of,
    graph_of,
    load_circuit_scores,
)
from residuum.circuits.judging import score_text
from residuum.circuits.judging.evaluating import evaluate
from residuum.circuits.judging.ratios import Draws, estimate
from residuum.circuits.judging.sizes import SIZES, area, distance_area

P, Q = handmade.PREVIOUS, handmade.INDUCTION
DIFFERING = (
    f"embed -> L0.v_in[H{P}]",
    f"L0.head_out[H{P}] -> L1.k_in[H{Q}]",
    f"L1.head_out[H{Q}] -> logits",
)
"""All along which the two prompts of a pair differ."""

TRUE = (
    *DIFFERING,
    f"embed -> L0.q_in[H{P}]",
    f"embed -> L0.k_in[H{P}]",
    f"embed -> L1.q_in[H{Q}]",
    f"embed -> L1.v_in[H{Q}]",
)
"""All that the two heads read and write, as the weights were set."""


@cache
def hand() -> rz.Model:
    return rz.load("handmade_induction")


@cache
def world() -> rz.Model:
    return rz.load("microworld")


def circuit_of_names(model, names):
    return circuit_from_edges(graph_of(model), names)


def scored(model, values, n, **options):
    return circuit_of(EdgeScores(graph_of(model), np.asarray(values)), n, **options)


def test_the_hand_set_circuit_is_faithful_complete_and_minimal() -> None:
    scores = evaluate(
        circuit_of_names(hand(), TRUE), hand(), handmade.induction_task(32), subsets=4
    )
    for reference in ("mean", "template_mean", "resample", "counterfactual"):
        found = scores[reference]
        for average in ("ratio of means", "mean of ratios"):
            assert found.faithfulness(average).value == pytest.approx(1, abs=1e-6)
            assert found.completeness(average).value == pytest.approx(1, abs=1e-6)
        assert found.gap.value == pytest.approx(0, abs=1e-6)
        assert found.worst_incompleteness() < 1e-6
        assert set(found.groups) == {f"L0.head_out[H{P}]", f"L1.head_out[H{Q}]"}
        assert all(each.value > 0.8 and each.low > 0 for each in found.minimality)


def test_zeros_take_away_what_is_the_same_in_all_prompts() -> None:
    """The heads of positions are outside the circuit and add to the answer: mean keeps it."""
    task = handmade.induction_task(32)
    scores = evaluate(circuit_of_names(hand(), TRUE), hand(), task, subsets=0)
    zero = scores["zero"]
    assert abs(zero.faithfulness().value - 1) > 0.01
    low, high = scores.spread
    assert low == min(1, zero.faithfulness().value, zero.faithfulness("mean of ratios").value)
    assert low < high


def test_three_edges_are_enough_for_one_reference_and_not_for_others() -> None:
    scores = evaluate(circuit_of_names(hand(), DIFFERING), hand(), handmade.induction_task(32))
    assert scores["counterfactual"].faithfulness().value == pytest.approx(1, abs=1e-6)
    assert abs(scores["mean"].faithfulness().value) < 0.2
    low, high = scores.spread
    text = scores.summary()
    assert f"faithfulness {low:.3g} to {high:.3g} over 5 references and 2 ways to average" in text
    assert high - low > 0.8 and "Does not show" in text


def test_an_edge_that_does_nothing_is_called_idle() -> None:
    names = (*TRUE, "embed -> L1.q_in[H2]", "L1.head_out[H2] -> logits")
    circuit = circuit_of_names(hand(), names)
    task = handmade.induction_task(16)
    nodes = evaluate(circuit, hand(), task, references="mean", subsets=0)["mean"]
    losses = dict(zip(nodes.groups, nodes.minimality, strict=True))
    assert losses["L1.head_out[H2]"].value == pytest.approx(0, abs=1e-9)
    assert losses[f"L1.head_out[H{Q}]"].value == pytest.approx(1, abs=1e-6)
    edges = evaluate(circuit, hand(), task, references="mean", minimality="edges", subsets=0)
    each = dict(zip(edges["mean"].groups, edges["mean"].minimality, strict=True))
    assert set(each) == set(names)
    assert each["embed -> L1.q_in[H2]"].value == pytest.approx(0, abs=1e-9)
    assert each[DIFFERING[1]].value > 0.9
    assert "1 of 3 not told from idle" in score_text.summary(
        evaluate(circuit, hand(), task, references="mean", subsets=0)
    )


def test_all_edges_are_worth_one_and_none_nothing() -> None:
    model, task = world(), rz.task("ioi", world(), n=6)
    graph = graph_of(model)
    drawn = np.random.default_rng(0).normal(size=graph.n_edges)
    whole = scored(model, drawn, graph.n_edges)
    scores = evaluate(whole, model, task, subsets=2, sizes=(0.02, 1.0))
    assert scores.sizes == (0.02, 1.0)
    for found in scores.by_reference.values():
        assert found.faithfulness().value == pytest.approx(1, abs=1e-4)
        assert found.completeness().value == pytest.approx(1, abs=1e-4)
        assert found.incompleteness[0].value == pytest.approx(0, abs=1e-9)
        nothing = found.share(found.rest - found.empty).value
        assert nothing == pytest.approx(0, abs=1e-4)
        assert found.curve("signed")[-1].value == pytest.approx(1, abs=1e-4)


def test_cmd_is_at_least_the_distance_of_cpr_from_one() -> None:
    model, task = world(), rz.task("induction", world(), n=6)
    drawn = np.random.default_rng(1).normal(size=graph_of(model).n_edges)
    scores = evaluate(scored(model, drawn, 30), model, task, subsets=0)
    assert scores.sizes == SIZES
    for found in scores.by_reference.values():
        for by in ("signed", "absolute"):
            assert found.cmd(by).value >= abs(1 - found.cpr(by).value) - 1e-12
    signed, absolute = (scores["mean"].curve(by)[6].value for by in ("signed", "absolute"))
    assert signed != absolute


def test_a_random_circuit_scores_a_quarter_and_three_quarters() -> None:
    """Of a behaviour that needs a chain of edges, half of all edges at random do nothing."""
    task, values = handmade.induction_task(16), []
    for seed in range(6):
        drawn = np.random.default_rng(seed).random(graph_of(hand()).n_edges)
        circuit = scored(hand(), drawn, 5, how="top")
        scores = evaluate(circuit, hand(), task, references="mean", subsets=0)
        values.append([scores["mean"].cpr("signed").value, scores["mean"].cmd("signed").value])
    cpr, cmd = np.mean(values, axis=0)
    assert cpr == pytest.approx(0.25, abs=0.08) and cmd == pytest.approx(0.75, abs=0.08)


def test_areas_of_known_curves() -> None:
    nothing = np.array([*[0.0] * 9, 1.0])
    assert area(SIZES, nothing) == pytest.approx(0.25)
    assert distance_area(SIZES, nothing) == pytest.approx(0.75)
    perfect = np.ones(10)
    assert area(SIZES, perfect) == pytest.approx(1 - 0.0005)  # from 0 at no edges to 1 at .001
    assert area((0.5,), np.array([0.5])) == pytest.approx(0.5)  # the ends are put in
    over = np.array([*[2.0] * 9, 1.0])
    assert area(SIZES, over) > 1.5 and distance_area(SIZES, over) > 0.7


def test_ratios_of_means_and_means_of_ratios_are_two_things() -> None:
    draws = Draws(("",) * 4, 0)
    above, below = np.array([1.0, 1.0, 1.0, 4.0]), np.array([2.0, 2.0, 2.0, 4.0])
    assert draws.ratio(above, below).value == pytest.approx(0.7)
    assert draws.mean_of_ratios(above, below).value == pytest.approx(0.625)
    assert draws.ratio(below, below).low == draws.ratio(below, below).high == pytest.approx(1)
    tiny = np.array([2.0, 2.0, 2.0, 1e-9])
    assert draws.mean_of_ratios(tiny, tiny).examples == 3
    assert np.isnan(Draws(("",), 0).ratio(above[:1], below[:1]).low)


def test_whole_templates_are_drawn_where_there_are_several() -> None:
    draws = Draws(("a", "a", "b", "b"), 0)
    assert draws.by == "template"
    assert set(map(tuple, draws.weights)) == {(2, 2, 0, 0), (1, 1, 1, 1), (0, 0, 2, 2)}


def test_intervals_cover_the_truth() -> None:
    """Of 200 samples with a true ratio of .6, the 95 % interval holds it in most."""
    drawn = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        below = drawn.normal(4, 1, 40)
        above = 0.6 * below + drawn.normal(0, 0.5, 40)
        found = Draws(("",) * 40, seed, 500).ratio(above, below)
        held += found.low <= 0.6 <= found.high
    assert 178 <= held <= 198


def test_the_table_the_file_and_the_figures(tmp_path) -> None:
    model, task = world(), rz.task("ioi", world(), n=4)
    drawn = np.random.default_rng(2).normal(size=graph_of(model).n_edges)
    circuit = scored(model, drawn, 40)
    scores = evaluate(
        circuit, model, task, references=("mean", "counterfactual"), sizes=(0.1, 1), subsets=1
    )
    table = scores.to_dataframe()
    assert list(table.columns[:4]) == ["reference", "measure", "average", "selection"]
    measures = {"faithfulness", "completeness", "incompleteness", "minimality", "CPR", "CMD"}
    assert set(table.measure) == measures | {"faithfulness at size"}
    assert (table.low <= table.high + 1e-9).all()
    scores.save(tmp_path / "scores.json")
    data = json.loads((tmp_path / "scores.json").read_text())
    assert data["circuit"] == circuit.hash and len(data["measured"]) == 2
    assert len(data["measured"][0]["circuit"]) == 4
    assert data["provenance"]["task_hash"] == task.task_hash
    again = load_circuit_scores(tmp_path / "scores.json", model)
    assert again.to_json() == scores.to_json() and str(again) == str(scores)
    assert again.circuit == circuit and again.faithfulness == scores.faithfulness
    with pytest.raises(rz.LoadError, match="of another model"):
        load_circuit_scores(tmp_path / "scores.json", hand())
    data["measured"][0]["circuit"][0] += 1
    (tmp_path / "edited.json").write_text(json.dumps(data))
    with pytest.raises(rz.StoreError, match="changed after it was written"):
        load_circuit_scores(tmp_path / "edited.json")
    circuit.save(tmp_path / "circuit.json")
    with pytest.raises(rz.StoreError, match="not a circuit's scores"):
        load_circuit_scores(tmp_path / "circuit.json")
    scores.save(tmp_path / "scores.csv")
    scores.save(tmp_path / "scores.svg")
    assert scores.figure("signed").to_json()["kind"] == "lines"
    unscored = circuit_from_edges(circuit.graph, circuit.edge_names)
    bars = evaluate(unscored, model, task, references="mean", subsets=0)
    assert bars.sizes == () and bars.figure().to_json()["kind"] == "bars"
    assert tuple(bars.figure().names) == ("mean", "mean *"), "short enough for a telephone"
    assert "* mean of ratios" in bars.figure().caption
    assert scores.passes > scores.bound > 0


def test_the_same_seed_gives_the_same_and_the_order_of_pairs_does_not_matter() -> None:
    model, task = world(), rz.task("ioi", world(), n=6)
    names = graph_of(model).names[::3]
    circuit = circuit_of_names(model, names)
    own = handmade.induction_task(8), circuit_of_names(hand(), TRUE)
    one, two, other = (
        evaluate(own[1], hand(), own[0], references="resample", seed=seed).to_dataframe()
        for seed in (3, 3, 4)
    )
    assert one.equals(two) and not one.equals(other)
    turned = evaluate(circuit, model, task.subset([5, 4, 3, 2, 1, 0]), references="mean")["mean"]
    straight = evaluate(circuit, model, task, references="mean")["mean"]
    np.testing.assert_allclose(turned.circuit[::-1], straight.circuit, atol=1e-4)


def test_warnings() -> None:
    model, task = world(), rz.task("ioi", world(), n=6)
    circuit = circuit_of_names(model, graph_of(model).names[:200])
    scores = evaluate(circuit, model, task, subsets=0)
    assert "resample" not in scores.by_reference and len(scores.by_reference) == 4
    assert any("not judged under resample: no other prompt" in each for each in scores.warnings)
    assert any("6 pairs are few" in each for each in scores.warnings)
    with pytest.raises(rz.TaskError, match="no other prompt") as refused:
        evaluate(circuit, model, task, references="resample")
    assert "another reference" in refused.value.mend
    drawn = np.random.default_rng(2).normal(size=graph_of(model).n_edges)
    scores = EdgeScores(
        graph_of(model), drawn, provenance=model.provenance(task_hash=task.task_hash)
    )
    own = evaluate(circuit_of(scores, 40), model, task, references="mean", sizes=(), subsets=0)
    assert any("found on" in each for each in own.warnings) and own.held_out is False


def test_prompts_of_the_discovery_are_said_one_by_one() -> None:
    seen, other = handmade.induction_task(8, 5), handmade.induction_task(8, 6)
    circuit = rz.discover(hand(), seen, rz.EAP(), n_edges=3)
    options = {"references": "counterfactual", "sizes": (), "subsets": 0}
    apart = evaluate(circuit, hand(), other, **options)
    assert apart.held_out is True and "found on other prompts" in str(apart)
    some = evaluate(circuit, hand(), seen[[2, 3]], **options)
    assert some.held_out is False
    assert any("2 of 2 prompts are those that" in each for each in some.warnings)
    named = evaluate(circuit_of_names(hand(), DIFFERING), hand(), other, **options)
    assert named.held_out is None and "not recorded" in str(named)


def test_a_pair_repeated_is_counted_once() -> None:
    task = handmade.induction_task(8)
    circuit = circuit_of_names(hand(), DIFFERING[1:])
    options = {"references": "mean", "subsets": 0}
    once = evaluate(circuit, hand(), task, **options)
    often = evaluate(circuit, hand(), task.subset([0] * 40 + list(range(8))), **options)
    assert often.examples == 8 and often.faithfulness == once.faithfulness
    assert any("40 of 48 pairs repeat another one" in each for each in often.warnings)


def test_an_interval_holds_its_value() -> None:
    """A distance from 1 is larger in nearly every draw than in the sample."""
    found = estimate(0.1, np.linspace(0.2, 0.5, 100), 8)
    assert found.low == 0.1 and 0.4 < found.high < 0.5
    assert estimate(0.9, np.linspace(0.2, 0.5, 100), 8).high == 0.9
    assert np.isnan(estimate(np.nan, np.array([]), 8).low)


def test_refusals() -> None:
    model, task = world(), rz.task("ioi", world(), n=4)
    graph = graph_of(model)
    some = circuit_of_names(model, graph.names[:5])
    with pytest.raises(rz.OptionError, match="an empty circuit"):
        evaluate(some.with_kept(np.zeros(graph.n_edges, dtype=bool)), model, task)
    with pytest.raises(rz.OptionError, match="judges a circuit, got"):
        evaluate("circuit.json", model, task)
    other = circuit_from_edges(graph, graph.names[:5], provenance=hand().provenance())
    with pytest.raises(rz.LoadError, match=r"the circuit is of .*handmade"):
        evaluate(other, model, task)
    with pytest.raises(rz.LoadError, match="a circuit of another model: the graph is of a model"):
        evaluate(some, hand(), handmade.induction_task())
    null = rz.Task.from_pairs(
        clean=task.clean, corrupt=task.clean, answers=task.answers, wrong=task.wrong
    )
    with pytest.raises(rz.TaskError, match="under counterfactual the model says the same") as no:
        evaluate(some, model, null, references="counterfactual")
    assert "leave this reference out" in no.value.mend
    with pytest.raises(rz.TaskError, match=r"differ in length|tokens"):
        rz.Task.from_pairs(
            [rz.ContrastPair("Mary went to the store .", "Mary went .", ("Mary",), ("John",))],
            model,
        )
    with pytest.raises(rz.OptionError, match="has one size"):
        evaluate(some, model, task, sizes=(0.1,))
    drawn = np.random.default_rng(2).normal(size=graph.n_edges)
    with pytest.raises(rz.OptionError, match="are no shares"):
        evaluate(scored(model, drawn, 5), model, task, sizes=(10, 20))
    with pytest.raises(rz.OptionError, match="none that an edge"):
        evaluate(some, model, task, references=("mean", "median"))
    with pytest.raises(rz.OptionError, match="reference=5 is none that an edge"):
        evaluate(some, model, task, references=5)
    with pytest.raises(rz.OptionError, match=r"reference=\{'mean': 1\} is none"):
        evaluate(some, model, task, references={"mean": 1})
    with pytest.raises(rz.OptionError, match="neither of nodes"):
        evaluate(some, model, task, minimality="heads")
    with pytest.raises(rz.OptionError, match="seeds"):
        evaluate(some, model, task, seeds=3)
    scores = evaluate(some, model, task, references="mean", subsets=0)
    with pytest.raises(rz.OptionError, match="was not judged under 'zero'"):
        _ = scores["zero"]
    with pytest.raises(rz.OptionError, match="use 'signed' or 'absolute'"):
        scores.figure("both")


def test_half_precision_is_judged() -> None:
    model = rz.load("microworld", dtype=torch.bfloat16)
    task = rz.task("ioi", model, n=8, seed=0)
    circuit = rz.discover(model, task, rz.EAP(), share=0.1)
    scores = rz.evaluate(circuit, model, task, references="counterfactual", subsets=0, sizes=())
    assert all(0.8 < each.value < 1.2 for each in scores.faithfulness.values())
