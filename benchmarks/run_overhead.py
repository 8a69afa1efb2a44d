"""What a run costs: against the bare model, and for full capture against TransformerLens.

Prints ratios (medians of paired rounds) beside the figures to reach, and the counted lower bound of
full capture: the bytes that must be copied, at the speed this machine copies memory.

    python benchmarks/run_overhead.py [--rounds 15] [--json FILE]
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

CAPTURE = ["resid_pre", "resid_mid", "resid_post", "z", "pattern"]
NAMES = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_z", "hook_pattern")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    hf = peers.gpt2_small_shape()
    eager = peers.gpt2_small_shape(attn_implementation="eager")
    model = rz.load(hf)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 50257, (4, 64), generator=generator)
    results = {"machine": peers.machine(), "prompts": list(ids.shape)}
    results["nothing asked"] = _plain(model, hf, ids, options.rounds)
    results["full capture"] = _capture(model, hf, eager, ids, options.rounds)
    _show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 0 if all(row["reached"] for row in _rows(results)) else 1


def _plain(model: Any, hf: Any, ids: torch.Tensor, rounds: int) -> dict[str, Any]:
    def bare() -> torch.Tensor:
        with torch.no_grad():
            return hf(input_ids=ids).logits

    timings = peers.paired({"ours": lambda: model.run(ids), "bare": bare}, rounds * 3)
    same = torch.equal(model.run(ids).logits, bare())
    slower = peers.ratio(timings, "ours", "bare")
    return {
        "bit_identical": same,
        "ratio": slower,
        "reach": 1.02,
        "reached": slower <= 1.02 and same,
    }


def _capture(model: Any, hf: Any, eager: Any, ids: torch.Tensor, rounds: int) -> dict[str, Any]:
    def outputs() -> Any:
        with torch.no_grad():
            return eager(
                input_ids=ids, use_cache=False, output_attentions=True, output_hidden_states=True
            )

    def bare() -> None:
        with torch.no_grad():
            hf(input_ids=ids, use_cache=False)

    tensors = list(model.run(ids, capture=CAPTURE).captured.values())
    sides = {
        "ours": lambda: model.run(ids, capture=CAPTURE),
        "outputs": outputs,
        "bare": bare,
        "copies": lambda: [each.clone() for each in tensors],
    }
    bridge = peers.transformer_lens_bridge(peers.gpt2_small_shape())  # it rewires its module
    if bridge is not None:

        def cached() -> Any:
            with torch.no_grad():
                return bridge.run_with_cache(ids, names_filter=lambda n: n.endswith(NAMES))

        sides["transformer_lens"] = cached
    timings = peers.paired(sides, rounds)
    found: dict[str, Any] = {
        "against output_attentions + output_hidden_states": _ratio(timings, "outputs", 1.15),
        "captured_bytes": sum(each.numel() * each.element_size() for each in tensors),
        "bare seconds + copies": timings["bare"].median + timings["copies"].median,
        "our seconds": timings["ours"].median,
    }
    if bridge is not None:
        found["against TransformerLens run_with_cache"] = _ratio(timings, "transformer_lens", 1.0)
        _, cache = sides["transformer_lens"]()
        run = model.run(ids, capture=["L5.z"])
        gap = (cache["blocks.5.attn.hook_z"].flatten(2) - run["z", 5].flatten(2)).abs().max()
        found["largest difference from TransformerLens"] = float(gap)
    return found


def _ratio(timings: dict[str, peers.Timing], under: str, reach: float) -> dict[str, Any]:
    value = peers.ratio(timings, "ours", under)
    return {"ratio": value, "reach": reach, "reached": value <= reach}


def _rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    full = results["full capture"]
    rows = [{"name": "nothing asked, against the bare model", **results["nothing asked"]}]
    for name in (
        "against output_attentions + output_hidden_states",
        "against TransformerLens run_with_cache",
    ):
        if name in full:
            rows.append({"name": f"full capture, {name}", **full[name]})
    return rows


def _show(results: dict[str, Any]) -> None:
    machine = results["machine"]
    print(f"GPT-2-small shape, {results['prompts']} tokens, {machine}")
    for row in _rows(results):
        verdict = "reached" if row["reached"] else "NOT reached"
        print(f"  {row['name']:<66} {row['ratio']:6.3f}x  (reach <= {row['reach']}): {verdict}")
    full = results["full capture"]
    print(f"  bit-identical logits: {results['nothing asked']['bit_identical']}")
    print(
        f"  full capture: {full['our seconds']:.3f} s; lower bound (bare pass + one copy of "
        f"{full['captured_bytes'] / 1e6:.1f} MB): {full['bare seconds + copies']:.3f} s"
    )
    if "largest difference from TransformerLens" in full:
        gap = full["largest difference from TransformerLens"]
        print(f"  largest difference of z from TransformerLens's: {gap:.1e}")
    else:
        print("  TransformerLens is not installed here: make bench-setup, then make bench")


if __name__ == "__main__":
    raise SystemExit(main())
