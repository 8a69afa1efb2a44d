"""What sweeps and masked runs find on compiled programs is within the known edges."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import residuum as rz
from residuum.circuits import EAP, ExactEdges, MaskedRuns, discover
from residuum.organisms.compiled import PROGRAMS, CompiledProgram, compile_program

WITH_TASK = [name for name in PROGRAMS if name != "length"]


@cache
def compiled(name: str) -> CompiledProgram:
    return compile_program(name)


def moving_edges(made: CompiledProgram, reference: str) -> np.ndarray:
    """Edges without which the metric of some pair moves, each of them alone outside the circuit."""
    runs = MaskedRuns(made.model, made.graph, made.task(24), reference)
    without_one = ~np.eye(made.graph.n_edges, dtype=bool)
    return (np.abs(runs.metric(without_one) - runs.whole) > 1e-3).any(axis=1)


@pytest.mark.parametrize("name", WITH_TASK)
def test_masked_runs_move_only_causal_edges(name: str) -> None:
    made = compiled(name)
    for reference, truth in (("zero", "zero"), ("counterfactual", "resample")):
        moving, causal = moving_edges(made, reference), made.edges_of(truth)
        assert not (moving & ~causal).any()
        # The metric reads one token of 24 pairs, the truth every token of every prompt.
        assert moving.sum() >= causal.sum() - 1


@pytest.mark.parametrize("name", ["hist", "frac_prevs", "shift"])
def test_path_patching_finds_the_resample_causal_edges(name: str) -> None:
    made = compiled(name)
    effects = rz.path_patch(made.model, made.task(64), engine="naive").effects
    assert [str(each) for each in made.graph.senders] == effects.sender.values.tolist()
    assert [str(each) for each in made.graph.receivers] == effects.receiver.values.tolist()
    found = np.abs(effects.values)[tuple(made.graph.edges.T)] > 1e-3
    assert np.array_equal(found, made.resample_causal())


def test_forks_know_that_positions_see_later_ones() -> None:
    made = compiled("sort_unique")
    task = made.task(16)
    forked, naive = (
        rz.patch(made.model, task, sites="resid_pre", by=("layer", "pos"), engine=engine).effects
        for engine in ("forked", "naive")
    )
    assert np.abs(forked.values - naive.values).max() < 1e-5


def test_forks_are_exact_where_positions_do_not() -> None:
    made = compile_program("hist", causal=True)
    forked, naive = (
        rz.patch(made.model, made.task(16), sites="resid_pre", by=("layer", "pos"), engine=engine)
        for engine in ("forked", "naive")
    )
    assert np.abs(forked.effects.values - naive.effects.values).max() < 1e-5


def test_paths_and_edges_of_a_model_that_sees_later_tokens() -> None:
    made = compiled("sort_unique")
    task = made.task(16)
    forked, naive = (
        rz.path_patch(made.model, task, direction="noise", engine=engine).effects
        for engine in ("forked", "naive")
    )
    assert np.nanmax(np.abs(forked.values - naive.values)) < 1e-5
    edges = discover(made.model, task, ExactEdges(), n_edges=1).scores
    assert edges is not None
    assert np.abs(edges.values + naive.values[tuple(edges.graph.edges.T)]).max() < 1e-5
    gradients = discover(made.model, task, EAP(), n_edges=1).scores
    assert gradients is not None and np.isfinite(gradients.values).all()
