"""Whole trials on the hand-set induction model, whose circuit is known."""

from __future__ import annotations

import dataclasses
import inspect
import json
from functools import cache

import handmade
import numpy as np
import pytest
import torch

import residuum as rz
from residuum.circuits import (
    EAP,
    Circuit,
    Trial,
    circuit_from_edges,
    discover,
    graph_of,
    load_trial,
    trial,
)
from residuum.circuits.judging.held_out import HeldOut
from residuum.circuits.judging.sealed import sealed
from residuum.circuits.trial.held_out import held_out
from residuum.circuits.trial.verdict import REJECTING, TESTS
from residuum.core import LoadError, OptionError, StoreError, TaskError

P, Q = handmade.PREVIOUS, handmade.INDUCTION
TRUE = (
    f"embed -> L0.v_in[H{P}]",
    f"L0.head_out[H{P}] -> L1.k_in[H{Q}]",
    f"L1.head_out[H{Q}] -> logits",
)
"""All along which the two prompts of a pair differ."""

WRONG = ("embed -> L0.v_in[H1]", f"L0.head_out[H1] -> L1.k_in[H{Q}]", TRUE[2])
"""Of the same size and shape, through a head that is read by nobody."""

ONE = {"references": ["counterfactual"]}


@cache
def model() -> rz.Model:
    return rz.load("handmade_induction")


@cache
def task(n: int = 16, seed: int = 0) -> rz.Task:
    return handmade.induction_task(n, seed)


def circuit(*edges: str) -> Circuit:
    return circuit_from_edges(graph_of(model()), edges)


@cache
def true_trial() -> Trial:
    return trial(circuit(*TRUE), model(), task(), outside=True, **ONE)


@cache
def wrong_trial() -> Trial:
    return trial(circuit(*WRONG), model(), task(), outside=True, **ONE)


def test_the_true_circuit_holds_in_every_test():
    found = true_trial()
    assert {each.test: each.holds for each in found.verdicts} == dict.fromkeys(TESTS, True)
    assert found.verdict == "passes, held out not known", "nothing was searched for"
    assert all(each.matters for each in found.edges) and len(found.edges) == 3
    assert found["equivalence"].statistic == pytest.approx(0, abs=1e-6)
    level = found.levels[0]
    assert level.frac(level.circuit) == pytest.approx(1) and level.frac(level.rest) == 0
    assert max(level.frac(each) for each in level.random_rest) == 1, "they lie outside the circuit"


def test_a_wrong_one_of_the_same_size_does_not():
    found = wrong_trial()
    assert found.verdict == "fails"
    for test in REJECTING:
        if test != "necessity":
            assert found[test].holds is False, test
    assert found["equivalence"].statistic == pytest.approx(2, abs=1e-4)
    assert not any(each.matters for each in found.edges)


def test_a_bottleneck_is_said_where_random_circuits_may_share_it():
    """Every way to the logits has one edge there: a random circuit may break it too."""
    found = trial(circuit(*TRUE), model(), task(), **ONE)
    assert found["sufficiency"].holds is True
    assert found["necessity"].holds is False
    assert "that share no edge with it 0" in found["necessity"].why


def test_a_mean_reference_needs_the_edges_that_the_pairs_do_not_tell():
    short = trial(circuit(*TRUE), model(), task(), references=["mean"], outside=True)
    whole = (*TRUE, f"embed -> L1.q_in[H{Q}]", f"embed -> L1.v_in[H{Q}]")
    long = trial(circuit(*whole), model(), task(), references=["mean"], outside=True)
    assert short["equivalence"].holds is False and "found under" in short.warnings[0]
    assert long["equivalence"].holds is True and long["sufficiency"].holds is True


def test_the_same_seed_gives_the_same_trial():
    again = trial(circuit(*TRUE), model(), task(), outside=True, **ONE)
    assert again == true_trial()
    other = trial(circuit(*TRUE), model(), task(), outside=True, seed=1, **ONE)
    assert other.levels[0].random != again.levels[0].random


def test_p_values_have_their_floor_and_are_adjusted_by_holm():
    found = true_trial()
    assert found.n_random == 80 and found.floor == 1 / 81 < found.alpha / found.tests
    raw = sorted(found[test].p for test in REJECTING)
    adjusted = sorted(found[test].p_adjusted for test in REJECTING)
    assert adjusted[0] == pytest.approx(4 * raw[0])
    assert "1 / (n + 1)" not in found.rule and f"{1 / 81:.2g} < 0.05/4" in found.rule


def test_of_a_loss_less_is_better():
    found = trial(circuit(*TRUE), model(), task(), metric="loss_nats", outside=True, **ONE)
    assert found.levels[0].full > found.levels[0].empty, "the sign is turned"
    assert found["equivalence"].holds is True and found["necessity"].statistic > 0
    assert any("other sign" in each for each in found.warnings)


def test_templates_can_be_the_units():
    named = dataclasses.replace(task(), templates=tuple("abcdefgh" * 2))
    found = trial(circuit(*TRUE), model(), named, outside=True, unit="template", **ONE)
    assert (found.n_pairs, found.n_units) == (16, 8)
    assert found["equivalence"].p == pytest.approx(2.0**-8) and found["equivalence"].holds is True


# -- held out ----------------------------------------------------------------------------------


@cache
def searched() -> Circuit:
    return discover(model(), task(8, 5), EAP(), n_edges=3)


def test_the_prompts_of_the_discovery_are_refused_unless_asked_for():
    with pytest.raises(TaskError, match="8 of 8 prompts are those") as caught:
        trial(searched(), model(), task(8, 5), **ONE)
    assert "template_halves" in caught.value.mend
    found = trial(searched(), model(), task(8, 5), same_prompts=True, **ONE)
    assert found.held_out is False and not found.passes


def test_what_is_known_of_the_prompts():
    other = task(8, 6)
    assert held_out(searched(), other, None) == HeldOut(True, "found on other prompts")
    old = without_record(searched())
    assert held_out(old, other, None).holds is None
    assert "give found_on=" in held_out(old, other, None).why
    known = held_out(old, other, task(8, 5))
    assert known.holds is True and "other prompts" in known.why
    some = task(8, 5)[[0, 1]]
    for each, found_on in ((searched(), None), (old, task(8, 5))):
        with pytest.raises(TaskError, match="2 of 2 prompts"):
            held_out(each, some, found_on)
    with pytest.raises(TaskError, match="found_on is"):
        held_out(searched(), other, other)
    with pytest.raises(TaskError, match="the trial is on others"):
        held_out(searched(), dataclasses.replace(other, name="others"), task(8, 5))


def without_record(circuit: Circuit) -> Circuit:
    """As of a file that was written before prompts were recorded."""
    assert circuit.scores is not None
    return dataclasses.replace(circuit, scores=dataclasses.replace(circuit.scores, seen=None))


def test_a_single_prompt_of_the_discovery_is_noticed():
    """Another task, with another hash: one of its prompts was there, as clean or as corrupt one."""
    seen, other = task(8, 5), task(16, 6)
    for shared, said in ((seen, "1 of 17 prompts are"), (seen.swap(), "1 of them as corrupt ones")):
        both = {
            part: torch.cat([getattr(each, part) for each in (other, shared[[3]])])
            for part in ("clean", "corrupt", "answers", "wrong")
        }
        mixed = rz.Task.from_pairs(**both)
        with pytest.raises(TaskError, match=said):
            trial(searched(), model(), mixed, **ONE)
        assert held_out(searched(), mixed, None, same_prompts=True).holds is False


def test_a_circuit_found_on_other_prompts_passes_as_held_out():
    found = trial(searched(), model(), task(16, 6), outside=True, **ONE)
    assert found.held_out is True and found.verdict == "passes"


def test_prompts_of_another_task_are_said_to_be_so():
    other = dataclasses.replace(task(8, 6), name="others")
    assert held_out(searched(), other, None).why == "found on other prompts, of task task"


def test_a_pair_repeated_is_counted_once():
    """Forty times the same pair is one pair, and says nothing for sure."""
    with pytest.raises(TaskError, match=r"1 pair \(39 more repeat them\) cannot give p below 0.5"):
        trial(circuit(*TRUE), model(), task().subset([0] * 40), **ONE)
    twice = task().subset([*range(16), *range(16)])
    found = trial(circuit(*TRUE), model(), twice, outside=True, **ONE)
    assert found.verdicts == true_trial().verdicts and (found.n_pairs, found.n_units) == (16, 16)
    assert "16 of 32 pairs repeat another one" in found.warnings[0]


def test_pairs_of_one_clean_prompt_are_one_unit():
    first, second = task(8), task(8, 3)
    same = rz.Task.from_pairs(
        clean=torch.cat([first.clean, first.clean]),
        corrupt=torch.cat([first.corrupt, second.corrupt]),
        answers=torch.cat([first.answers, first.answers]),
        wrong=torch.cat([first.wrong, first.wrong]),
    )
    found = trial(circuit(*TRUE), model(), same, outside=True, **ONE)
    assert (found.n_pairs, found.n_units) == (16, 8)
    assert "8 of 16 pairs have the clean prompt of another" in found.warnings[0]
    few = same[[0, 1, 2, 8, 9, 10]]
    with pytest.raises(TaskError, match="3 clean prompts cannot give"):
        trial(circuit(*TRUE), model(), few, **ONE)


def test_other_templates_are_other_prompts():
    first = dataclasses.replace(task(8, 5), templates=("a",) * 8)
    second = dataclasses.replace(task(8, 6), templates=("b",) * 8)
    found = discover(model(), first, EAP(), n_edges=3)
    assert held_out(found, second, None).why == "found on other templates"
    assert held_out(found, first[:4], first, same_prompts=True).holds is False


@pytest.mark.parametrize(
    "holds, held, verdict",
    [
        ([True] * 5, True, "passes"),
        ([True] * 5, False, "passes, not held out"),
        ([True] * 5, None, "passes, held out not known"),
        ([True, None, True, True, True], True, "undecided"),
        ([True, None, True, True, False], True, "fails"),
    ],
)
def test_the_verdict_follows_from_the_tests(holds, held, verdict):
    found = true_trial()
    verdicts = tuple(
        dataclasses.replace(each, holds=one)
        for each, one in zip(found.verdicts, holds, strict=True)
    )
    made = dataclasses.replace(found, verdicts=verdicts, held_out=held)
    assert made.verdict == verdict
    assert made.passes is (verdict == "passes")


def test_only_required_tests_count():
    failing = dataclasses.replace(wrong_trial(), required=("independence",))
    assert failing.verdict.startswith("passes")


# -- the record --------------------------------------------------------------------------------


def test_a_trial_is_written_and_read_again(tmp_path):
    found = wrong_trial()
    found.save(tmp_path / "trial.json")
    data = json.loads((tmp_path / "trial.json").read_text())
    assert Trial.from_json(data) == found == load_trial(tmp_path / "trial.json")
    with pytest.raises(StoreError, match="no such file"):
        load_trial(tmp_path / "none.json")
    assert load_trial(tmp_path / "trial.json", model()) == found
    with pytest.raises(LoadError, match="the circuit on trial is of handmade_induction"):
        load_trial(tmp_path / "trial.json", rz.load("microworld"))
    for suffix in ("csv", "svg"):
        found.save(tmp_path / f"trial.{suffix}")
        assert (tmp_path / f"trial.{suffix}").stat().st_size > 100
    assert found.figure().title == "task: fails (counterfactual)"
    both = dataclasses.replace(
        found, levels=(found.levels[0], dataclasses.replace(found.levels[0], reference="mean"))
    )
    assert [each.title for each in both.figure().figures] == ["counterfactual", "mean"]
    assert max(len(label) for label in found.figure().names) < 20, "no room on a telephone"
    assert list(found.to_dataframe().test) == list(TESTS)
    assert len(found.edges_to_dataframe()) == 3


def _without(data: dict, *keys: str) -> dict:
    return {key: value for key, value in data.items() if key not in keys}


def test_an_edited_trial_is_refused(tmp_path):
    found = wrong_trial().to_json()
    edited = json.loads(json.dumps(found))
    edited["verdicts"][0]["statistic"] = 0.25
    (tmp_path / "edited.json").write_text(json.dumps(edited))
    with pytest.raises(StoreError, match="changed after it was written"):
        load_trial(tmp_path / "edited.json")
    plain = _without(found, "sha256", "format", "kind")
    with pytest.raises(StoreError, match="does not follow"):
        Trial.from_json(sealed(plain | {"verdict": "passes"}, "circuit_trial"))
    with pytest.raises(StoreError, match="keys missing or unknown"):
        Trial.from_json(sealed(_without(plain, "alpha"), "circuit_trial"))
    with pytest.raises(StoreError, match="not a trial of a circuit of format 1"):
        Trial.from_json({"format": 1})


def test_a_trial_written_before_there_was_a_hash_is_refused_with_a_mend():
    with pytest.raises(StoreError, match="without a hash, as older versions wrote it") as caught:
        Trial.from_json(_without(wrong_trial().to_json(), "sha256"))
    assert caught.value.mend.startswith("try the circuit again: rz.trial(")


def test_what_it_prints_names_every_test_and_the_rule():
    text = repr(wrong_trial())
    assert text.startswith("Trial(fails: 3 of 52 edges")
    for test in TESTS:
        assert f"{test} (counterfactual): " in text
    assert "rule: " in text and "held_out" not in text
    with pytest.raises(OptionError, match="no verdict truth"):
        wrong_trial()["truth"]


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, said",
    [
        ({"margin": 0}, "margin=0"),
        ({"alpha": 0.9}, "alpha=0.9"),
        ({"alpha": True}, "alpha=True"),
        ({"matter_frac": 2}, "matter_frac=2"),
        ({"unit": "word"}, "unit='word'"),
        ({"outside": 1}, "outside=1"),
        ({"references": ["mean", "mean"]}, "references="),
        ({"references": "patch"}, "references='patch'"),
        ({"required": []}, "required="),
        ({"n_random": 100}, "100 random circuits cannot give p below 0.0099"),
        ({"seed": -1}, "seed=-1"),
        ({"metric": "prettiness"}, "prettiness"),
        ({"references": 5}, "references=5"),
        ({"foo": 1}, "unknown option foo of trial"),
    ],
)
def test_options_that_are_none_are_refused(options, said):
    with pytest.raises(OptionError, match=said):
        trial(circuit(*TRUE), model(), task(), **options)


def test_too_few_pairs_are_refused_with_the_number_needed():
    with pytest.raises(TaskError, match="6 pairs cannot give p below") as caught:
        trial(circuit(*TRUE), model(), task(6), **ONE)
    assert "give 7 pairs or more" in caught.value.mend
    with pytest.raises(TaskError, match="1 template cannot"):
        trial(circuit(*TRUE), model(), task(), unit="template", **ONE)


def test_circuits_that_are_none_are_refused():
    graph = graph_of(model())
    with pytest.raises(OptionError, match="needs a circuit"):
        trial("circuit.json", model(), task())  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="an empty circuit"):
        trial(Circuit(graph, np.zeros(graph.n_edges, dtype=bool)), model(), task())
    other = rz.load("induction_2l", check=False)
    of_other = circuit_from_edges(
        graph_of(other), ["embed -> logits"], provenance=other.provenance()
    )
    with pytest.raises(LoadError, match="the circuit is of"):
        trial(of_other, model(), task())


def test_a_circuit_for_another_metric_is_refused():
    with pytest.raises(OptionError, match="another behaviour") as caught:
        trial(searched(), model(), task(), metric="prob", **ONE)
    assert caught.value.mend == 'give metric="logit_diff"'


def test_every_option_is_in_the_list_of_options():
    named = inspect.signature(trial).parameters.values()
    known = {each.name for each in named if each.kind is each.KEYWORD_ONLY}
    with pytest.raises(OptionError) as refused:
        trial(circuit(*TRUE), model(), task(), foo=1)
    assert set(refused.value.mend.removeprefix("its options are: ").split(", ")) == known


def test_edges_that_matter_one_by_one_are_told_apart_from_enough_of_them_for_sure():
    why = true_trial()["minimality"].why
    assert why == (
        "taken one by one 3 of 3 edges matter (Benjamini-Hochberg at 0.05); p is of fewer than 2, "
        "all tests together"
    )
