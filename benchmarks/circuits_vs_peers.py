"""Edge attribution against TransformerLens: same scores, how many times less processor time.

A GPT-2-small-shaped random model, pairs of 15 tokens that differ at one position; all 32,491 edges.
TransformerLens scores each edge at each position, at the corrupt run and towards clean; its scores
are summed over positions here and compared with ours at the other end (the pairs swapped), with the
sign turned. Both sides run in one process, in turn; what is compared is processor time (the machine
may be busy with other things). Memory is the peak of each side in a process of its own.

    python benchmarks/circuits_vs_peers.py [--pairs 4] [--json FILE] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import peers
import torch

import residuum as rz
from residuum.circuits import EAP, EAPIG, DiscoveryProblem, graph_of
from residuum.runs import metric_named

LENGTH = 15
REACH, STEPS = 2.0, 5
_KINDS = {"q_input": "q_in", "k_input": "k_in", "v_input": "v_in"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="one case, one round, no memory")
    parser.add_argument("--side", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help="only the memory, into FILE as it is")
    options = parser.parse_args()
    if options.side:
        print(json.dumps(_peak(options.side, options.pairs)))
        return 0
    if options.memory:
        return _memory_alone(options)
    model = rz.load(peers.gpt2_small_shape())
    bridge = peers.transformer_lens_bridge(peers.gpt2_small_shape())
    results: dict[str, Any] = {
        "machine": peers.machine(),
        "load": os.getloadavg()[0],
        "time": "processor seconds of the whole process",
        "pairs": options.pairs,
    }
    for differ_at in (10,) if options.quick else (10, 0):
        task = _task(options.pairs, differ_at)
        rounds = 1 if options.quick else options.rounds
        label = f"all edges, differing at {differ_at}"
        results[label] = _case(model, bridge, task, differ_at, rounds)
        _show(label, results[label])
    if not options.quick:
        results["memory"] = _memory(options.pairs, bridge is not None)
        print(f"memory: {results['memory']}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 0


def _memory_alone(options: argparse.Namespace) -> int:
    """Measure the memory again and leave the other figures of the file as they are."""
    results = json.loads(options.json.read_text())
    results["memory"] = _memory(options.pairs, both=True)
    options.json.write_text(json.dumps(results, indent=1))
    print(f"memory: {results['memory']}")
    return 0


def _task(pairs: int, differ_at: int) -> rz.Task:
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(0, 50257, (pairs, LENGTH), generator=generator)
    corrupt = clean.clone()
    corrupt[:, differ_at] = torch.randint(0, 50257, (pairs,), generator=generator)
    answers, wrong = torch.randint(0, 50257, (2, pairs), generator=generator)
    return rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=answers, wrong=wrong)


def _scored(model: Any, task: rz.Task, method: Any) -> Any:
    return method.score(DiscoveryProblem(model, task, graph_of(model), metric_named(task.metric)))


def _case(model: Any, bridge: Any, task: rz.Task, differ_at: int, rounds: int) -> dict[str, Any]:
    """Processor seconds of both sides in turn, and how far their scores are apart."""
    swapped = task.swap(answers=False)
    ours, ig, theirs, bare = [], [], [], []
    scores = _scored(model, swapped, EAP())
    found: dict[str, Any] = {"edges": scores.graph.n_edges, "passes": scores.passes}
    for _ in range(rounds):
        ours.append(_cpu(lambda: _scored(model, swapped, EAP())))
        ig.append(_cpu(lambda: _scored(model, swapped, EAPIG(STEPS))))
        bare.append(_cpu(lambda: model.run(task.clean)))
        if bridge is not None:
            start = time.process_time()
            edges = _theirs(bridge, task)
            theirs.append(time.process_time() - start)
            found["largest difference"] = _gap(scores, edges)
    found["seconds"] = statistics.median(ours)
    found["forward passes of a bare run in that time"] = _ratio(ours, bare)
    found[f"EAP-IG with {STEPS} steps, times EAP"] = _ratio(ig, ours)
    found["bound"] = _bound(model, differ_at)
    if theirs:
        found["their seconds"] = statistics.median(theirs)
        found["ratio"] = _ratio(theirs, ours)
        found["reach"] = REACH
    return found


def _cpu(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _ratio(over: list[float], under: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def _theirs(bridge: Any, task: rz.Task) -> Any:
    """TransformerLens's own edge attribution, its call as documented, example by example.

    The metric is a function of one example's logits and does not know which; so one call for each
    pair, as its user would write it where answers differ.
    """
    from transformer_lens.tools.analysis.attribution_patching import (
        EdgeAttributionConfig,
        attribution_patch,
    )

    found = []
    for row in range(len(task)):
        right, wrong = int(task.answers[row, 0]), int(task.wrong[row, 0])

        def metric(logits: torch.Tensor, right: int = right, wrong: int = wrong) -> torch.Tensor:
            return logits[0, -1, right] - logits[0, -1, wrong]

        pair = (side[row : row + 1] for side in (task.clean, task.corrupt))
        config = EdgeAttributionConfig(granularity="edge")
        found.append(attribution_patch(bridge, *pair, metric, config=config).edge_scores)
    return found


def _gap(scores: Any, theirs: list[Any]) -> float:
    """Largest difference relative to the largest score, every edge and example compared."""
    graph = scores.graph
    sums = np.zeros_like(scores.examples)
    place = {name: number for number, name in enumerate(graph.names)}
    seen = np.zeros(graph.n_edges, dtype=bool)
    for row, edges in enumerate(theirs):
        for (writer, reader), value in edges.items():
            number = place[f"{_name(writer)} -> {_name(reader)}"]
            sums[row, number] += value
            seen[number] = True
    assert seen.all() and np.abs(sums).max() > 0, "not every edge was compared"
    return float(np.abs(scores.examples + sums).max() / np.abs(sums).max())


def _name(node: Any) -> str:
    if node.kind in ("embed", "logits"):
        return str(node.kind)
    if node.kind == "attn_head_out":
        return f"L{node.layer}.head_out[H{node.head}]"
    if node.kind in _KINDS:
        return f"L{node.layer}.{_KINDS[node.kind]}[H{node.head}]"
    return f"L{node.layer}.{node.kind}"


def _bound(model: Any, differ_at: int) -> dict[str, float]:
    """Multiply-adds that must be made, in forward passes over all tokens without unembedding.

    What must be: the clean run, the reference from its first difference on, the way back of the
    activations from there on (no gradients of weights), and one product for each edge and token.
    """
    d, layers = model.dims.d_model, model.n_layers
    forward = LENGTH * layers * 12 * d * d
    tail = (LENGTH - differ_at) / LENGTH
    edges = (LENGTH - differ_at) * graph_of(model).n_edges * d
    return {"must be made": 1 + 2 * tail + edges / forward}


def _peak(side: str, pairs: int) -> dict[str, float]:
    """What a side takes at most beyond its loaded model, in a process of its own.

    Each side scores one pair first, so that what is set up once is not counted.
    """
    task, hf = _task(pairs, 0), peers.gpt2_small_shape()
    if side == "theirs":
        bridge = peers.transformer_lens_bridge(hf)

        def work(some: rz.Task) -> None:
            _theirs(bridge, some)
    else:
        model = rz.load(hf)

        def work(some: rz.Task) -> None:
            _scored(model, some, EAP())

    work(task[:1])
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = _status("VmRSS")
    work(task)
    return {"MB beyond the loaded model": _status("VmHWM") - before, "MB before": before}


def _status(name: str) -> float:
    """A line of this process's own status, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def _memory(pairs: int, both: bool) -> dict[str, Any]:
    found = {}
    for side in ("ours", "theirs") if both else ("ours",):
        command = [sys.executable, __file__, "--side", side, "--pairs", str(pairs)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found[side] = json.loads(out.splitlines()[-1])
    return found


def _show(label: str, found: dict[str, Any]) -> None:
    line = f"{label}: {found['edges']} edges in {found['seconds']:.2f} processor seconds"
    line += f" ({found['forward passes of a bare run in that time']:.1f} bare runs)"
    line += f"; EAP-IG {found[f'EAP-IG with {STEPS} steps, times EAP']:.1f} times that"
    line += f" (reach {STEPS + 1}); bound {found['bound']['must be made']:.1f} passes"
    if "ratio" in found:
        line += f"\n    TransformerLens {found['their seconds']:.1f}: {found['ratio']:.1f}x"
        line += f" (reach {REACH}); largest difference {found['largest difference']:.1e}"
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
