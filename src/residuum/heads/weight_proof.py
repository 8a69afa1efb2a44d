"""Whether a model does what its weights say: proved before a verb reads the weights.

An adapter in place of a projection, a hook on a module, a quantised matrix or a module that was
exchanged after loading make a model do something else than its ``weight`` tensors. Each linear map
that is read is called once on random input and compared with its weight; a block that carries hooks
is called with them and without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from residuum.core import AddressError, LoadError, ShapeError
from residuum.models import Batch, Layer
from residuum.models.parts import find_parts
from residuum.models.projections import linear_weight
from residuum.runs import BlockCall, Model, outer_bound, record_calls

MEND = (
    "merge the adapter into the weights (PEFT: merge_and_unload()), or take the hook off, then "
    "load the model again; captures, patching and ablation work on the model as it is"
)
_ROWS = 8
_LENGTH = 4


def prove_weights(model: Model, part: Layer, slots: str) -> None:
    """Refuse a block whose weights do not say what it does.

    Args:
        slots: what is read: ``q``, ``k``, ``v``, ``o`` of attention, ``m`` for the MLP.

    Raises:
        AddressError: a projection, or the block around it, does something else than its weights.
        ShapeError: NaN or infinity in a weight.
    """
    _prove_place(model, part)
    done: set[int] = set()
    for name, module in _modules(part, slots):
        if id(module) not in done:
            _prove_linear(model, module, f"the {name} of block {part.index}")
            done.add(id(module))
    _prove_block(model, part, slots)


def prove_unembedding(model: Model) -> None:
    """Refuse an unembedding that does something else than its weight says.

    Raises:
        AddressError, ShapeError: as :func:`prove_weights`.
    """
    parts = model.adapted.parts
    fresh = find_parts(parts.hf, parts.family)
    if fresh.unembed is not parts.unembed or fresh.embed is not parts.embed:
        raise _changed("the embedding or unembedding was exchanged after the model was loaded")
    if parts.unembed is not None:
        _prove_linear(model, parts.unembed, "the unembedding")


def _changed(what: str) -> AddressError:
    return AddressError(f"{what}: its weights do not say what the model does", mend=MEND)


def _prove_place(model: Model, part: Layer) -> None:
    """The modules are still those that were found at load."""
    parts = model.adapted.parts
    try:
        same = find_parts(parts.hf, parts.family).layers[part.index] == part
    except (LoadError, AttributeError, IndexError):
        same = False
    if not same:
        raise _changed(f"a module of block {part.index} was exchanged after the model was loaded")


def _modules(part: Layer, slots: str) -> Iterator[tuple[str, nn.Module]]:
    names = {"q": "query", "k": "key", "v": "value"}
    for slot in slots:
        if slot in names:
            yield f"{names[slot]} projection", part.projections.module(slot)
    if "o" in slots:
        yield "output projection", part.o_proj
    if "m" in slots and part.mlp_kind != "moe":
        named = {"input": part.mlp_in, "gate": part.mlp_gate, "output": part.mlp_out}
        for name, module in named.items():
            if module is not None:
                yield f"MLP {name}", module


def _prove_linear(model: Model, module: nn.Module, name: str) -> None:
    stored = getattr(module, "weight", None)
    if not isinstance(stored, Tensor) or not stored.is_floating_point() or stored.ndim != 2:
        raise AddressError(
            f"{name} is a {type(module).__name__} without a plain weight matrix",
            mend=f"load the model unquantised, or {MEND}",
        )
    if not bool(torch.isfinite(stored).all()):
        raise ShapeError(
            f"{name} holds NaN or infinity",
            mend="look at the weights: training, conversion or loading made them so",
        )
    gap = _linear_gap(model, module)
    if not gap <= _bound(stored.dtype):
        raise _changed(f"{name} has an adapter or a hook{_off(gap)}")


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


def _off(gap: float) -> str:
    """How far off; nothing where the two could not even be compared."""
    return f", off by {gap:.1e}" if gap < float("inf") else ""


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


def _prove_block(model: Model, part: Layer, slots: str) -> None:
    """Call what lies around the maps with its hooks and without them, where there are some."""
    around: dict[str, Any] = {"block": part.block, "attention": part.attn}
    if "m" in slots and part.mlp is not None:
        around["MLP"] = part.mlp
    hooked = {
        name: module
        for name, module in around.items()
        if module._forward_hooks or module._forward_pre_hooks
    }
    if not hooked:
        return
    length = min(_LENGTH, model.n_ctx or _LENGTH)
    ids = torch.arange(length)[None] % model.d_vocab
    with model.adapted.passing(), torch.no_grad():
        calls, _ = record_calls(model.adapted, Batch(ids))
        for name, module in hooked.items():
            gap = _hook_gap(model, name, module, calls[part.index])
            if not gap <= outer_bound(model.dtype):
                raise _changed(
                    f"the {name} of block {part.index} has an adapter or a hook{_off(gap)}"
                )


def _hook_gap(model: Model, name: str, module: nn.Module, call: BlockCall) -> float:
    """A module called on a recorded stream, against its ``forward``, which no hook sees."""
    args, options = (call.stream, *call.args), call.kwargs
    if name != "block":
        residual = (call.stream,) if model.adapted.family.name == "bloom" else ()
        args, options = (call.stream, *residual), call.call.kwargs if name == "attention" else {}
    try:
        found, expected = (way(*args, **options) for way in (module, module.forward))
    except (RuntimeError, TypeError, ValueError):
        return float("inf")
    found, expected = (each[0] if isinstance(each, tuple) else each for each in (found, expected))
    return _relative(found, expected)
