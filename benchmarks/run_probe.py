"""What probing every layer costs: against the bare forward passes plus the fits, and its memory.

A GPT-2-small-shaped random model, random prompts of one length read at their last token, the stream
after each of the twelve layers. One thread. Rounds alternate: passes without the unembedding (a
harvest needs none), the whole probe with its activations streamed to shards, the fits alone on
activations that are already in memory, and full passes. Times of the processor stand beside times
of the clock, which other work on the machine lengthens; the ratio is the median over rounds.

Memory is sampled every few milliseconds: the highest resident memory above that of the loaded model
and its examples, each number of examples in a process of its own.

    python benchmarks/run_probe.py [--n 512] [--tokens 8] [--rounds 3] [--json FILE]
    python benchmarks/run_probe.py --whole 20000 [--tokens 4] [--json FILE]
    python benchmarks/run_probe.py --memory 20000 [--json FILE]    adds to what FILE holds
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import peers
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import residuum as rz
from residuum.directions import activation_writer, harvest_examples
from residuum.directions.probes import probing

REACH, BATCH = 1.3, 64
SIZES = (1000, 4000, 20000)
_GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whole", type=int, help="one round of so many examples, no memory")
    parser.add_argument("--memory", type=int, nargs="+", help="only the memory of so many examples")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak:
        print(json.dumps(peak(options.peak)))
        return 0
    if options.memory:
        return add_memory(options.memory, options.json)
    n, rounds = (options.whole, 1) if options.whole else (options.n, options.rounds)
    found = {"machine": peers.machine(), **timed(n, options.tokens, rounds)}
    if not options.whole:
        found["memory"] = {str(size): in_a_process(size) for size in SIZES}
    print(json.dumps(found, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if found["ratios"]["cpu"]["probe over full passes and fits"] <= REACH else 1


def add_memory(sizes: list[int], path: Path | None) -> int:
    """Measure these sizes, and enter each into the file as soon as it is known."""
    for size in sizes:
        measured = {str(size): in_a_process(size)}
        print(json.dumps(measured))
        if path:
            found = json.loads(path.read_text())
            found["memory"] = {**found.get("memory", {}), **measured}
            path.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def shaped(small: bool = False) -> rz.Model:
    torch.manual_seed(0)
    sizes = {"n_layer": 4, "n_head": 4, "n_embd": 128, "vocab_size": 1000} if small else {}
    return rz.load(GPT2LMHeadModel(GPT2Config(**sizes)).eval(), check=False)


def labelled(model: rz.Model, n: int, tokens: int) -> rz.Examples:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, min(model.d_vocab, 50000), (n, tokens))
    return rz.Examples.from_texts(model, rows.tolist(), (rows[:, -1] % 2).tolist()).unique()


def timed(n: int, tokens: int, rounds: int) -> dict[str, Any]:
    """Seconds of each piece in each round, and the ratios' medians."""
    model = shaped()
    data = labelled(model, n, tokens)
    body(model.hf, data.subset(range(8)))
    clocks: list[dict[str, dict[str, float]]] = []
    for number in range(rounds):
        clocks.append(one_round(model, data))
        print(f"round {number}: {clocks[-1]}", file=sys.stderr, flush=True)
    ratios = {
        clock: {
            name: statistics.median(each[name] for each in map(ratio_of(clock), clocks))
            for name in ratio_of(clock)(clocks[0])
        }
        for clock in ("cpu", "wall")
    }
    return {"n": len(data), "tokens": tokens, "threads": 1, "rounds": clocks, "ratios": ratios}


def one_round(model: rz.Model, data: rz.Examples) -> dict[str, dict[str, float]]:
    found, kept = {}, []

    def timed_piece(name: str, work: Callable[[], Any]) -> None:
        found[name] = clock(work)
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)

    def in_shards(work: Callable[..., Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            work(f"{folder}/kept")

    def probe(folder: str) -> None:
        rz.probe(model, data, split_by="example", keep=folder)

    timed_piece("passes without unembedding", lambda: body(model.hf.transformer, data))
    timed_piece("probe", lambda: in_shards(probe))
    with mock.patch.object(activation_writer, "IN_MEMORY_BYTES", 2**40):
        timed_piece("harvest in memory", lambda: kept.append(harvest_examples(model, data)))
    with mock.patch.object(probing, "harvest", lambda *_, **__: kept[0]):
        timed_piece("fits", lambda: rz.probe(model, data, split_by="example"))
    timed_piece("full passes", lambda: body(model.hf, data))
    return found


def body(module: Any, data: rz.Examples) -> None:
    with torch.no_grad():
        for start in range(0, len(data), BATCH):
            module(data.ids[start : start + BATCH], use_cache=False)


def clock(work: Callable[[], Any]) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def ratio_of(clock: str) -> Callable[[dict[str, dict[str, float]]], dict[str, float]]:
    def ratios(each: dict[str, dict[str, float]]) -> dict[str, float]:
        full, bare = each["full passes"][clock], each["passes without unembedding"][clock]
        fit, whole = each["fits"][clock], each["probe"][clock]
        return {
            "probe over full passes and fits": whole / (full + fit),
            "probe over passes without unembedding and fits": whole / (bare + fit),
            "probe less fits over full passes": (whole - fit) / full,
            "probe less fits over passes without unembedding": (whole - fit) / bare,
        }

    return ratios


def in_a_process(n: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--peak", str(n)]
    env = {**os.environ, **_GIVEN_BACK}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    return json.loads(done.stdout.splitlines()[-1])


def peak(n: int) -> dict[str, float]:
    """Highest memory above the loaded model and examples, of a probe of twelve layers' shape."""
    activation_writer.IN_MEMORY_BYTES = 0
    model = rz.load(thin(), check=False)
    rz.probe(model, labelled(model, 600, 2), split_by="example")
    data = labelled(model, n, 2)
    before, most, done = resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.003):
            most[0] = max(most[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    with tempfile.TemporaryDirectory() as folder:
        rz.probe(model, data, split_by="example", keep=folder)
        stored = sum(each.stat().st_size for each in Path(folder).iterdir())
    done.set()
    watcher.join()
    return {"n": len(data), "peak_mb": (most[0] - before) / 1e6, "stored_mb": stored / 1e6}


def thin() -> Any:
    """GPT-2 small's stream (twelve layers, 768 wide) with a thin MLP: the same activations."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(n_inner=64, vocab_size=20000)).eval()


def resident() -> int:
    """Bytes of this process that are in memory, mapped files among them."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    raise SystemExit(main())
