"""What a harvest costs over the bare passes that stop at the site, its memory, and a batch's cost.

A GPT-2-small-shaped random model, rows of random tokens, the stream after block 5 (and three sites
at once). Bare passes and harvests take turns, so that other work on the machine hits both; times
are of the processor, and the ratio is the median over the rounds. The bare pass runs the same
batches with a hook that raises after the last block that is needed, and keeps nothing. Memory is
the peak of a process's own (not mapped) pages above the loaded model, for two lengths of text.

    python benchmarks/run_harvest.py [--rows 96] [--tokens 128] [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from time import process_time
from typing import Any

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import residuum as rz
from residuum.dictionaries import ShardSource, harvest, live_source
from residuum.stores import TokenRows, TokenShards

REACH, LAYER, BATCH = 1.2, 5, 16
SITES = {"one": [f"L{LAYER}.resid_post"], "three": ["L3.resid_post", "L4.mlp_out", "L5.mlp_out"]}


class Stop(Exception):
    """The last block that is needed has been run."""


def shaped(small: bool = False) -> rz.Model:
    torch.manual_seed(0)
    sizes = {"n_layer": 4, "n_head": 4, "n_embd": 128, "vocab_size": 1000} if small else {}
    return rz.load(GPT2LMHeadModel(GPT2Config(**sizes)).eval(), check=False)


def drawn(model: rz.Model, rows: int, tokens: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, model.d_vocab, (rows, tokens)))


def bare(model: rz.Model, ids: torch.Tensor) -> None:
    def stop(*_: Any) -> None:
        raise Stop

    handle = model.hf.transformer.h[LAYER].register_forward_hook(stop)
    try:
        for start in range(0, len(ids), BATCH):
            with torch.no_grad():
                try:
                    model.hf(ids[start : start + BATCH], use_cache=False)
                except Stop:
                    continue
    finally:
        handle.remove()


def clock(work: Callable[[], Any]) -> float:
    start = process_time()
    work()
    return process_time() - start


def ratios(rows: int, tokens: int, rounds: int) -> dict[str, float]:
    model = shaped()
    ids = drawn(model, rows, tokens)

    def kept(sites: list[str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            harvest(model, ids, sites, keep=f"{folder}/a", batch_size=BATCH)

    def streamed() -> None:  # the norm rule would run the first 4096 tokens once more
        source = live_source(model, ids, SITES["one"], batch_size=BATCH, epochs=1, skip=())
        assert sum(len(batch.values) for batch in source.batches(1024)) == ids.numel()

    works: dict[str, Callable[[], Any]] = {
        "bare": lambda: bare(model, ids),
        "harvest_one_site": lambda: kept(SITES["one"]),
        "harvest_three_sites": lambda: kept(SITES["three"]),
        "live_one_site": streamed,
    }
    for work in works.values():
        work()
    taken = [{name: clock(work) for name, work in works.items()} for _ in range(rounds)]
    found = {"bare_s": statistics.median(each["bare"] for each in taken)}
    for name in list(works)[1:]:
        each = [one[name] / one["bare"] for one in taken]
        found[f"{name}_over_bare"] = statistics.median(each)
        found[f"{name}_over_bare_lowest"] = min(each)
        found[f"{name}_over_bare_highest"] = max(each)
    return found


def batch_seconds(folder: Path, n: int) -> float:
    """Seconds for a shuffled batch of 1024 from a harvest of ``n`` tokens of width 64."""
    shards = TokenShards.open(folder, {"n": n}, ["L0.embed"], 64, count=1)
    column = np.zeros(n, "i4")
    values = np.ones((n, 1, 64), "f2")
    shards.write(0, TokenRows(column, column, column, np.ones((n, 1), "f4"), values))
    batches = ShardSource(shards, [n], {}, 0, None).batches(1024)
    next(batches)
    return min(clock(lambda: next(batches)) for _ in range(30))


def own_pages_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def peak_mb(rows: int) -> float:
    """Peak of own pages above the loaded model, of a harvest by a small model."""
    model = shaped(small=True)
    harvest(model, drawn(model, 256, 64), "L2.resid_post", rows_per_shard=8192)
    ids, done, seen = drawn(model, rows, 64), Event(), [own_pages_mb()]
    before = seen[0]

    def watch() -> None:
        while not done.wait(0.002):
            seen.append(own_pages_mb())

    thread = Thread(target=watch)
    thread.start()
    harvest(model, ids, "L2.resid_post", rows_per_shard=8192)
    done.set()
    thread.join()
    return max(seen) - before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print(peak_mb(arguments.peak))
        return 0
    found: dict[str, Any] = {"rows": arguments.rows, "tokens": arguments.tokens}
    found |= ratios(arguments.rows, arguments.tokens, arguments.rounds)
    for rows in (2000, 8000):
        command = [sys.executable, __file__, "--peak", str(rows)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[f"peak_mb_{rows * 64}_tokens"] = float(done.stdout.split()[-1])
    with tempfile.TemporaryDirectory() as folder:
        for n in (10**4, 10**6):
            found[f"batch_1024_ms_of_{n}_tokens"] = 1e3 * batch_seconds(Path(folder) / str(n), n)
    for name, value in found.items():
        print(f"{name:36} {value:10.3f}" if isinstance(value, float) else f"{name:36} {value:10}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if found["harvest_one_site_over_bare"] <= REACH else 1


if __name__ == "__main__":
    raise SystemExit(main())
