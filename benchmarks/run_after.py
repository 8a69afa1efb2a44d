"""What a run costs that goes on from an earlier one: `after=base` against a whole run.

One edit at an early, a middle and the last block, in paired rounds. Prints the time of the run as a
share of a whole run's beside the counted lower bound: the multiplications of the blocks that the
edit can change and of the unembedding, as a share of all. Once with the logits at every token, and
once stopping at the last stream, where the blocks are all there is.

    python benchmarks/run_after.py [--rounds 15] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import peers
import torch

import residuum as rz

LAYERS = (0, 6, 11)
ASKED: dict[str, dict[str, Any]] = {
    "logits at every token": {},
    "the last stream": {"capture": ["L11.resid_post"], "logits": False},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = rz.load(peers.gpt2_small_shape(), check=False)
    ids = torch.randint(0, 50257, (1, 64), generator=torch.Generator().manual_seed(0))
    base = model.run(ids, capture=["resid_pre"])
    results = {
        "machine": peers.machine(),
        "prompts": list(ids.shape),
        "base": _base(model, base, ids, options.rounds),
        "rows": [
            _row(model, base, ids, layer, name, options.rounds)
            for name in ASKED
            for layer in LAYERS
        ],
    }
    _show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 0 if all(row["bit_identical"] for row in results["rows"]) else 1


def _base(model: Any, base: Any, ids: torch.Tensor, rounds: int) -> dict[str, Any]:
    sides = {
        "base": lambda: model.run(ids, capture=["resid_pre"]),
        "plain": lambda: model.run(ids),
    }
    kept = sum(each.numel() * each.element_size() for each in base.captured.values())
    return {
        "ratio": peers.ratio(peers.paired(sides, rounds), "base", "plain"),
        "kept_bytes": kept,
    }


def _row(
    model: Any, base: Any, ids: torch.Tensor, layer: int, name: str, rounds: int
) -> dict[str, Any]:
    asked = {"edits": [rz.Zero(f"L{layer}.z[H3]")], **ASKED[name]}
    sides = {
        "after": lambda: model.run(ids, after=base, **asked),
        "whole": lambda: model.run(ids, **asked),
    }
    after, whole = (sides[side]() for side in ("after", "whole"))
    same = all(torch.equal(after.captured[at], value) for at, value in whole.captured.items())
    if whole.logits is not None:
        same = same and torch.equal(after.logits, whole.logits)
    timings = peers.paired(sides, rounds)
    return {
        "asked": name,
        "layer": layer,
        "passes": after.passes,
        "ratio": peers.ratio(timings, "after", "whole"),
        "counted": _counted(model, ids.shape[1], layer, bool(asked.get("logits", True))),
        "seconds": {side: timing.median for side, timing in timings.items()},
        "bit_identical": same,
    }


def _counted(model: Any, length: int, layer: int, logits: bool) -> float:
    """Multiplications after ``layer`` as a share of all, for each token of the prompt."""
    d, width = model.dims, model.dims.n_heads * model.dims.d_head
    block = 4 * d.d_model * width + 2 * d.d_model * d.d_mlp + 2 * length * width
    ends = d.d_model * d.d_vocab if logits else 0
    return ((d.n_layers - layer) * block + ends) / (d.n_layers * block + ends)


def _show(results: dict[str, Any]) -> None:
    print(f"GPT-2-small shape, {results['prompts']} tokens, {results['machine']}")
    base = results["base"]
    print(
        f'  the base, capture=["resid_pre"], against a plain run: {base["ratio"]:.3f}x, '
        f"{base['kept_bytes'] / 1e6:.1f} MB kept"
    )
    print("  time of a run after the base, as a share of the whole run's:")
    for row in results["rows"]:
        print(
            f"  {row['asked']:<22} edit at block {row['layer']:>2}: {row['ratio']:.3f} "
            f"(counted lower bound {row['counted']:.3f}, passes {row['passes']:.3f}, "
            f"same bits: {row['bit_identical']})"
        )


if __name__ == "__main__":
    raise SystemExit(main())
