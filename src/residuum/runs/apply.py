"""Applying edits: from the value at a site to the value that goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from residuum.core import (
    Add,
    Address,
    AddressError,
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


@runtime_checkable
class Placed(Protocol):
    """A dictionary that knows the sites it was made for; at others it is refused."""

    @property
    def reads(self) -> tuple[Address, ...]:
        """The sites it encodes."""
        ...

    @property
    def writes(self) -> tuple[Address, ...]:
        """The sites it rebuilds."""
        ...


@dataclass
class Planned:
    """One edit at one site of this run.

    Attributes:
        frozen: the value from the unedited run, for ``Freeze``.
        coder: the dictionary, for ``Splice`` and for edits of latents.
        fired: forward calls in which it wrote something.
        rows: prompts in the whole run.
        first_row, chunk: index, in the whole run, of this pass's first prompt, and how many it
            has; 0 where the pass is not one of several.
    """

    edit: Edit
    address: Address
    frozen: Tensor | None = None
    coder: Coder | None = None
    fired: int = 0
    rows: int = 0
    first_row: int = 0
    chunk: int = 0
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
        whole = View(latents_site(self.address), view.columns)
        old = whole.read(value)
        if old is None or old.numel() == 0:
            return value
        latents = encoded(self.coder, self.address, old)
        index = self.address.part
        if not isinstance(index, int):
            edited = _RULES[type(self.edit)](self, latents)
        else:
            edited = latents.clone()
            edited[..., index] = _RULES[type(self.edit)](self, latents[..., index])
        before, after = (decoded(self.coder, self.address, x, old) for x in (latents, edited))
        self.fired += 1
        return whole.write(value, (after + (old - before)).to(value.dtype))

    def tensor(self, name: str, like: Tensor) -> Tensor:
        """A tensor of the edit, on the device and in the dtype of ``like``."""
        key = f"{name}{like.device}{like.dtype}"
        if key not in self.cache:
            ref = getattr(self.edit, name)
            cast = live(ref).to(device=like.device, dtype=like.dtype)
            if not bool(cast.isfinite().all()):
                raise ShapeError(
                    f"{self.edit.kind} has numbers too large for {like.dtype}",
                    mend="give smaller numbers, or load the model in a wider dtype",
                    where=str(self.address),
                )
            self.cache[key] = cast
        return self.cache[key]


def latents_site(address: Address) -> Address:
    """The part of the site that a dictionary reads: all of it, at the address's positions."""
    return Address(address.name, address.layer, pos=address.pos)


def encoded(coder: Coder, address: Address, x: Tensor) -> Tensor:
    """Latents of a site's vectors ``[... latent]``.

    Raises:
        ShapeError: the dictionary reads vectors of another width.
        AddressError: the address names a latent that the dictionary does not have.
    """
    try:
        latents = coder.encode(x)
    except RuntimeError as error:
        raise _misfit(address, str(error).splitlines()[0]) from error
    if isinstance(address.part, int) and address.dictionary and address.part >= latents.shape[-1]:
        raise AddressError(
            f"latent {address.part} is out of range: {address.dictionary} has {latents.shape[-1]}",
            mend=f"use 0 to {latents.shape[-1] - 1}",
            where=str(address),
        )
    return latents


def decoded(coder: Coder, address: Address, latents: Tensor, like: Tensor) -> Tensor:
    """What the dictionary makes of latents, of the shape of ``like``.

    Raises:
        ShapeError: it writes vectors of another width.
    """
    try:
        out = coder.decode(latents)
    except RuntimeError as error:
        raise _misfit(address, str(error).splitlines()[0]) from error
    if out.shape != like.shape:
        raise _misfit(address, f"it makes {list(out.shape)} of {list(like.shape)}")
    return out


def _misfit(address: Address, reason: str) -> ShapeError:
    return ShapeError(
        f"the dictionary does not fit the site: {reason}",
        mend="hang it on the site that it was trained on",
        where=str(address),
    )


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
    if isinstance(planned.edit, Patch):  # another run's value: only its batch may be of one
        own = zip(reversed(new.shape[new.ndim == old.ndim :]), reversed(old.shape), strict=False)
        fits = fits and all(given == wanted for given, wanted in own)
    if not fits or new.ndim > old.ndim:
        raise ShapeError(
            f"{planned.edit.kind} got shape {list(new.shape)}, the site has {list(old.shape)}",
            mend=f"give {list(old.shape)}, or trailing axes of it such as {list(old.shape[-1:])}",
            where=str(planned.address),
        )
    return new.expand_as(old).clone(memory_format=torch.contiguous_format)


def _value(planned: Planned, old: Tensor) -> Tensor:
    new = planned.tensor("value", old)
    of_all = new.ndim == old.ndim and new.shape[0] == planned.rows
    if of_all and old.shape[0] == planned.chunk != planned.rows:
        new = new[planned.first_row : planned.first_row + old.shape[0]]
    return _fit(planned, new, old)


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
        if pool.ndim != old.ndim or not len(pool):
            raise ShapeError(
                f"resample got rows of shape {list(pool.shape)}, the site has {list(old.shape)}",
                mend=f"give reference rows [row, {', '.join(map(str, old.shape[1:]))}]",
                where=str(planned.address),
            )
        chosen = torch.randint(len(pool), (max(planned.rows, rows),), generator=generator)
        own = chosen[planned.first_row : planned.first_row + rows]
        return _fit(planned, pool[own.to(pool.device)], old)
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
        new = old @ _want(planned, "matrix", old, (width, width)).T
    else:
        basis = _basis(planned, old)
        new = old - (old @ basis.T) @ basis
    return new if edit.bias is None else new + _want(planned, "bias", old, (width,))


def _basis(planned: Planned, old: Tensor) -> Tensor:
    """Orthonormal rows that span the directions to erase, ``[rank d]``."""
    key = f"basis{old.device}{old.dtype}"
    if key not in planned.cache:
        work = torch.promote_types(old.dtype, torch.float32)
        given = planned.tensor("directions", old).to(work)
        rows = given.unsqueeze(0) if given.ndim == 1 else given
        if rows.ndim != 2 or rows.shape[1] != old.shape[-1]:
            raise _wrong_shape(planned, "directions", given, f"[{old.shape[-1]}]")
        _, sizes, basis = torch.linalg.svd(rows, full_matrices=False)
        least = sizes.max() * max(rows.shape) * torch.finfo(work).eps
        kept = sizes > least
        if not bool(kept.any()):
            raise refuse(
                planned.edit, planned.address, "the direction is zero", "give one with a length"
            )
        planned.cache[key] = basis[kept].to(old.dtype)
    return planned.cache[key]


def _want(planned: Planned, name: str, old: Tensor, shape: tuple[int, ...]) -> Tensor:
    tensor = planned.tensor(name, old)
    if tuple(tensor.shape) != shape:
        raise _wrong_shape(planned, name, tensor, str(list(shape)))
    return tensor


def _wrong_shape(planned: Planned, name: str, tensor: Tensor, wanted: str) -> ShapeError:
    plural = ", or several rows of that" if name == "directions" else ""
    return ShapeError(
        f"erase got {name} of shape {list(tensor.shape)}, the site's vectors ask for {wanted}",
        mend=f"give {name} of shape {wanted}{plural}",
        where=str(planned.address),
    )


def _splice(planned: Planned, old: Tensor) -> Tensor:
    coder, at = planned.coder, planned.address
    assert coder is not None and isinstance(planned.edit, Splice)
    rebuilt = decoded(coder, at, encoded(coder, at, old), old)
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
