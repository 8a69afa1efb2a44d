"""Exact edges against one forward pass an edge, and a hundred circuits in one call.

A GPT-2-small-shaped random model and four pairs of 15 tokens that differ at position 10.

*Exact edges*: the forked sweep of a random part of the 32,491 edges (``--edges 0``: of all), drawn
with a seed, against whole passes with one edit each, measured on a few edges and scaled to as many.
Edges of one sender into one layer share a projection; a part shares less, and costs more an edge.

*A hundred circuits*: one ``MaskedRuns.metric`` of a hundred random connected circuits against one
evaluation of one circuit, and against a bare run.

Beside both stands the counted bound: multiply-adds of what can differ, in passes over all tokens
without unembedding; a whole pass unembeds every token too, and is counted with that. Time is the
processor's, of one thread; the machine's load is written down.

    python benchmarks/run_circuits.py [--edges 2000] [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import peers
import torch

import residuum as rz
from residuum.circuits import DiscoveryProblem, Graph, MaskedRuns, graph_of, random_circuits
from residuum.circuits.discovery.exact import measure_edges
from residuum.runs import metric_named

PAIRS, LENGTH, DIFFER_AT = 4, 15, 10
CIRCUITS, SHARE = 100, 0.1
SAME = 1e-4
"""Largest difference of effects allowed, in logits."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=2000, help="0: all of them")
    parser.add_argument("--passes", type=int, default=12, help="edges measured by whole passes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    hf = peers.gpt2_small_shape()
    model, task = rz.load(hf), pairs_task()
    graph = graph_of(model)
    found: dict[str, Any] = {
        "machine": peers.machine(),
        "load": os.getloadavg()[0],
        "time": "processor seconds of one thread",
        "prompts": [PAIRS, LENGTH, DIFFER_AT],
        "edges": graph.n_edges,
        "pass": passes_of(hf, model, task, options.rounds),
    }
    found["exact edges"] = exact_edges(model, task, graph, options.edges, options.passes)
    show("exact edges", found["exact edges"])
    body = found["pass"]["without unembedding"]
    found["circuits"] = circuits(model, task, graph, options.rounds, body, found["pass"]["bare"])
    show("circuits", found["circuits"])
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if found["exact edges"]["largest difference"] <= SAME else 1


def pairs_task() -> rz.Task:
    draw = torch.Generator().manual_seed(0)
    clean = torch.randint(0, 50257, (PAIRS, LENGTH), generator=draw)
    corrupt = clean.clone()
    corrupt[:, DIFFER_AT] = torch.randint(0, 50257, (PAIRS,), generator=draw)
    answers, wrong = torch.randint(0, 50257, (2, PAIRS), generator=draw)
    return rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=answers, wrong=wrong)


def seconds(work: Callable[[], Any]) -> float:
    start = process_time()
    work()
    return process_time() - start


def passes_of(hf: Any, model: rz.Model, task: rz.Task, rounds: int) -> dict[str, float]:
    """Seconds of a bare pass over the clean prompts, and of one without its logits."""
    with torch.no_grad():
        hf.transformer(input_ids=task.clean)
        return {
            "bare": median(seconds(lambda: hf(input_ids=task.clean)) for _ in range(3 * rounds)),
            "without unembedding": median(
                seconds(lambda: hf.transformer(input_ids=task.clean)) for _ in range(3 * rounds)
            ),
        }


# -- exact edges -------------------------------------------------------------------------------


def exact_edges(
    model: rz.Model, task: rz.Task, graph: Graph, count: int, passes: int
) -> dict[str, Any]:
    """Both ways to measure edges, and the least there is to compute."""
    draw = np.random.default_rng(0)
    every = np.arange(graph.n_edges)
    some = every if count == 0 else np.sort(draw.choice(every, count, replace=False))
    few = np.sort(draw.choice(some, passes, replace=False))
    made: dict[str, Any] = {}

    def measure(edges: np.ndarray, engine: str) -> tuple[float, float]:
        problem = DiscoveryProblem(model, task, graph, metric_named(task.metric))
        spent = seconds(lambda: made.update({engine: measure_edges(problem, edges, engine)}))
        return spent, problem.passes

    setup = measure(few[:0], "naive")[0]
    naive = (measure(few, "naive")[0] - setup) / passes
    forked, spent = measure(some, "forked")
    at = np.searchsorted(some, few)
    apart = np.abs(made["forked"].examples[:, at] - made["naive"].examples).max()
    least = bound(model, graph, some)
    whole = 1 + model.d_vocab / (model.n_layers * tokens_cost(model, LENGTH) / model.dims.d_model)
    ratio, most = naive * len(some) / forked, whole * len(some) / least
    return {
        "measured": len(some),
        "seed": 0,
        "measured by whole passes": passes,
        "seconds": forked,
        "seconds of all, scaled": forked / len(some) * graph.n_edges,
        "seconds of a whole pass": naive,
        "passes": spent,
        "ratio": ratio,
        "counted passes": least,
        "passes counted for a whole one": whole,
        "bound": most,
        "share of the bound": ratio / most,
        "largest difference": float(apart),
    }


def bound(model: rz.Model, graph: Graph, edges: np.ndarray) -> float:
    """Passes over all tokens, without unembedding, that these edges take at least.

    Counted in matrix products, attention included: the clean run, the reference where it differs,
    and for each edge what it changes: a projection of the head that reads it, that head's
    attention and output, the MLP of the layer, and all later layers, from the first position that
    differs on; in the last layer queries, outputs and MLP of the answer's position alone. Of the
    embedding one position differs. Edges into the logits take no pass.
    """
    whole = LENGTH * model.n_layers * tokens_cost(model, LENGTH)
    tail = LENGTH - DIFFER_AT
    total = whole + tail * model.n_layers * tokens_cost(model, LENGTH)
    for number in edges.tolist():
        sender, receiver = graph.edges[number].tolist()
        reads = graph.receivers[receiver]
        if isinstance(reads.layer, int):
            own = 1 if graph.senders[sender].name == "embed" else tail
            total += edge_cost(model, reads.layer, reads.name, own, tail)
    return total / whole


def tokens_cost(model: rz.Model, keys: int) -> int:
    """Multiply-adds of a block for each token."""
    d = model.dims.d_model
    return 4 * d * d + 2 * keys * d + 8 * d * d


def edge_cost(model: rz.Model, layer: int, reads: str, own: int, tail: int) -> int:
    """Multiply-adds of one edge into a layer.

    Args:
        own: positions at which the edge differs.
        tail: positions from the first of them on.
    """
    d, d_head, last = model.dims.d_model, model.dims.d_head, model.n_layers - 1
    written = own if reads in ("q_in", "mlp_in") else tail
    if layer == last:
        written = 1
        own = 1 if reads in ("q_in", "mlp_in") else own
    cost = written * 8 * d * d
    if reads != "mlp_in":
        cost += own * d * d_head + written * 2 * LENGTH * d_head + written * d_head * d
    later = max(0, last - layer - 1) * tail * tokens_cost(model, LENGTH)
    if layer < last:
        later += tail * 2 * d * d + 10 * d * d + 2 * LENGTH * d
    return cost + later


# -- a hundred circuits ------------------------------------------------------------------------


def circuits(
    model: rz.Model, task: rz.Task, graph: Graph, rounds: int, body: float, bare: float
) -> dict[str, Any]:
    """A hundred random circuits in one call, against one evaluation of one of them."""
    kept = random_circuits(graph, round(SHARE * graph.n_edges), CIRCUITS, seed=0)
    runs = MaskedRuns(model, graph, task)
    ready = seconds(lambda: runs.empty)
    one = [seconds(lambda at=at: runs.metric(kept[at])) for at in range(2 * rounds)]
    before = runs.work
    many = seconds(lambda: runs.metric(kept))
    after = runs.work
    least = (after.bound - before.bound) / CIRCUITS
    return {
        "circuits": CIRCUITS,
        "edges of each": round(SHARE * graph.n_edges),
        "reference": runs.reference,
        "circuits at once": runs.portions.circuits,
        "seconds to make ready": ready,
        "seconds of one alone": median(one),
        "seconds of all": many,
        "times one alone": many / median(one),
        "bare runs for each": many / CIRCUITS / bare,
        "passes for each": (after.passes - before.passes) / CIRCUITS,
        "counted passes for each": least,
        "share of the bound": least * body / (many / CIRCUITS),
    }


def show(name: str, found: dict[str, Any]) -> None:
    print(name)
    for key, value in found.items():
        print(f"    {key}: {value:.4g}" if isinstance(value, float) else f"    {key}: {value}")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
