"""Every kind of dictionary on samples whose features are known: what is found, and what bounds it.

512 features in 128 dimensions, 8 active on average with Zipf frequencies; dictionaries of 512
latents. Settings were chosen on a world of seed 101; the worlds judged here have other seeds.
The oracles know the features: one reads them off linearly, one solves for non-negative codes.

The penalised kinds are not revived. Tried on world 101 with 500,000 samples, Resampling(every=40)
against none, same seeds: L1 (seeds 0, 1, 2) MCC +.009, +.001, +.004, dead latents down by 1 to 2
points; JumpReLU (seeds 0, 1) MCC +.009, +.002, dead latents up by 1; Gated had none dead. Without
it, L1's MCC went from .656 to .666 over the seeds. Until .9 of the steps instead of .6 (L1, seeds
0, 1) about 1 % stayed dead, but L0 ended near 10 with a goal of 8. Not tried: 2,000,000 samples,
where more of L1's latents die.

    python benchmarks/dictionaries_known_truth.py [--samples 2000000] [--world 1] [--json FILE]
        [--kinds TopK,L1] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import Tensor

import residuum.dictionaries as rd

REACH_MCC = 0.75
ACTIVE, LATENTS, BATCH, LR, DEAD_AFTER = 8, 512, 1024, 1e-2, 10_000
SITE = "L0.resid_post"


def plans(width: int, latents: int = LATENTS, k: int = ACTIVE) -> dict[str, rd.CoderPlan]:
    base: dict[str, Any] = {"reads": (SITE,), "width": width, "n_latents": latents,
                            "dead_after": DEAD_AFTER}  # fmt: skip
    revived = {**base, "aux_k": latents // 8}
    prefixes = (latents // 16, latents // 4)
    jump = rd.JumpReLU(bandwidth=0.5, start=0.5)
    return {
        "TopK": rd.CoderPlan(activation=rd.TopK(k), **revived),
        "BatchTopK": rd.CoderPlan(activation=rd.BatchTopK(k), **revived),
        "JumpReLU": rd.CoderPlan(activation=jump, penalty=rd.L0Step(), **base),
        "L1": rd.CoderPlan(activation=rd.ReLU(), penalty=rd.L1(), **base),
        "Gated": rd.CoderPlan(activation=rd.Gated(), penalty=rd.L1(), **base),
        "Matryoshka": rd.CoderPlan(activation=rd.BatchTopK(k), prefixes=prefixes, **revived),
    }


@dataclass
class Oracle:
    """Knows the features; reads them off linearly, or solves for sparse non-negative codes.

    ``steps`` 0 reads off; else that many steps of FISTA on the squared error plus ``price`` times
    the sum of the codes, after which the codes that are not zero are fitted again without price.
    """

    W_dec: Tensor
    steps: int = 0
    price: float = 0.05

    def encode(self, x: Tensor) -> Tensor:
        rows = self.W_dec[:, 0]
        if not self.steps:
            return (x @ rows.T).relu()
        codes = self._solved(x, torch.zeros(len(x), len(rows)), self.price)
        return self._solved(x, codes, 0.0, codes > 1e-3)

    def decode(self, latents: Tensor) -> Tensor:
        return latents @ self.W_dec[:, 0]

    def _solved(self, x: Tensor, start: Tensor, price: float, free: Tensor | None = None) -> Tensor:
        rows = self.W_dec[:, 0]
        length = 1 / float(torch.linalg.matrix_norm(rows, 2) ** 2)
        codes, ahead, pace = start, start, 1.0
        for _ in range(self.steps):
            moved = (ahead - length * ((ahead @ rows - x) @ rows.T + price)).relu()
            if free is not None:
                moved = moved * free
            faster = (1 + (1 + 4 * pace * pace) ** 0.5) / 2
            ahead = moved + (pace - 1) / faster * (moved - codes)
            codes, pace = moved, faster
        return codes


def judged(
    name: str, plan: rd.CoderPlan, world: rd.SparseWorld, samples: int, seed: int
) -> tuple[rd.GroundTruth, float]:
    goal = None if plan.penalty is None else float(world.active)
    start = process_time()
    training = rd.train_dictionary(
        world.source(SITE), plan=plan, samples=samples, batch_size=BATCH,
        optimiser=rd.Adam(lr=LR), target_l0=goal, seed=seed,
    )  # fmt: skip
    took = process_time() - start
    assert isinstance(training.dictionary, rd.Dictionary)
    return rd.match_truth(training.dictionary, world, name=name), took


def oracles(world: rd.SparseWorld) -> dict[str, rd.GroundTruth]:
    rows = world.features[:, None]
    made = {"oracle, linear": Oracle(rows), "oracle, sparse codes": Oracle(rows, steps=100)}
    return {
        name: rd.match_truth(each, world, samples=4096, name=name) for name, each in made.items()
    }


def line(name: str, found: rd.GroundTruth, took: float | None) -> str:
    row = found.row()
    seconds = "" if took is None else f"{took:6.0f}"
    return (
        f"{name:22} {found.mcc!s:>22} {found.f1!s:>22} {row['explained_variance']:7.3f} "
        f"{row['l0']:7.2f} {row['dead_share']:6.1%} {row['shrinkage']:7.3f} "
        f"{row['found_share']:7.1%} {seconds}"
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2_000_000)
    parser.add_argument("--world", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default="")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(argv)
    torch.set_num_threads(1)
    world = rd.SparseWorld(active=float(ACTIVE), seed=asked.world)
    wanted = asked.kinds.split(",") if asked.kinds else list(plans(world.width))
    print(f"{'':22} {'MCC':>22} {'F1':>22} {'EV':>7} {'L0':>7} {'dead':>6} {'shrink':>7} "
          f"{'cos>.9':>7} {'CPU s':>6}")  # fmt: skip
    rows: dict[str, Any] = {}
    for name in wanted:
        found, took = judged(
            name, plans(world.width)[name], world, asked.samples, asked.seed
        )  # fmt: skip
        rows[name] = {**found.row(), "cpu_s": took}
        print(line(name, found, took), flush=True)
        if asked.json:
            record = {"world": world.record, "samples": asked.samples, "seed": asked.seed,
                      "batch": BATCH, "lr": LR, "rows": rows}  # fmt: skip
            asked.json.write_text(json.dumps(record, indent=1) + "\n")
    for name, found in oracles(world).items():
        rows[name] = found.row()
        print(line(name, found, None), flush=True)
    if asked.json:
        record = {"world": world.record, "samples": asked.samples, "seed": asked.seed,
                  "batch": BATCH, "lr": LR, "rows": rows}  # fmt: skip
        asked.json.write_text(json.dumps(record, indent=1) + "\n")
    best = max(rows[name]["mcc"] for name in wanted)
    print(f"best MCC {best:.3f}, to reach {REACH_MCC}")
    return 0 if best >= REACH_MCC else 1


if __name__ == "__main__":
    sys.exit(main())
