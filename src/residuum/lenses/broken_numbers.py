"""Where a run first holds NaN or infinity: no reading is made of such numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, ShapeError
from residuum.models import Batch
from residuum.runs import Model

_HALF = (torch.float16, torch.bfloat16)


def need_finite(model: Model, batch: Batch, reading: str, values: Iterable[Any]) -> None:
    """Refuse a reading that holds NaN or infinity, and name the place where they begin.

    Args:
        values: tensors or arrays.
        reading: what was made of the run, for an error that the run itself does not explain.

    Raises:
        ShapeError: a value is not finite. ``where`` is the first site, in forward order, of the
            unedited model that is not, with its first token; the mend names the weights that hold
            such numbers.
    """
    if all(bool(torch.as_tensor(each).isfinite().all()) for each in values):
        return
    refuse_broken(model, batch)
    raise ShapeError(
        f"{reading} is NaN or infinite, though every site of the model is finite",
        mend=_wider(model),
    )


def refuse_broken(model: Model, batch: Batch) -> None:
    """Raise if the unedited model computes NaN or infinity on one of these prompts.

    Raises:
        ShapeError: it does; see :func:`need_finite`.
    """
    spans = zip(batch.starts.tolist(), batch.lengths.tolist(), strict=True)
    for row, (start, length) in enumerate(spans):
        prompt = Batch(batch.ids[row : row + 1, start : start + length])
        place = _first_broken(model, prompt)
        if place is None:
            continue
        of = f" in prompt {row}" if len(batch.ids) > 1 else ""
        raise ShapeError(
            f"the model's numbers are NaN or infinite from {place.base} on{of}",
            mend=_mend(model),
            where=str(place),
        )


def _first_broken(model: Model, prompt: Batch) -> Address | None:
    """The streams first, then the sites of the block that breaks them."""
    outer = [at for at in model.sites if at.layer is None or at.name == "resid_post"]
    ends = _first_of(model, prompt, outer)
    if ends is None or ends.layer is None:
        return ends
    inner = [at for at in model.sites if at.layer == ends.layer]
    return _first_of(model, prompt, inner) or ends


def _first_of(model: Model, prompt: Batch, sites: Sequence[Address]) -> Address | None:
    run = model.run(prompt, capture=[at for at in sites if at.name != "logits"])
    for at in sites:
        value = run.logits if at.name == "logits" else run[str(at)]
        assert isinstance(value, Tensor)
        bad = value.isnan() if at.name == "scores" else ~value.isfinite()  # masked scores are -inf
        if bool(bad.any()):
            axis = at.site.pos_axis
            return at if axis is None else replace(at, pos=int(bad.nonzero()[:, axis].min()))
    return None


def _mend(model: Model) -> str:
    named = [*model.hf.named_parameters(), *model.hf.named_buffers()]
    broken = [
        name for name, value in named
        if not value.is_meta and value.is_floating_point() and not bool(value.isfinite().all())
    ]  # fmt: skip
    if not broken:
        return _wider(model)
    more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    return f"{broken[0]}{more} holds NaN or infinity: load a sound copy of the weights"


def _wider(model: Model) -> str:
    if model.dtype in _HALF:
        name = str(model.dtype).removeprefix("torch.")
        return f"load the model in a wider dtype than {name}: dtype=torch.float32"
    return "the weights are finite: look for a hook or an adapter that makes it so"
