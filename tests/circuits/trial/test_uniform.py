"""Circuits from the sampler itself have uniform p-values: synthetic effects, no model."""

from __future__ import annotations

import numpy as np
import pytest
from kolmogorov import ks_p
from test_random_circuits import GRAPHS

from residuum.circuits import random_circuits
from residuum.circuits.trial import verdicts
from residuum.circuits.trial.measured import drawn_for, measure

GRAPH = GRAPHS["attention only"]
RULES = verdicts.Rules(0.1, 0.05, 0.5, "units", None, False, 0)


class Additive:
    """Every edge adds its own effect, and each example has its own level."""

    def __init__(self, seed: int, effects: np.ndarray | None = None, n: int = 8) -> None:
        draw = np.random.default_rng(seed)
        self.level = draw.normal(size=n)
        self.effects = draw.normal(size=(GRAPH.n_edges, n)) if effects is None else effects

    def metric(self, kept):
        return np.asarray(kept, dtype=np.float64) @ self.effects + self.level


def tried(kept, runs, seed, n=39, outside=False):
    drawn = drawn_for(GRAPH, kept, n, outside=outside, seed=seed)
    found = measure(runs, kept, drawn, "counterfactual")
    return {
        "sufficiency": verdicts.sufficiency(found, RULES).p,
        "necessity": verdicts.necessity(found, kept, drawn.removed, RULES).p,
    }


def test_circuits_from_the_sampler_have_uniform_p_values():
    found = [
        tried(random_circuits(GRAPH, 8, 1, seed=10**6 + seed)[0], Additive(seed), seed)
        for seed in range(200)
    ]
    for test in ("sufficiency", "necessity"):
        assert ks_p([each[test] for each in found]) > 0.05, test


def test_a_circuit_that_was_chosen_for_its_effects_has_small_ones():
    for seed in range(5):
        runs = Additive(seed, np.abs(Additive(seed).effects))
        best = np.argsort(-runs.effects.mean(axis=1))[:8]
        kept = np.zeros(GRAPH.n_edges, dtype=bool)
        kept[best] = True
        assert max(tried(kept, runs, seed).values()) <= 2 / 40


def test_an_edge_that_is_like_those_added_has_a_uniform_p_value():
    """One edge of the circuit is a random addition itself."""
    found = []
    for seed in range(200):
        kept = random_circuits(GRAPH, 8, 1, seed=seed)[0]
        drawn = drawn_for(GRAPH, kept, 20, outside=False, seed=seed)
        inflated, edge = drawn.inflated[0], drawn.added[0]
        again = drawn_for(GRAPH, inflated, 20, outside=False, seed=10**6 + seed)
        measured = measure(Additive(seed), inflated, again, "counterfactual")
        effects = verdicts.edge_effects(measured)
        assert effects is not None
        found.append(effects.p[measured.edges.tolist().index(edge)])
    assert ks_p(found) > 0.05


def test_what_is_measured_is_what_its_names_say():
    kept = random_circuits(GRAPH, 8, 1, seed=4)[0]
    runs, drawn = Additive(4), drawn_for(GRAPH, kept, 10, outside=True, seed=1)
    found = measure(runs, kept, drawn, "mean", sign=-1.0)
    for name, circuits in {
        "full": np.ones_like(kept),
        "empty": np.zeros_like(kept),
        "circuit": kept,
        "rest": ~kept,
        "random": drawn.circuits,
        "random_rest": ~drawn.removed,
        "inflated": drawn.inflated,
    }.items():
        np.testing.assert_allclose(getattr(found, name), -runs.metric(circuits), err_msg=name)
    for row, edge in enumerate(found.edges):
        np.testing.assert_allclose(found.circuit - found.without[row], -runs.effects[edge])
    for row, edge in enumerate(drawn.added):
        np.testing.assert_allclose(found.inflated[row] - found.deflated[row], -runs.effects[edge])
    assert not (drawn.removed & kept).any()


@pytest.mark.parametrize("margin, holds", [(0.1, True), (0.01, False)])
def test_equivalence_asks_for_the_margin(margin, holds):
    """All but a twentieth of the gap."""
    effects = np.repeat(np.r_[0.95, np.zeros(GRAPH.n_edges - 2), 0.05][:, None], 16, axis=1)
    kept = np.zeros(GRAPH.n_edges, dtype=bool)
    kept[0] = True
    drawn = drawn_for(GRAPH, random_circuits(GRAPH, 1, 1)[0], 20, outside=False, seed=0)
    found = measure(Additive(0, effects, 16), kept, drawn, "mean")
    rules = verdicts.Rules(margin, 0.05, 0.5, "units", None, False, 0)
    (verdict,) = verdicts.judged([verdicts.equivalence(found, rules)], 0.05)
    assert verdict.holds is holds
    assert verdict.statistic == pytest.approx(0.05)
