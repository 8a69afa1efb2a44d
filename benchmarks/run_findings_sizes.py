"""One induction finding asked of models of other sizes and seeds (``also=``), at ``quick``.

The pairs exchange two tokens in the first copy of a block that is repeated: what stood before the
answer decides. The other models are trained by the recipe of ``induction_2l`` with another number
of heads, layers or another seed.

    python benchmarks/run_findings_sizes.py [--models DIR] [--json FILE]

``DIR`` keeps the trained models; what is there is not trained again.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import residuum as rz
from residuum.findings.record.robustness_evidence import OtherModel
from residuum.organisms.attention_only.finishing import train_attention_only
from residuum.organisms.attention_only.recipe import ATTENTION_RECIPES

RESULTS = Path(__file__).parent / "results" / "run_findings_sizes.json"
SIZES: dict[str, dict[str, Any]] = {
    "two_heads": {"heads": 2, "d_model": 32, "steps": 1200, "learning_rate": 4e-3},
    "three_layers": {"layers": 3, "steps": 800},
    "seed_1": {"seed": 1, "steps": 1000},
    "one_layer": {"layers": 1, "steps": 600},
}
"""Name -> what differs from the recipe of ``induction_2l``."""
SHIPPED = ("induction_2l_nopos", "handmade_induction")
BLOCK, PAIRS = 12, 64


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=Path("trained"))
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    first = rz.load("induction_2l")
    also = [trained(options.models / name, changes) for name, changes in SIZES.items()]
    also += [rz.load(name) for name in SHIPPED]
    pairs = exchanged(first)
    found = rz.investigate(first, pairs, stages=("robustness",), also=also)
    assert found.robustness is not None
    path = found.save(options.models / "finding")
    again = rz.replay(path, first, also=also, check=False)
    result = {
        "status": found.status,
        "named": list(found.components),
        "claim": found.claim,
        "models": [told(each, also) for each in found.robustness.models],
        "not_asked": list(found.robustness.left_out),
        "replay": {"agrees": again.agrees, "numbers": again.numbers},
    }
    options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    json.dump(result, sys.stdout, indent=1, ensure_ascii=False)
    return 0


def trained(folder: Path, changes: dict[str, Any]) -> rz.Model:
    if not (folder / "config.json").exists():
        recipe = replace(ATTENTION_RECIPES["induction_2l"], **changes)
        train_attention_only(replace(recipe, check_every=recipe.steps), folder)
    return rz.load(folder)


def exchanged(model: rz.Model) -> rz.Task:
    """``… A B … C D … | … A`` → B against the same with A and C exchanged in the first copy → D."""
    draw = torch.Generator().manual_seed(0)
    rows: dict[str, list[Any]] = {"clean": [], "corrupt": [], "answers": [], "wrong": []}
    one, other = BLOCK // 3, 2 * BLOCK // 3
    for _ in range(PAIRS):
        block = torch.randperm(model.d_vocab, generator=draw)[:BLOCK].tolist()
        turned = list(block)
        turned[one], turned[other] = block[other], block[one]
        rows["clean"].append([*block, *block[: one + 1]])
        rows["corrupt"].append([*turned, *block[: one + 1]])
        rows["answers"].append(block[one + 1])
        rows["wrong"].append(block[other + 1])
    return rz.Task.from_pairs(**rows, name="exchanged")


def told(found: OtherModel, also: list[rz.Model]) -> dict[str, Any]:
    """What came out, with the model's shape."""
    dims = next(each.dims for each in also if each.name == found.name)
    return {
        "model": Path(found.name).name,
        "layers": dims.n_layers,
        "heads": dims.n_heads,
        "width": dims.d_model,
        "present": found.present,
        "choice": round(found.choice.value, 3),
        "parts": list(found.parts),
        "recovered": shares(found.recovered),
        "lost": shares(found.lost),
        "same_recovered": shares(found.same_recovered),
        "same_lost": shares(found.same_lost),
    }


def shares(estimate: Any) -> list[float] | None:
    """Value and interval."""
    ends = () if estimate is None else (estimate.value, estimate.low, estimate.high)
    return [round(each, 3) for each in ends] or None


if __name__ == "__main__":
    raise SystemExit(main())
