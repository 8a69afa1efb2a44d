"""Applying edits: from the value at a site to the value that goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from residuum.core import (
    Add,
    Address,
    Edit,
    Erase,
    Freeze,
    Mean,
    Patch,
    Resample,
    Scale,
    Set,
    ShapeError,
    Splice,
    StoreError,
    TensorRef,
    Zero,
)
from residuum.runs.places import View, refuse


class Coder(Protocol):
    """A dictionary hung on a site: what splicing and editing latents need of it."""

    def encode(self, x: Tensor) -> Tensor:
        """``[..., d_model]`` -> ``[..., latent]``."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """``[..., latent]`` -> ``[..., d_model]``."""
        ...


@dataclass
class Planned:
    """One edit at one site of this run.

    Attributes:
        frozen: the value from the unedited run, for ``Freeze``.
        coder: the dictionary, for ``Splice`` and for edits of latents.
        fired: forward calls in which it wrote something.
    """

    edit: Edit
    address: Address
    frozen: Tensor | None = None
    coder: Coder | None = None
    fired: int = 0
    cache: dict[str, Tensor] = field(default_factory=dict)

    def apply(self, value: Tensor, view: View) -> Tensor:
        """The site's tensor after this edit (the same object if no place is in it)."""
        if self.address.dictionary is not None:
            return self._apply_latents(value, view)
        old = view.read(value)
        if old is None or old.numel() == 0:
            return value
        new = _RULES[type(self.edit)](self, old).to(old.dtype)
        self.fired += 1
        return view.write(value, new)

    def _apply_latents(self, value: Tensor, view: View) -> Tensor:
        assert self.coder is not None
        latents = self.coder.encode(value)
        missed = value - self.coder.decode(latents)
        index = self.address.part
        if not isinstance(index, int):
            edited = _RULES[type(self.edit)](self, latents)
        else:
            if index >= latents.shape[-1]:
                raise refuse(
                    self.edit,
                    self.address,
                    f"latent {index} is out of range",
                    f"use 0 to {latents.shape[-1] - 1}",
                )
            edited = latents.clone()
            edited[..., index] = _RULES[type(self.edit)](self, latents[..., index])
        whole = View(
            Address(self.address.name, self.address.layer, pos=self.address.pos), view.columns
        )
        new = whole.read(self.coder.decode(edited) + missed)
        if new is None:
            return value
        self.fired += 1
        return whole.write(value, new.to(value.dtype))

    def tensor(self, name: str, like: Tensor) -> Tensor:
        """A tensor of the edit, on the device and in the dtype of ``like``."""
        key = f"{name}{like.device}{like.dtype}"
        if key not in self.cache:
            ref = getattr(self.edit, name)
            self.cache[key] = live(ref).to(device=like.device, dtype=like.dtype)
        return self.cache[key]


def live(ref: TensorRef) -> Tensor:
    """The numbers behind a reference.

    Raises:
        StoreError: this process does not have them.
    """
    if ref.payload is None:
        raise StoreError(
            f"the tensor {ref.hash[:12]} of an edit is not loaded",
            mend="read the edits with the store they were saved with (tensors=...)",
        )
    return torch.as_tensor(ref.payload)


def _fit(planned: Planned, new: Tensor, old: Tensor) -> Tensor:
    """Broadcast a replacement over leading axes; anything else is an error."""
    try:
        fits = torch.broadcast_shapes(new.shape, old.shape) == old.shape
    except RuntimeError:
        fits = False
    if not fits or new.ndim > old.ndim:
        raise ShapeError(
            f"{planned.edit.kind} got shape {list(new.shape)}, the site has {list(old.shape)}",
            mend=f"give {list(old.shape)}, or trailing axes of it such as {list(old.shape[-1:])}",
            where=str(planned.address),
        )
    return new.expand_as(old).clone(memory_format=torch.contiguous_format)


def _value(planned: Planned, old: Tensor) -> Tensor:
    return _fit(planned, planned.tensor("value", old), old)


def _add(planned: Planned, old: Tensor) -> Tensor:
    assert isinstance(planned.edit, Add)
    return old + planned.edit.scale * _value(planned, old)


def _scale(planned: Planned, old: Tensor) -> Tensor:
    assert isinstance(planned.edit, Scale)
    return old * planned.edit.factor


def _freeze(planned: Planned, old: Tensor) -> Tensor:
    assert planned.frozen is not None
    return _fit(planned, planned.frozen.to(old), old)


def _resample(planned: Planned, old: Tensor) -> Tensor:
    edit = planned.edit
    assert isinstance(edit, Resample)
    generator = torch.Generator().manual_seed(edit.seed)
    rows = old.shape[0]
    if edit.value is not None:
        pool = planned.tensor("value", old)
        chosen = torch.randint(len(pool), (rows,), generator=generator)
        return _fit(planned, pool[chosen.to(pool.device)], old)
    if rows < 2:
        raise refuse(
            edit,
            planned.address,
            "there is only one prompt in the batch to resample from",
            "run several prompts together, or give reference rows as value=",
        )
    order = torch.randperm(rows, generator=generator)
    source = torch.empty_like(order)
    source[order] = order.roll(1)
    return old[source.to(old.device)]


def _erase(planned: Planned, old: Tensor) -> Tensor:
    edit = planned.edit
    assert isinstance(edit, Erase)
    width = old.shape[-1]
    if edit.matrix is not None:
        matrix = planned.tensor("matrix", old)
        _want(planned, matrix, (width, width))
        new = old @ matrix.T
    else:
        directions = planned.tensor("directions", old).reshape(-1, live_width(edit.directions))
        _want(planned, directions[0], (width,))
        basis = torch.linalg.qr(directions.T.to(torch.promote_types(old.dtype, torch.float32)))[0]
        basis = basis.to(old.dtype)
        new = old - (old @ basis) @ basis.T
    return new if edit.bias is None else new + planned.tensor("bias", old)


def live_width(ref: TensorRef | None) -> int:
    """Last axis of a referenced tensor."""
    assert ref is not None
    return ref.shape[-1]


def _want(planned: Planned, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ShapeError(
            f"erase got shape {list(tensor.shape)}, the site's vectors have {list(shape)}",
            mend=f"give directions of width {shape[-1]}",
            where=str(planned.address),
        )


def _splice(planned: Planned, old: Tensor) -> Tensor:
    assert planned.coder is not None and isinstance(planned.edit, Splice)
    rebuilt = planned.coder.decode(planned.coder.encode(old))
    return rebuilt + (old - rebuilt).detach() if planned.edit.keep_error else rebuilt


_RULES: dict[type[Edit], Callable[[Planned, Tensor], Tensor]] = {
    Zero: lambda planned, old: torch.zeros_like(old),
    Scale: _scale,
    Set: _value,
    Patch: _value,
    Mean: _value,
    Add: _add,
    Resample: _resample,
    Freeze: _freeze,
    Erase: _erase,
    Splice: _splice,
}


def needs_base_run(edits: list[Planned]) -> bool:
    """Whether some edit freezes a site at its unedited value."""
    return any(isinstance(each.edit, Freeze) for each in edits)


def describe(edit: Any) -> str:
    """An edit in one short line: kind and place."""
    return f"{edit.kind} {edit.at}"
