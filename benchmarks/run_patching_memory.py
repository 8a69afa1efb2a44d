"""How much memory a sweep takes beyond the model, against the budget that it was given.

Every head at every position on the GPT-2-small shape, 8 pairs of 32 tokens that differ at position
24, for several budgets, each in a process of its own. Measured is the highest resident memory
during the sweep, less that before it; freed memory is given back to the system at once (glibc's
thresholds), so that what the allocator hoards does not count.

    python benchmarks/run_patching_memory.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import peers
import torch

import residuum as rz

BUDGETS = ("200 MB", "500 MB", "2 GB")
_GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--budget", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.budget:
        print(json.dumps(_measured(options.budget)))
        return 0
    results: dict[str, Any] = {"machine": peers.machine(), "budgets": {}}
    for budget in BUDGETS:
        command = [sys.executable, __file__, "--budget", budget]
        env = {**os.environ, **_GIVEN_BACK}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
        found = json.loads(done.stdout.splitlines()[-1])
        results["budgets"][budget] = found
        print(
            f"{budget}: peak {found['peak'] / 1e6:.0f} MB over the model, "
            f"{found['cells']} cells in {found['seconds']:.1f} s",
            flush=True,
        )
        assert found["peak"] <= found["budget"], "the budget was exceeded"
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 0


def _measured(budget: str) -> dict[str, Any]:
    from residuum.runs import memory_in_bytes

    model = rz.load(peers.gpt2_small_shape())
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(0, 50257, (8, 32), generator=generator)
    corrupt = clean.clone()
    corrupt[:, 24] = (clean[:, 24] + 1) % 50257
    task = rz.Task.from_pairs(
        clean=clean, corrupt=corrupt, answers=clean[:, 5], wrong=(clean[:, 5] + 1) % 50257
    )
    grid = ("layer", "head", "pos")
    rz.patch(model, task.head(1), "z", grid, only={"pos": [30, 31]}, max_memory=budget)
    Path("/proc/self/clear_refs").write_text("5")
    before, start = _memory("VmRSS"), time.perf_counter()
    sweep = rz.patch(model, task, "z", grid, max_memory=budget)
    return {
        "budget": memory_in_bytes(budget),
        "peak": _memory("VmHWM") - before,
        "cells": int(sweep.effects.size),
        "seconds": time.perf_counter() - start,
        "passes": sweep.passes,
    }


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


if __name__ == "__main__":
    raise SystemExit(main())
