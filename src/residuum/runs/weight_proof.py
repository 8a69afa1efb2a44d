"""Whether a model does what its weights say: proved before a verb reads the weights.

An adapter in place of a projection, a hook on a module, a quantised matrix or a module that was
exchanged after loading make a model do something else than its ``weight`` tensors. Each linear map
that is read is called once on random input and compared with its weight; a block that carries hooks
is called with them and without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from residuum.core import CheckFailed, LoadError, ShapeError
from residuum.models import Batch, Layer
from residuum.models.parts import find_parts
from residuum.models.projections import linear_weight
from residuum.runs.model import Model
from residuum.runs.record import BlockCall, record_calls
from residuum.runs.selfcheck import outer_bound

MEND = (
    "merge the adapter into the weights (PEFT: merge_and_unload()), or take the hook off, then "
    "load the model again; captures, patching and ablation work on the model as it is"
)
_ROWS = 8
_LENGTH = 4


def prove_weights(model: Model, parts: Sequence[Layer], slots: str) -> None:
    """Refuse blocks whose weights do not say what they do.

    Args:
        parts: the blocks whose weights are going to be read.
        slots: what is read: ``q``, ``k``, ``v``, ``o`` of attention, ``m`` for all of the MLP,
            ``w`` for what it writes with alone.

    Raises:
        CheckFailed: a projection, or the block around it, does something else than its weights;
            ``where`` is the site that it makes.
        ShapeError: NaN or infinity in a weight.
    """
    _prove_places(model, parts)
    for part in parts:
        done: set[int] = set()
        for name, site, module in _modules(part, slots):
            if id(module) not in done:
                where = f"L{part.index}.{site}"
                _prove_linear(model, module, f"the {name} of block {part.index}", where)
                done.add(id(module))
    _prove_around(model, parts, slots)


def prove_unembedding(model: Model) -> None:
    """Refuse an unembedding that does something else than its weight says.

    Raises:
        CheckFailed, ShapeError: as :func:`prove_weights`.
    """
    parts = model.adapted.parts
    fresh = find_parts(parts.hf, parts.family)
    if fresh.unembed is not parts.unembed or fresh.embed is not parts.embed:
        what = "the embedding or unembedding was exchanged after the model was loaded"
        raise _changed(what, "logits")
    if parts.unembed is not None:
        _prove_linear(model, parts.unembed, "the unembedding", "logits")


def _changed(what: str, where: str) -> CheckFailed:
    what = f"{what}: its weights do not say what the model does"
    return CheckFailed(what, mend=MEND, where=where)


def _more_than(name: str, module: nn.Module, gap: float, where: str) -> CheckFailed:
    """The error for a module that does more than it should, by ``gap`` where that is a number."""
    off = f", off by {gap:.1e}" if gap < float("inf") else ""
    return _changed(f"{name} has an adapter or a hook ({type(module).__name__}){off}", where)


def _prove_places(model: Model, parts: Sequence[Layer]) -> None:
    """The modules are still those that were found at load."""
    held = model.adapted.parts
    try:
        fresh = find_parts(held.hf, held.family).layers
    except (LoadError, AttributeError):
        fresh = ()
    for part in parts:
        if part.index >= len(fresh) or fresh[part.index] != part:
            what = f"a module of block {part.index} was exchanged after the model was loaded"
            raise _changed(what, f"L{part.index}")


def _modules(part: Layer, slots: str) -> Iterator[tuple[str, str, nn.Module]]:
    """Name, site and module of every linear map that is read."""
    names = {"q": "query", "k": "key", "v": "value"}
    for slot in slots:
        if slot in names:
            yield f"{names[slot]} projection", slot, part.projections.module(slot)
    if "o" in slots:
        yield "output projection", "attn_out", part.o_proj
    if part.mlp_kind == "moe":
        return
    if "m" in slots and part.mlp_in is not None:
        yield "MLP input", "mlp_pre", part.mlp_in
    if "m" in slots and part.mlp_gate is not None:
        yield "MLP gate", "mlp_pre", part.mlp_gate
    if ("m" in slots or "w" in slots) and part.mlp_out is not None:
        yield "MLP output", "mlp_out", part.mlp_out


def _prove_linear(model: Model, module: nn.Module, name: str, where: str) -> None:
    stored = getattr(module, "weight", None)
    if not isinstance(stored, Tensor) or not stored.is_floating_point() or stored.ndim != 2:
        raise CheckFailed(
            f"{name} ({type(module).__name__}) has no plain weight matrix",
            mend=f"load the model unquantised, or {MEND}",
            where=where,
        )
    if stored.is_meta:
        raise CheckFailed(
            f"the weight of {name} is not in memory",
            mend="load the model without offloading its weights to disk",
            where=where,
        )
    if not bool(torch.isfinite(stored).all()):
        raise _not_finite(model, stored, name, where)
    gap = _linear_gap(model, module)
    if not gap <= _bound(stored.dtype):
        raise _more_than(name, module, gap, where)


def _not_finite(model: Model, stored: Tensor, name: str, where: str) -> ShapeError:
    held = next((key for key, value in model.hf.named_parameters() if value is stored), "weight")
    return ShapeError(
        f"{name} holds NaN or infinity",
        mend=f"look at the weights ({held}): training, conversion or loading made them so; "
        "load a sound copy",
        where=where,
    )


def _linear_gap(model: Model, module: nn.Module) -> float:
    """Root-mean-square difference from weight and bias, relative to the larger of both."""
    weight = linear_weight(module).detach()
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(1, _ROWS, weight.shape[0], generator=generator).to(weight)
    stored = getattr(module, "bias", None)
    bias = stored if isinstance(stored, Tensor) else None
    with model.adapted.passing(), torch.no_grad():
        try:
            expected = [linear(given, weight.T, bias)]
            if bias is not None:
                expected.append(linear(given, weight.T) + bias)  # rounded twice: Falcon's way
            found = module(given)
        except (RuntimeError, TypeError, ValueError):  # no map of these sizes
            return float("inf")
    return min(_relative(found, each) for each in expected)


def _relative(found: object, expected: Tensor) -> float:
    if not isinstance(found, Tensor) or found.shape != expected.shape:
        return float("inf")
    one, two = found.double(), expected.double()
    scale = max(float(one.square().mean()), float(two.square().mean()), 1e-300)
    return float((one - two).square().mean() / scale) ** 0.5


def _bound(dtype: torch.dtype) -> float:
    """The self-check's; in half precision half a step, since both are made by the same kernel."""
    half = torch.finfo(dtype).bits == 16
    return torch.finfo(dtype).eps / 2 if half else outer_bound(dtype)


def _prove_around(model: Model, parts: Sequence[Layer], slots: str) -> None:
    """Call what lies around the maps with its hooks and without them, where there are some."""
    hooked = [(part, kind) for part in parts for kind in _around(part, slots)]
    if not hooked:
        return
    length = min(_LENGTH, model.n_ctx or _LENGTH)
    ids = torch.arange(length)[None] % model.d_vocab
    with model.adapted.passing(), torch.no_grad():
        calls, _ = record_calls(model.adapted, Batch(ids))
        for part, kind in hooked:
            module, site = _place(part, kind)
            gap = _hook_gap(model, kind, module, calls[part.index])
            if not gap <= outer_bound(model.dtype):
                inside = "" if kind == "block" else f"the {kind} of "
                name = f"{inside}block {part.index}"
                raise _more_than(name, module, gap, f"L{part.index}.{site}")


def _place(part: Layer, kind: str) -> tuple[Any, str]:
    """The module of that kind, and the site that it makes."""
    return {
        "block": (part.block, "resid_post"),
        "attention": (part.attn, "attn_out"),
        "MLP": (part.mlp, "mlp_out"),
    }[kind]


def _around(part: Layer, slots: str) -> list[str]:
    """Which of block, attention and MLP carry hooks."""
    kinds = ["block", "attention"]
    if part.mlp is not None and ("m" in slots or "w" in slots):
        kinds.append("MLP")
    held = [(kind, _place(part, kind)[0]) for kind in kinds]
    return [kind for kind, each in held if each._forward_hooks or each._forward_pre_hooks]


def _hook_gap(model: Model, kind: str, module: nn.Module, call: BlockCall) -> float:
    """A module called on a recorded stream, against its ``forward``, which no hook sees."""
    args, options = (call.stream, *call.args), call.kwargs
    if kind != "block":
        residual = (call.stream,) if model.adapted.family.name == "bloom" else ()
        args, options = (call.stream, *residual), call.call.kwargs if kind == "attention" else {}
    try:
        found, expected = (way(*args, **options) for way in (module, module.forward))
    except (RuntimeError, TypeError, ValueError):
        return float("inf")
    found, expected = (each[0] if isinstance(each, tuple) else each for each in (found, expected))
    return _relative(found, expected)
