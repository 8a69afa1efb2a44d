"""Whole trials of circuits that are none: how often they pass, and whether their p-values are even.

The model is the package's two-layer induction model (81 edges), the prompts are blocks of random
tokens of which one is repeated; ``--model microworld`` takes its ``ioi`` task instead, far slower.
Each run has its own prompts, circuit and draws; all are seeded. Three nulls:

* random: the circuit is drawn from the sampler that the trial compares with. The p-values of
  sufficiency and necessity must be uniform (Kolmogorov-Smirnov).
* labels: right and wrong answers are dealt to other prompts; a circuit is found on some prompts
  and tried on others.
* weights: the entries of every weight matrix are permuted; a circuit is found and tried as above.

Of 200 runs at most 18 may pass the whole trial at 5 % (at a true rate of 5 % more do in less than
1 % of such counts). Beside them, what is no null: the circuit of the hand-set induction model,
known by construction (``known``: most must pass, or the trial could pass nothing), and circuits
found on the intact model with its own labels (``intact``: no bound).

    python benchmarks/run_trial_calibration.py [--runs 200] [--model NAME] [--edges 12]
        [--pairs 16] [--nulls random labels weights known intact] [--json FILE]

What the file holds of other nulls is kept, so that they can be run apart.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import peers
import torch

import residuum as rz
from residuum.circuits import (
    EAP,
    Circuit,
    Graph,
    circuit_from_edges,
    discover,
    graph_of,
    random_circuits,
    trial,
)
from residuum.models.handset import INDUCTION, PREVIOUS

ALPHA, ALLOWED_IN_200, KS_LEAST = 0.05, 18, 0.01
PAIRS, BLOCK = 16, 7
APART = [(i, j) for i in range(BLOCK - 1) for j in range(BLOCK - 1) if abs(i - j) > 1]
"""Places in a block of A and C, whose neighbours are others."""
MOST_FRAC = 0.9
KNOWN = (
    f"embed -> L0.v_in[H{PREVIOUS}]",
    f"L0.head_out[H{PREVIOUS}] -> L1.k_in[H{INDUCTION}]",
    f"L1.head_out[H{INDUCTION}] -> logits",
)
"""All along which the two prompts of a pair differ in the hand-set model."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--model", default="induction_2l")
    parser.add_argument("--edges", type=int, default=12)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--nulls", nargs="+", default=list(NULLS), choices=list(NULLS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = rz.load(options.model)
    found: dict[str, Any] = {
        "machine": peers.machine(),
        "model": options.model,
        "graph_edges": graph_of(model).n_edges,
        "circuit_edges": options.edges,
        "pairs": options.pairs,
        "alpha": ALPHA,
    }
    for name in options.nulls:
        runs = [
            NULLS[name](model, seed, options.edges, options.pairs) for seed in range(options.runs)
        ]
        found[name] = summary(runs, name)
        print(name, json.dumps({k: v for k, v in found[name].items() if k != "p"}), flush=True)
        if options.json:
            before = json.loads(options.json.read_text()) if options.json.exists() else {}
            others = {key: before[key] for key in NULLS if key in before}
            options.json.write_text(json.dumps(others | found, indent=1) + "\n")
    return 0 if all(found[name].get("met", True) for name in options.nulls) else 1


# -- prompts -----------------------------------------------------------------------------------


def prompts(model: rz.Model, n: int, seed: int) -> rz.Task:
    """``0 A B … C D … A`` → B against ``0 C B … A D … A``; of microworld its own task."""
    if model.tokenizer is not None:
        return rz.task("ioi", model, n=n, seed=seed)
    draw = np.random.default_rng(seed)
    clean = np.zeros((n, BLOCK + 2), dtype=np.int64)
    corrupt, right, wrong = clean.copy(), clean[:, 0].copy(), clean[:, 0].copy()
    for row in range(n):
        block = 1 + draw.permutation(model.d_vocab - 1)[:BLOCK]
        first, second = APART[draw.integers(len(APART))]
        clean[row, 1:] = [*block, block[first]]
        corrupt[row] = clean[row]
        corrupt[row, [1 + first, 1 + second]] = block[second], block[first]
        right[row], wrong[row] = block[first + 1], block[second + 1]
    return from_arrays(clean, corrupt, right, wrong)


def from_arrays(*arrays: np.ndarray) -> rz.Task:
    names = ("clean", "corrupt", "answers", "wrong")
    given = {name: torch.from_numpy(each) for name, each in zip(names, arrays, strict=True)}
    return rz.Task.from_pairs(**given)


def with_other_labels(task: rz.Task, seed: int) -> rz.Task:
    """Right and wrong answers of other prompts, and in half of them exchanged."""
    draw = np.random.default_rng(seed)
    order, flip = draw.permutation(len(task)), torch.from_numpy(draw.random(len(task)) < 0.5)
    right, wrong = task.answers[order], task.wrong[order]
    swapped = torch.where(flip[:, None], wrong, right), torch.where(flip[:, None], right, wrong)
    return rz.Task.from_pairs(
        clean=task.clean, corrupt=task.corrupt, answers=swapped[0], wrong=swapped[1]
    )


def with_permuted_weights(model: rz.Model, seed: int) -> rz.Model:
    """The same entries in every weight matrix, at other places."""
    other = copy.deepcopy(model.hf)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in other.parameters():
            if weight.ndim > 1:
                order = torch.randperm(weight.numel(), generator=draw)
                weight.copy_(weight.flatten()[order].reshape(weight.shape))
    return rz.load(other)


# -- the nulls ---------------------------------------------------------------------------------


def random_run(model: rz.Model, seed: int, edges: int, pairs: int) -> Any:
    """A circuit from the sampler, on prompts of its own."""
    graph = graph_of(model)
    kept = random_circuits(graph, edges, 1, seed=10**6 + seed)[0]
    circuit = Circuit(graph, kept, provenance=model.provenance())
    return tried(circuit, model, prompts(model, pairs, seed), seed)


def labels_run(model: rz.Model, seed: int, edges: int, pairs: int) -> Any:
    """Found and tried with the answers of other prompts."""
    first, second = (
        with_other_labels(prompts(model, pairs, 2 * seed + half), 2 * seed + half)
        for half in (0, 1)
    )
    return tried(discover(model, first, EAP(), n_edges=edges), model, second, seed, first)


def weights_run(model: rz.Model, seed: int, edges: int, pairs: int) -> Any:
    """Found and tried on permuted weights."""
    return intact_run(with_permuted_weights(model, seed), seed, edges, pairs)


def intact_run(model: rz.Model, seed: int, edges: int, pairs: int) -> Any:
    """Found on some prompts, tried on others: no null."""
    first, second = (prompts(model, pairs, 2 * seed + half) for half in (0, 1))
    return tried(discover(model, first, EAP(), n_edges=edges), model, second, seed, first)


def known_run(model: rz.Model, seed: int, edges: int, pairs: int) -> Any:
    """The hand-set circuit, on prompts of its own; its edges and model whatever was asked for."""
    hand, graph = hand_set()
    circuit = circuit_from_edges(graph, KNOWN, provenance=hand.provenance())
    return tried(circuit, hand, prompts(hand, pairs, seed), seed, outside=True)


@cache
def hand_set() -> tuple[rz.Model, Graph]:
    model = rz.load("handmade_induction")
    return model, graph_of(model)


def tried(
    circuit: Circuit,
    model: rz.Model,
    task: rz.Task,
    seed: int,
    found_on: rz.Task | None = None,
    outside: bool = False,
) -> Any:
    return trial(
        circuit,
        model,
        task,
        alpha=ALPHA,
        references=["counterfactual"],
        found_on=found_on,
        same_prompts=True,
        outside=outside,
        seed=seed,
    )


NULLS: dict[str, Callable[[rz.Model, int, int, int], Any]] = {
    "random": random_run,
    "labels": labels_run,
    "weights": weights_run,
    "known": known_run,
    "intact": intact_run,
}


# -- what came out -----------------------------------------------------------------------------


def summary(runs: list[Any], name: str) -> dict[str, Any]:
    """How many passed, by test and as a whole, and whether p-values are even."""
    tests = [each.test for each in runs[0].verdicts]
    whole = sum(each.verdict.startswith("passes") for each in runs)
    p = {test: [each[test].p for each in runs] for test in ("sufficiency", "necessity")}
    out: dict[str, Any] = {
        "runs": len(runs),
        "pass_whole_trial": whole,
        "hold": {test: sum(each[test].holds is True for each in runs) for test in tests},
        "untested": {test: sum(each[test].holds is None for each in runs) for test in tests},
        "p_at_most_alpha": {test: sum(each[test].p <= ALPHA for each in runs) for test in tests},
        "ks_p": {test: ks_p(values) for test, values in p.items()},
        "p": p,
    }
    if name == "intact":
        return out
    if name == "known":
        return out | {"met": whole >= MOST_FRAC * len(runs)}
    out["allowed"] = allowed(len(runs))
    out["met"] = whole <= out["allowed"]
    if name == "random":
        out["met"] = out["met"] and min(out["ks_p"].values()) >= KS_LEAST
    return out


def allowed(runs: int) -> int:
    """18 of 200, and of another number as improbable a count at a true rate of 5 %."""
    bound = _above(ALLOWED_IN_200, 200)
    return next(k for k in range(runs + 1) if _above(k, runs) <= bound)


def _above(k: int, n: int) -> float:
    """Probability of more than ``k`` of ``n`` at a rate of alpha."""
    return sum(math.comb(n, i) * ALPHA**i * (1 - ALPHA) ** (n - i) for i in range(k + 1, n + 1))


def ks_p(values: list[float]) -> float:
    """Two-sided Kolmogorov-Smirnov p of uniformity on (0, 1), with Stephens's correction."""
    ordered, n = np.sort(values), len(values)
    steps = np.arange(n + 1) / n
    distance = float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))
    x = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance
    if x < 0.2:
        return 1.0
    return min(1.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 101)))


if __name__ == "__main__":
    sys.exit(main())
