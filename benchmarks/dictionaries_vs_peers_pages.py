"""What reading every latent costs: one pass against the model run again for each 256 latents.

The second way is that of SAEDashboard: latents in groups of 256, and for each group the model runs
over the text once more, its latents are encoded and their strongest examples kept. It is written
out here with nothing else in it (examples only, no histograms, company or effects), so that it is
cheaper than the dashboard it stands for. Rounds alternate; a ratio is the median over rounds.
Microworld, the stream of its layer 2, an untrained TopK dictionary.

    python benchmarks/dictionaries_vs_peers_pages.py [--latents 4096] [--texts 300] [--rounds 3]
        [--threads 1] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import peers
import torch

import residuum as rz
from residuum.worlds import microworld_text

SITE, GROUP, EXAMPLES, ROWS = "L2.resid_post", 256, 20, 64


def untrained(model: Any, n: int, k: int) -> Any:
    """A dictionary of random directions; speed does not depend on what they mean."""
    d = model.dims.d_model
    rows = torch.randn(n, d, generator=torch.Generator().manual_seed(0))
    rows = rows / rows.norm(dim=1, keepdim=True)
    return rz.Dictionary(
        (SITE,), (SITE,), W_enc=rows.T.contiguous()[None], W_dec=rows[:, None],
        b_dec=torch.zeros(1, d), activation=rz.TopK(k), b_enc=torch.zeros(n),
    )  # fmt: skip


@torch.no_grad()
def by_groups(model: Any, dictionary: Any, ids: torch.Tensor) -> list[torch.Tensor]:
    """The strongest places of every latent, the model run anew for each group."""
    found = []
    for first in range(0, dictionary.n_latents, GROUP):
        best = torch.full((EXAMPLES, GROUP), -1.0)
        for rows in ids.split(ROWS):
            x = model.run(rows, capture=[SITE])[SITE]
            latents = dictionary.encode(x.flatten(0, 1))[:, first : first + GROUP]
            best = torch.cat([best, latents]).topk(EXAMPLES, dim=0).values
        found.append(best)
    return found


def timed(work: Callable[[], Any]) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latents", type=int, default=4096)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--k", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = rz.load("microworld")
    texts = list(islice(microworld_text(seed=1), options.texts))
    ids = model.to_tokens(texts)
    dictionary = untrained(model, options.latents, options.k)
    sides = {
        "one_pass": lambda: rz.read_features(dictionary, model, texts),
        "by_groups": lambda: by_groups(model, dictionary, ids),
    }
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, work in sides.items():
            rows[name].append(timed(work))
    result: dict[str, Any] = {"tokens": int((ids != model.tokenizer.pad_token_id).sum())}
    for kind in ("wall", "cpu"):
        pairs = zip(rows["by_groups"], rows["one_pass"], strict=True)
        result[kind] = {
            **{f"{name}_s": statistics.median(r[kind] for r in rows[name]) for name in rows},
            "ratio": statistics.median(a[kind] / b[kind] for a, b in pairs),
        }
        print(kind, result[kind])
    if options.json:
        plain = {k: v for k, v in vars(options).items() if k != "json"}
        data = {"machine": peers.machine(), "load": os.getloadavg()[0], "options": plain, **result}
        options.json.write_text(json.dumps(data, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
