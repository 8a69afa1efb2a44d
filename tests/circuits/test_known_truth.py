"""Discovery against models whose circuit is known: compiled programs, and trained ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.circuits import (
    EAP,
    EAPIG,
    REFERENCES,
    AtPStar,
    DiscoveryProblem,
    ExactEdges,
    InformationFlow,
    MaskedRuns,
    discover,
)
from residuum.core import TaskError
from residuum.organisms.compiled import PROGRAMS, CompiledProgram, compile_program
from residuum.organisms.compiled.expressions import Elementwise, SelectorWidth
from residuum.organisms.compiled.interchange import interchange_trained
from residuum.runs import metric_named

SCORED = tuple(name for name in PROGRAMS if name != "length")
"""Prompts of one length all have the same length, so ``length`` has no contrast pairs."""
SLOW = [pytest.param(n, marks=pytest.mark.slow) if n == "dyck" else n for n in SCORED]
COUNTING = ("hist", "sort_unique", "dyck")
METHODS = (EAP(), EAPIG(5), EAPIG(5, "activations"), AtPStar(), ExactEdges(), InformationFlow())


@cache
def compiled(name: str) -> CompiledProgram:
    return compile_program(name)


@cache
def truth_of(name: str, kind: str = "resample") -> np.ndarray:
    return compiled(name).edges_of(kind)


@cache
def values_of(name: str, method: Any) -> np.ndarray:
    made = compiled(name)
    circuit = discover(made.model, made.task(), method, n_edges=1)
    assert circuit.scores is not None
    return circuit.scores.values


def auroc(values: np.ndarray, truth: np.ndarray) -> float:
    """Of |values|; those below 1e-9 of the largest are residues of a softmax, and equal."""
    sizes = np.abs(values)
    sizes = np.where(sizes > 1e-9 * sizes.max(), sizes, 0)
    gaps = sizes[truth][:, None] - sizes[~truth]
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)


# -- approximations against the truth ------------------------------------------------------------


def counts_something(made: CompiledProgram) -> bool:
    """Whether a count, or a step of a number, varies among prompts of one length."""
    counts = [
        part
        for part in made.program.parts()
        if isinstance(part, SelectorWidth)
        or (isinstance(part, Elementwise) and any(each.numerical for each in part.inputs))
    ]
    found = [made.values(prompt) for prompt in made.prompts()[:30]] if counts else []
    return any(len({tuple(values[part]) for values in found}) > 1 for part in counts)


def test_which_programs_count() -> None:
    assert tuple(name for name in PROGRAMS if counts_something(compiled(name))) == COUNTING
    with pytest.raises(TaskError, match="the same at the last of 5 tokens"):
        compiled("length").task()


@pytest.mark.parametrize("name", SLOW)
def test_integrated_gradients_find_all_but_what_counts(name: str) -> None:
    found = auroc(values_of(name, EAPIG(5)), truth_of(name))
    assert (found >= 0.9) is (name not in COUNTING), found
    if name in COUNTING:
        assert found == pytest.approx({"hist": 0.625}.get(name, 2 / 3), abs=1e-3)


@pytest.mark.parametrize("name", SLOW)
def test_exact_effects_find_every_program(name: str) -> None:
    assert auroc(values_of(name, ExactEdges()), truth_of(name)) == 1


@pytest.mark.parametrize("name", ["interchange_sort", "interchange_pattern"])
def test_integrated_gradients_find_what_was_trained(name: str) -> None:
    trained = interchange_trained(name)
    values = discover(trained.model, trained.task(), EAPIG(5), n_edges=1).scores.values
    assert min(auroc(values, trained.edges_of(kind)) for kind in ("program", "nodes")) >= 0.9


# -- the exact verification detects the shortfall ------------------------------------------------


@pytest.mark.parametrize("verify", [1, 2, 3, 4, 5])
def test_verification_says_that_the_counting_edges_were_missed(verify: int) -> None:
    made = compiled("hist")
    circuit = discover(made.model, made.task(), EAPIG(5), n_edges=4, verify=verify)
    told = circuit.scores.method["verification"]
    exact = np.abs(values_of("hist", ExactEdges()))
    open_share = 1 - exact[told["edges"]].sum() / exact.sum()
    assert told["open_share"] == pytest.approx(open_share, abs=1e-6) and open_share > 0.3
    assert told["interval"] == pytest.approx([open_share] * 2, abs=1e-6)  # all others were drawn
    assert told["own_share"] == 0 and told["unseen"] == 0
    text = circuit.scores.warnings[-1]
    assert "the method falls short here: its scores leave 0 %" in text
    assert f"measured are {100 * open_share:.0f} %" in text and "ExactEdges()" in text
    assert circuit.kept.tolist() == truth_of("hist").tolist()  # what was measured counts


@pytest.mark.parametrize(
    ("name", "verify"), [("sort_unique", 3), pytest.param("dyck", 12, marks=pytest.mark.slow)]
)
def test_verification_by_a_sample_says_it_too(name: str, verify: int) -> None:
    made = compiled(name)
    exact = np.abs(values_of(name, ExactEdges()))
    for seed in range(3):
        circuit = discover(
            made.model, made.task(), EAPIG(5), n_edges=4, verify=verify, sample=100, seed=seed
        )
        told = circuit.scores.method["verification"]
        open_share = 1 - exact[told["edges"]].sum() / exact.sum()
        assert told["interval"][0] <= told["open_share"] <= told["interval"][1]
        assert told["interval"][0] <= open_share + 1e-6  # what is certain is true
        assert "falls short" in circuit.scores.warnings[-1]


@pytest.mark.parametrize("name", [each for each in SCORED if each not in COUNTING])
def test_verification_is_silent_where_the_method_is_right(name: str) -> None:
    made = compiled(name)
    for verify in (1, 2, 4):
        circuit = discover(made.model, made.task(), EAPIG(5), n_edges=4, verify=verify)
        assert not any("falls short" in each for each in circuit.scores.warnings)
        assert f"{verify} edges measured exactly" in circuit.scores.warnings[-1]


def test_a_small_sample_says_what_it_cannot_exclude() -> None:
    made = compiled("dyck")
    circuit = discover(made.model, made.task(8), EAP(), n_edges=4, verify=4, sample=20)
    told = circuit.scores.method["verification"]
    assert told["unseen"] == int(267 * (1 - 0.05 ** (1 / 20))) == 37
    assert "37 that were not measured may be larger than any" in "".join(circuit.scores.warnings)
    none = discover(made.model, made.task(8), EAP(), n_edges=4, verify=4, sample=0)
    assert none.scores.warnings[-1].startswith("4 edges measured exactly, and none of the 267")


# -- exact effects against an enumeration by plain edits -----------------------------------------


def by_edits(made: CompiledProgram, task: rz.Task) -> np.ndarray:
    """Effect of each edge on each pair ``[example edge]``: the receiver's own input, written."""
    sites = ["resid_pre", "q_in", "k_in", "v_in", "mlp_in", "head_out", "mlp_out"]
    clean, corrupt = (made.model.run(ids, capture=sites) for ids in (task.clean, task.corrupt))
    rows, found = torch.arange(len(task)), []

    def metric(logits: torch.Tensor) -> torch.Tensor:
        last = logits[:, -1].double()
        return last[rows, task.answers[:, 0]] - last[rows, task.wrong[:, 0]]

    for sender, receiver in made.graph.edges:
        writes, reads = made.graph.senders[sender], made.graph.receivers[receiver]
        change = sent(corrupt, writes) - sent(clean, writes)
        if reads.name == "logits":
            logits = clean.logits + change @ made.model.hf.lm_head.weight.T.detach()
        else:
            base = clean[f"L{reads.layer}.{reads.name}"]
            stream = base if reads.part is None else base[:, :, reads.part]
            logits = made.model.run(task.clean, edits=[rz.Patch(reads, stream + change)]).logits
        found.append(metric(clean.logits) - metric(logits))
    return torch.stack(found, dim=1).numpy()


def sent(run: rz.Run, sender: rz.Address) -> torch.Tensor:
    if sender.name == "embed":
        return run["L0.resid_pre"]
    value = run[f"L{sender.layer}.{sender.name}"]
    return value if sender.part is None else value[:, :, sender.part]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hist", {"vocabulary": "ab", "length": 3}),
        ("sort_unique", {"vocabulary": "abc", "length": 2}),
        ("frac_prevs", {"vocabulary": "xy", "length": 3}),
        pytest.param("dyck", {"length": 4}, marks=pytest.mark.slow),
    ],
)
def test_forked_exact_effects_are_those_of_edits_on_every_pair(name: str, options: Any) -> None:
    made = compile_program(name, **options)
    task = every_pair(made)
    found = discover(made.model, task, ExactEdges("forked"), n_edges=1).scores.examples
    expected = by_edits(made, task)
    assert found.shape == expected.shape == (len(task), made.graph.n_edges)
    assert np.abs(found - expected).max() < 1e-5 and np.abs(expected).max() > 0.3
    moved = (np.abs(found) > 1e-3).any(axis=0)  # at the last token, by its answer
    assert moved.any() and not (moved & ~made.edges_of("resample")).any()


def every_pair(made: CompiledProgram) -> rz.Task:
    """All pairs of prompts whose outputs at the last token differ, each once or both ways round."""
    ends = [made.run(prompt)[-1] for prompt in made.prompts()]
    numbers = made.program.numerical
    pairs = sum(
        one is not None and other is not None and (one > other if numbers else one != other)
        for one in ends
        for other in ends
    )
    for seed in range(100):
        task = made.task(pairs, seed=seed)
        if len(task) == pairs:
            return task
    raise AssertionError(f"not all of {pairs} pairs were drawn")


# -- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCORED)
def test_edges_that_nothing_reads_can_all_be_taken_away(name: str) -> None:
    """The structural edges alone are the whole model, whatever the others carry; none are empty."""
    made = compiled(name)
    task = made.task(6)
    structural = truth_of(name, "structural")
    for reference in REFERENCES:
        if reference == "template_mean":
            continue  # these prompts are of no template
        runs = MaskedRuns(made.model, made.graph, task, reference)
        kept, without = runs.metric(np.stack([structural, ~structural]))
        assert np.abs(kept - runs.whole).max() < 1e-5
        assert np.abs(without - runs.empty).max() < 1e-5
    assert np.abs(runs.whole - runs.empty).max() > 0.1


@pytest.mark.parametrize("name", ["dyck", "interchange_sort"])
def test_all_edges_are_the_clean_run_and_none_the_corrupt_one(name: str) -> None:
    made = interchange_trained(name) if name in ("interchange_sort",) else compiled(name)
    task, graph = made.task(5), made.graph
    scores = discover(made.model, task, ExactEdges(), n_edges=1).scores
    rows, ends = torch.arange(len(task)), []
    for ids in (task.clean, task.corrupt):
        last = made.model.run(ids).logits[:, -1].double()
        ends.append((last[rows, task.answers[:, 0]] - last[rows, task.wrong[:, 0]]).numpy())
    runs = MaskedRuns(made.model, graph, task)
    for value, masked, score in zip(
        ends, (runs.whole, runs.empty), (scores.full, scores.empty), strict=True
    ):
        assert np.abs(masked - value).max() < 1e-5
        assert score == pytest.approx(value.mean(), abs=1e-5)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_scores_do_not_depend_on_memory_and_order(method: Any) -> None:
    """On a model that sees ahead; the limit makes portions of a few prompts."""
    trained = interchange_trained("interchange_sort")
    task = trained.task(40)
    whole = discover(trained.model, task, method, n_edges=1).scores.examples
    order = np.random.default_rng(0).permutation(len(task)).tolist()
    turned = discover(trained.model, task[order], method, n_edges=1).scores.examples
    tight = discover(trained.model, task, method, n_edges=1, max_memory="32.5 MB").scores.examples
    metric, largest = metric_named(task.metric), np.abs(whole).max()
    portions = DiscoveryProblem(trained.model, task, trained.graph, metric, max_memory=32_500_000)
    assert len(portions.divided(2.0)[1]) > 3 and largest > 1e-3
    assert np.abs(turned - whole[order]).max() < 1e-4 * largest
    assert np.abs(tight - whole).max() < 1e-4 * largest
