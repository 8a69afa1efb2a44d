"""What a head table costs: every detector on every head, against the bare forward passes.

A GPT-2-small-shaped random model and 50 prompts of 2 x 50 tokens, side by side in one process. The
scores need one pass over the prompts, without its logits; what the causal effects cost besides is
counted separately, in forward passes over their own prompts. Times are of the processor, so that
other work on the machine does not count.

    python benchmarks/run_head_table.py [--rounds 3] [--removal] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import peers
import torch

import residuum as rz
from residuum.heads import detect_heads, random_repeats

PROMPTS, LENGTH, REACH = 50, 100, 1.2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--removal", action="store_true", help="also run the causal effects")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    hf = peers.gpt2_small_shape()
    model = rz.load(hf)
    ids = random_repeats(model, PROMPTS, LENGTH).ids
    results: dict[str, Any] = {"machine": peers.machine(), "prompts": [PROMPTS, LENGTH]}

    def bare() -> None:
        with torch.no_grad():
            for rows in ids.split(16):
                hf(input_ids=rows)

    def body() -> None:
        with torch.no_grad():
            for rows in ids.split(16):
                hf.transformer(input_ids=rows)

    def table() -> Any:
        return detect_heads(model, n=PROMPTS, length=LENGTH, removal=None)

    timings: dict[str, list[float]] = {"bare": [], "body": [], "table": []}
    for _ in range(options.rounds):
        for name, work in (("bare", bare), ("body", body), ("table", table)):
            start = process_time()
            work()
            timings[name].append(process_time() - start)
    ratios = [ours / theirs for ours, theirs in zip(timings["table"], timings["bare"], strict=True)]
    bodies = [ours / theirs for ours, theirs in zip(timings["table"], timings["body"], strict=True)]
    results["ratio_to_body"] = median(bodies)
    results |= {"cpu_seconds": timings, "ratio": median(ratios), "reach": REACH}
    results["reached"] = results["ratio"] <= REACH
    print(f"head table without causal effects: {median(ratios):.2f} x the bare passes, "
          f"to reach {REACH}: {'yes' if results['reached'] else 'no'}")  # fmt: skip
    print(f"the same against the passes without unembedding: {median(bodies):.2f} x")
    if options.removal:
        start = process_time()
        whole = detect_heads(model, n=PROMPTS, length=LENGTH, removal_n=4)
        results["removal_passes"] = whole.passes["removal on repeats"]
        results["removal_cpu_seconds"] = process_time() - start
        print(f"removal of {model.n_layers * model.n_heads} heads on 4 prompts: "
              f"{results['removal_passes']:.1f} passes over them")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 0 if results["reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
