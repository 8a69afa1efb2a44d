"""Which block does more than its parts: a whole-prompt check, where a sum was missed."""

from __future__ import annotations

import torch
from torch import Tensor

from residuum.models import Batch, Layer
from residuum.runs import Model, Run

_FAILS = {torch.float64: 1e-6, torch.float32: 1e-3}
_FAILS_HALF = 0.05


def changed_block(model: Model, batch: Batch) -> str:
    """Which block does more than its parts on the first prompt, and how; empty if none does."""
    prompt = Batch(batch.ids[:1], None if batch.mask is None else batch.mask[:1])
    layers = model.adapted.parts.layers
    names = ("resid_pre", "attn_out", "resid_post")
    sites = [f"L{each.index}.{name}@-1" for each in layers for name in names]
    sites += [f"L{each.index}.mlp_out@-1" for each in layers if each.has_mlp]
    run = model.run(prompt, capture=sites, logits=False)
    bound = _FAILS.get(model.dtype, _FAILS_HALF)
    for layer in layers:
        for problem, gap in _problems(layer, run).items():
            if gap > bound:
                on = "there is a hook or an adapter on it"
                return f"L{layer.index} {problem}, by {gap:.1e}: {on}"
    return ""


def _problems(layer: Layer, run: Run) -> dict[str, float]:
    at = layer.index

    def site(name: str, of: int = at) -> Tensor:
        return run[f"L{of}.{name}@-1"].double()

    parts = site("resid_pre") + site("attn_out")
    parts = parts + site("mlp_out") if layer.has_mlp else parts
    more = _relative_gap(site("resid_post"), parts)
    found = {"adds something that neither its attention nor its MLP writes": more}
    if at:
        jump = _relative_gap(site("resid_pre"), site("resid_post", at - 1))
        found["does not begin where the block before it ended"] = jump
    return found


def _relative_gap(found: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest number; 0 where a number is not finite."""
    found, expected = found.cpu().double(), expected.cpu().double()
    scale = torch.maximum(found.abs().max(), expected.abs().max()).clamp_min(1e-30)
    return float(((found - expected).abs().max() / scale).nan_to_num(0.0, posinf=0.0))
