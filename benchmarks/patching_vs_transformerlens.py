"""Activation patching sweeps against TransformerLens: same numbers, how many times faster.

A GPT-2-small-shaped random model, IOI-like pairs of 15 tokens that differ at one late position
(and, as the worst case, at the first). Beside each ratio stands the bound that counted FLOPs allow.

    python benchmarks/patching_vs_transformerlens.py [--pairs 4] [--json FILE] [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import peers
import torch

import residuum as rz

LENGTH = 15
CASES = (
    ("every head", "z", ("layer", "head"), 8.0),
    ("every head at every position", "z", ("layer", "head", "pos"), 33.0),
    ("residual by layer and position", "resid_pre", ("layer", "pos"), 10.0),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="heads only, one round")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    hf = peers.gpt2_small_shape().to(device)
    bridge = peers.transformer_lens_bridge(peers.gpt2_small_shape().to(device))
    model = rz.load(hf)
    results: dict[str, Any] = {"machine": peers.machine(), "pairs": options.pairs}
    for differ_at in (10,) if options.quick else (10, 0):
        task = _task(options.pairs, differ_at)
        for name, site, by, reach in CASES[:1] if options.quick else CASES:
            label = f"{name}, differing at {differ_at}"
            found = _case(model, bridge, task, site, by, 1 if options.quick else options.rounds)
            found["reach"] = reach if differ_at == 10 else None
            found["bound"] = _bound(model, site, by, differ_at)
            results[label] = found
            _show(label, found)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 0


def _task(pairs: int, differ_at: int) -> rz.Task:
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(0, 50257, (pairs, LENGTH), generator=generator)
    corrupt = clean.clone()
    corrupt[:, differ_at] = torch.randint(0, 50257, (pairs,), generator=generator)
    answers, wrong = torch.randint(0, 50257, (2, pairs), generator=generator)
    return rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=answers, wrong=wrong)


def _case(
    model: Any, bridge: Any, task: rz.Task, site: str, by: tuple[str, ...], rounds: int
) -> dict[str, Any]:
    seconds, theirs_each = [], []
    sweep = rz.patch(model, task, site, by)
    found: dict[str, Any] = {"cells": int(np.prod(sweep.effects.shape)), "passes": sweep.passes}
    for _ in range(rounds):
        start = time.perf_counter()
        sweep = rz.patch(model, task, site, by)
        seconds.append(time.perf_counter() - start)
        if bridge is not None:
            spent, gap = _theirs(bridge, task, site, by, sweep, limit=144)
            theirs_each.append(spent)
            found["largest difference"] = max(gap, found.get("largest difference", 0.0))
    found["seconds"] = float(np.median(seconds))
    if theirs_each:
        found["their seconds"] = float(np.median(theirs_each)) * found["cells"]
        found["ratio"] = found["their seconds"] / found["seconds"]
    return found


def _theirs(
    bridge: Any, task: rz.Task, site: str, by: tuple[str, ...], sweep: Any, limit: int
) -> tuple[float, float]:
    """Seconds a cell in TransformerLens's way (one pass a patch), and the largest difference.

    Where the grid has more than ``limit`` cells a random part of it is timed, seeded.
    """
    name = {"z": "attn.hook_z", "resid_pre": "hook_resid_pre"}[site]
    device = next(bridge.parameters()).device
    clean, corrupt = task.clean.to(device), task.corrupt.to(device)
    cells = list(np.ndindex(*sweep.effects.shape))
    order = np.random.default_rng(0).permutation(len(cells))[:limit]
    chosen = [cells[int(i)] for i in order]
    with torch.no_grad():
        start = time.perf_counter()
        base = _diff(bridge(corrupt), task)
        _, cache = bridge.run_with_cache(clean, names_filter=lambda n: n.endswith(name))
        gaps = []
        for cell in chosen:
            at = dict(zip(by, cell, strict=True))

            def hook(value: Any, hook: Any, at: dict[str, int] = at) -> Any:
                donor = cache[f"blocks.{at['layer']}.{name}"]
                where: list[Any] = [slice(None)] * value.ndim
                if "pos" in at:
                    where[1] = at["pos"]
                if "head" in at:
                    where[2] = at["head"]
                value[tuple(where)] = donor.reshape(value.shape)[tuple(where)]
                return value

            hooks = [(f"blocks.{at['layer']}.{name}", hook)]
            patched = _diff(bridge.run_with_hooks(corrupt, fwd_hooks=hooks), task)
            gaps.append(np.abs((patched - base) - sweep.per_example.values[cell]).max())
        spent = time.perf_counter() - start
    assert any(sweep.effects.values[cell] != 0 for cell in chosen), "nothing was compared"
    return spent / len(chosen), float(max(gaps))


def _diff(logits: torch.Tensor, task: rz.Task) -> np.ndarray:
    last = logits[:, -1].double().cpu()
    rows = torch.arange(len(last))
    return (last[rows, task.answers[:, 0]] - last[rows, task.wrong[:, 0]]).numpy()


def _bound(model: Any, site: str, by: tuple[str, ...], differ_at: int) -> float:
    """Times fewer multiply-adds than one whole pass a cell, if only what can change were computed.

    Counted in matrix products: a token costs 12 d² a block (4 d² attention projections, 8 d² MLP)
    and d · vocabulary in the unembedding, which a whole pass computes for every token. Attention
    itself, at 15 tokens, is below 1 % and left out on both sides. What must be computed: the base
    run, the donor run where it differs from it, and for each cell the later blocks at the positions
    from the first changed one on; in the last block keys and values there, and query, output and
    MLP of the answer's position alone; two tokens' logits.
    """
    d, layers, vocab = model.dims.d_model, model.n_layers, model.d_vocab
    block, last = 12 * d * d, layers - 1
    whole = LENGTH * (block * layers + d * vocab)
    spent = (LENGTH + LENGTH - differ_at) * block * layers
    cells = 0
    count = model.n_heads if "head" in by else 1
    for layer in range(layers):
        for pos in range(LENGTH) if "pos" in by else [None]:
            cells += count
            if pos is not None and pos < differ_at:
                continue
            left = LENGTH - (differ_at if pos is None else pos)
            first = layer if site == "resid_pre" else layer + 1
            cost = max(0, last - first) * block * left
            if first <= last:
                cost += 2 * d * d * left + 10 * d * d
            if site == "z":
                cost += 8 * d * d * (left if layer < last else 1) + d * model.dims.d_head * left
            spent += count * cost
    return cells * whole / spent


def _show(label: str, found: dict[str, Any]) -> None:
    line = f"{label}: {found['cells']} cells in {found['seconds']:.2f} s"
    line += f", {found['passes']:.1f} forward passes instead of {found['cells']}"
    if "ratio" in found:
        share = found["ratio"] / found["bound"]
        line += (
            f"\n    TransformerLens {found['their seconds']:.1f} s: {found['ratio']:.1f}x"
            f" (reach {found['reach'] or '-'}); counted bound {found['bound']:.1f}x,"
            f" share {share:.0%};"
            f" largest difference {found['largest difference']:.1e}"
        )
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
