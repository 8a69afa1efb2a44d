"""What probing every layer costs: harvesting against the bare forward passes, and its memory.

A GPT-2-small-shaped random model, prompts of one length read at their last token, twelve layers.
Times are of the processor, so that other work on the machine does not count; memory is the peak
that one process reaches above the loaded model, for 5,000 and for 20,000 examples.

    python benchmarks/run_probe.py [--n 256] [--tokens 16] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import residuum as rz
from residuum.directions import harvest

REACH, BATCH = 1.3, 64


def shaped(small: bool) -> rz.Model:
    torch.manual_seed(0)
    sizes = {"n_layer": 4, "n_head": 4, "n_embd": 128, "vocab_size": 1000} if small else {}
    return rz.load(GPT2LMHeadModel(GPT2Config(**sizes)).eval(), check=False)


def labelled(model: rz.Model, n: int, tokens: int) -> rz.Examples:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, min(model.d_vocab, 50000), (n, tokens))
    return rz.Examples.from_texts(model, rows.tolist(), (rows[:, -1] % 2).tolist()).unique()


def timed(model: rz.Model, data: rz.Examples) -> dict[str, float]:
    def bare() -> None:
        with torch.no_grad():
            for start in range(0, len(data), BATCH):
                model.hf(data.ids[start : start + BATCH], use_cache=False)

    def clock(work: Any) -> float:
        start = process_time()
        work()
        return process_time() - start

    clock(lambda: model.hf(data.ids[:8]))
    with tempfile.TemporaryDirectory() as folder:
        passes = clock(bare)
        body = clock(lambda: bare_body(model, data))
        read = clock(lambda: harvest(model, data, keep=f"{folder}/a"))
        whole = clock(lambda: rz.probe(model, data, split_by="example", keep=f"{folder}/b"))
        fits = clock(lambda: rz.probe(model, data, split_by="example", keep=f"{folder}/b"))
    return {
        "forward_s": passes, "forward_without_logits_s": body, "harvest_s": read,
        "fits_s": fits, "probe_s": whole,
        "harvest_over_forward": read / passes, "harvest_over_body": read / body,
        "probe_over_forward_plus_fits": whole / (passes + fits),
    }  # fmt: skip


def bare_body(model: rz.Model, data: rz.Examples) -> None:
    with torch.no_grad():
        for start in range(0, len(data), BATCH):
            model.hf.transformer(data.ids[start : start + BATCH], use_cache=False)


def peak_mb(n: int) -> float:
    """Peak memory above the loaded model and its examples, of a probe of a small model."""
    from residuum.directions import harvesting

    harvesting._IN_MEMORY_BYTES = 0
    model = shaped(small=True)
    rz.probe(model, labelled(model, 512, 4), split_by="example")
    data = labelled(model, n, 4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rz.probe(model, data, split_by="example", method=rz.MassMean())
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print(peak_mb(arguments.peak))
        return 0
    model = shaped(small=False)
    data = labelled(model, arguments.n, arguments.tokens)
    found: dict[str, Any] = {"n": len(data), "tokens": arguments.tokens, **timed(model, data)}
    for n in (5000, 20000):
        command = [sys.executable, __file__, "--peak", str(n)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[f"peak_mb_{n}"] = float(done.stdout.split()[-1])
    for name, value in found.items():
        print(f"{name:30} {value:10.3f}" if isinstance(value, float) else f"{name:30} {value:10}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if found["probe_over_forward_plus_fits"] <= REACH else 1


if __name__ == "__main__":
    raise SystemExit(main())
