"""EAP keeps to the memory that it is given: receivers' slopes are never all held at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_MB = 240
SHAPE = {"n_layer": 12, "n_head": 12, "n_embd": 96, "vocab_size": 200, "n_positions": 320}

SCRIPT = """
import pathlib, torch, transformers
import residuum as rz
from residuum.circuits import EAP, DiscoveryProblem, graph_of
from residuum.runs import metric_named
torch.set_num_threads(1)
torch.manual_seed(0)
hf = transformers.GPT2LMHeadModel(transformers.GPT2Config(**{shape})).eval()
model = rz.load(hf, check=False)
def task(rows, width):
    draw = torch.Generator().manual_seed(1)
    clean, corrupt = torch.randint(0, 200, (2, rows, width), generator=draw)
    answers, wrong = torch.randint(0, 100, (rows,)), torch.randint(100, 200, (rows,))
    return rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=answers, wrong=wrong)
graph = graph_of(model)
def score(task, limit):
    return EAP().score(DiscoveryProblem(model, task, graph, metric_named("logit_diff"),
                                        max_memory=limit))
score(task(1, 8), None)
def status(name):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
before = status("VmRSS")
found = score(task(8, 300), {limit} * 10**6)
print(graph.n_edges, status("VmHWM") - before, float(abs(found.values).max()))
"""


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak is read where Linux tells it"
)
def test_a_long_batch_stays_within_the_limit() -> None:
    """12 layers, 300 tokens, 8 prompts; every receiver's slopes alone would be more."""
    script = SCRIPT.format(shape=SHAPE, limit=LIMIT_MB)
    out = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    ).stdout.split()
    edges, peak_mb, largest = int(out[-3]), float(out[-2]), float(out[-1])
    assert edges == 32_491 and largest > 0
    every_slope_mb = 445 * 8 * 300 * SHAPE["n_embd"] * 4 / 2**20
    assert every_slope_mb > 1.5 * LIMIT_MB
    assert 20 < peak_mb < LIMIT_MB, peak_mb


@pytest.mark.parametrize("megabytes", [1, 30])
def test_too_little_is_refused(megabytes: int) -> None:
    import residuum as rz
    from residuum.circuits import EAP, discover
    from residuum.core import OptionError

    model = rz.load("microworld", check=False)
    with pytest.raises(OptionError, match="one prompt of"):
        discover(model, rz.task("ioi", model, n=2), EAP(), max_memory=f"{megabytes} MB")
