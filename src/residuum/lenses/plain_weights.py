"""Whether what writes into the stream and the logits is what its weights say.

An adapter on a projection, or a hook, makes a module do something that its weight does not show:
what is read off the weight would then be another model's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from residuum.core import CheckFailed
from residuum.models import Batch, Layer
from residuum.models.projections import linear_weight
from residuum.runs import Model, Run

MEND = (
    "merge the adapter into the weights first (peft: model = model.merge_and_unload()) or take "
    "the hook off, then load again"
)
_FAILS = {torch.float64: 1e-6, torch.float32: 1e-3}
_FAILS_HALF = 0.05


def need_plain_outputs(model: Model, *, mlp: bool = False) -> None:
    """Refuse output projections that do more than their weight.

    Args:
        mlp: those of the MLPs, instead of those of attention.

    Raises:
        CheckFailed: one does; ``where`` names the block.
    """
    for layer in model.adapted.parts.layers:
        module = layer.mlp_out if mlp else layer.o_proj
        if module is None or (mlp and layer.mlp_kind == "moe"):
            continue
        _need_weight(module, f"L{layer.index}.{'mlp_out' if mlp else 'attn_out'}")
        _need_plain(module, linear_weight(module), f"L{layer.index}", "MLP" if mlp else "attention")


def need_plain_unembedding(model: Model) -> None:
    """Refuse an unembedding that does more than its weight.

    Raises:
        CheckFailed: it does.
    """
    unembed = model.adapted.parts.unembed
    assert unembed is not None
    _need_weight(unembed, "logits")
    matrix = model.W_U
    assert isinstance(matrix, Tensor)
    _need_plain(unembed, matrix, "", "unembedding")


def _need_weight(module: nn.Module, where: str) -> None:
    if not isinstance(getattr(module, "weight", None), Tensor):
        raise CheckFailed(
            f"{type(module).__name__} has no weight of its own: there is an adapter on it",
            mend=MEND,
            where=where,
        )


def _need_plain(module: nn.Module, weight: Tensor, block: str, what: str) -> None:
    if weight.is_meta or not weight.is_floating_point():
        return
    probe = torch.randn(1, 1, weight.shape[0], generator=torch.Generator().manual_seed(0))
    probe = probe.to(weight)
    with torch.no_grad():
        made = module(probe) - module(torch.zeros_like(probe))
        expected = probe @ weight
    gap = relative_gap(made, expected)
    if gap > _FAILS.get(weight.dtype, _FAILS_HALF):
        place = f"the {what} output of {block}" if block else f"the {what}"
        raise CheckFailed(
            f"{place} is not what its weight says, by {gap:.1e}: there is an adapter or a hook on "
            f"{type(module).__name__}",
            mend=MEND,
            where=f"{block}.{'mlp_out' if what == 'MLP' else 'attn_out'}" if block else "logits",
        )


def relative_gap(found: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest number; 0 where a number is not finite."""
    found, expected = found.cpu().double(), expected.cpu().double()
    scale = torch.maximum(found.abs().max(), expected.abs().max()).clamp_min(1e-30)
    return float(((found - expected).abs().max() / scale).nan_to_num(0.0, posinf=0.0))


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
    more = relative_gap(site("resid_post"), parts)
    found = {"adds something that neither its attention nor its MLP writes": more}
    if at:
        jump = relative_gap(site("resid_pre"), site("resid_post", at - 1))
        found["does not begin where the block before it ended"] = jump
    return found
