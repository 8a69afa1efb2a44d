"""Edits: frozen data saying what to write at a site. Printable, comparable, storable, replayable.

>>> edit = Zero("L2.z[H3]")
>>> edit_from_json(edit.to_json()) == edit
True
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from inspect import Parameter, signature
from typing import Any, ClassVar

from residuum.core.address import Address
from residuum.core.errors import EditError
from residuum.core.tensors import TensorRef, tensor_ref


@dataclass(frozen=True)
class Edit:
    """Base of all edits: a place, and in each kind what is written there.

    Attributes:
        at: address or query of the site; a part narrows it to a head or neuron, a position to
            one token. In generation a negative position counts from the end of the prompt.
    """

    kind: ClassVar[str] = ""
    at: Address

    def __init__(self, at: str | tuple[str, int] | Address) -> None:
        object.__setattr__(self, "at", Address.parse(at))

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", Address.parse(self.at))

    def to_json(self) -> dict[str, Any]:
        """The edit as plain data; tensors as references."""
        data: dict[str, Any] = {"kind": self.kind}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Address):
                value = str(value)
            elif isinstance(value, TensorRef):
                value = value.to_json()
            data[each.name] = value
        return data

    def tensors(self) -> dict[str, TensorRef]:
        """The tensors it refers to, by field name."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, TensorRef)}

    def _adopt(self, name: str) -> None:
        """Turn the live tensor, or the run, in a field into a reference to the tensor."""
        value = getattr(self, name)
        if hasattr(value, "site_value"):
            value = value.site_value(self.at)
        if value is not None:
            object.__setattr__(self, name, tensor_ref(value, where=f"{self.kind} at {self.at}"))

    def _need(self, name: str) -> None:
        if getattr(self, name) is None:
            raise EditError(
                f"{self.kind} at {self.at} has no {name}", mend="give a tensor, an array or a run"
            )

    def _finite(self, name: str, number: float) -> float:
        """The number as a float, or an error if it is none or not finite."""
        try:
            value = float(number)
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise EditError(
                f"{self.kind} at {self.at} has {name} {number!r}", mend="give a finite number"
            )
        return value


@dataclass(frozen=True, init=False)
class Zero(Edit):
    """Write zeros."""

    kind: ClassVar[str] = "zero"


@dataclass(frozen=True, init=False)
class Freeze(Edit):
    """Hold the site at what it is in the same run without edits."""

    kind: ClassVar[str] = "freeze"


@dataclass(frozen=True)
class Scale(Edit):
    """Multiply by a number."""

    kind: ClassVar[str] = "scale"
    at: Address
    factor: float = 1.0

    def __init__(self, at: str | tuple[str, int] | Address, factor: float) -> None:
        Edit.__init__(self, at)
        object.__setattr__(self, "factor", self._finite("factor", factor))


@dataclass(frozen=True)
class _Valued(Edit):
    at: Address
    value: TensorRef = field(default=None)  # type: ignore[assignment]

    def __init__(self, at: str | tuple[str, int] | Address, value: Any) -> None:
        object.__setattr__(self, "value", value)
        Edit.__init__(self, at)
        self._need("value")
        self._adopt("value")


@dataclass(frozen=True, init=False)
class Set(_Valued):
    """Write a constant, broadcast over batch and positions."""

    kind: ClassVar[str] = "set"


@dataclass(frozen=True, init=False)
class Patch(_Valued):
    """Write the site's value from another run: a tensor of the site's shape, or the run itself."""

    kind: ClassVar[str] = "patch"


@dataclass(frozen=True, init=False)
class Mean(_Valued):
    """Write a mean over reference prompts: a tensor, or a run captured with ``reduce="mean"``."""

    kind: ClassVar[str] = "mean"


@dataclass(frozen=True)
class Add(Edit):
    """Add a vector, times ``scale``."""

    kind: ClassVar[str] = "add"
    at: Address
    value: TensorRef
    scale: float = 1.0

    def __init__(self, at: str | tuple[str, int] | Address, value: Any, scale: float = 1.0) -> None:
        object.__setattr__(self, "value", value)
        Edit.__init__(self, at)
        object.__setattr__(self, "scale", self._finite("scale", scale))
        self._need("value")
        self._adopt("value")


@dataclass(frozen=True)
class Resample(Edit):
    """Write the site's value on another prompt: of the batch, or of reference rows.

    Attributes:
        seed: seed of the choice of rows, recorded with the edit.
        value: reference rows ``[row, ...site]``; None means the other prompts of the same batch.
    """

    kind: ClassVar[str] = "resample"
    at: Address
    seed: int = 0
    value: TensorRef | None = None

    def __init__(
        self, at: str | tuple[str, int] | Address, seed: int = 0, value: Any = None
    ) -> None:
        object.__setattr__(self, "seed", seed)
        object.__setattr__(self, "value", value)
        Edit.__init__(self, at)
        if type(seed) is not int:
            raise EditError(
                f"resample at {self.at} has seed {seed!r}", mend="give a whole number as the seed"
            )
        self._adopt("value")


@dataclass(frozen=True)
class Erase(Edit):
    """Take a direction or subspace out: ``x - P x``, or the affine map ``matrix @ x + bias``.

    Attributes:
        directions: ``[d]`` or ``[k, d]``; they are orthonormalised, so their length is ignored.
        matrix: ``[d, d]``, such as LEACE's; instead of ``directions``.
        bias: ``[d]``, added after ``matrix`` (or after the projection).
    """

    kind: ClassVar[str] = "erase"
    at: Address
    directions: TensorRef | None = None
    matrix: TensorRef | None = None
    bias: TensorRef | None = None

    def __init__(
        self,
        at: str | tuple[str, int] | Address,
        directions: Any = None,
        *,
        matrix: Any = None,
        bias: Any = None,
    ) -> None:
        for name, value in (("directions", directions), ("matrix", matrix), ("bias", bias)):
            object.__setattr__(self, name, value)
        Edit.__init__(self, at)
        if (directions is None) == (matrix is None):
            raise EditError(
                f"erase at {self.at} needs either directions or a matrix",
                mend="give Erase(at, direction) or Erase(at, matrix=..., bias=...)",
            )
        for name in ("directions", "matrix", "bias"):
            self._adopt(name)


@dataclass(frozen=True)
class Splice(Edit):
    """Put a loaded dictionary's reconstruction in the site's place.

    Attributes:
        dictionary: its name on the model.
        keep_error: add what the dictionary missed, so that nothing changes but later edits of its
            latents.
    """

    kind: ClassVar[str] = "splice"
    at: Address
    dictionary: str = ""
    keep_error: bool = False

    def __init__(
        self, at: str | tuple[str, int] | Address, dictionary: str, keep_error: bool = False
    ) -> None:
        object.__setattr__(self, "dictionary", dictionary)
        object.__setattr__(self, "keep_error", keep_error)
        Edit.__init__(self, at)
        if type(keep_error) is not bool:
            raise EditError(
                f"splice at {self.at} has keep_error {keep_error!r}", mend="give True or False"
            )


EDITS: dict[str, type[Edit]] = {
    each.kind: each
    for each in (Zero, Mean, Resample, Patch, Add, Scale, Set, Erase, Freeze, Splice)
}
"""Kind -> class, as in JSON."""


def edit_from_json(data: dict[str, Any], tensors: dict[str, Any] | None = None) -> Edit:
    """Read an edit back.

    Args:
        data: what :meth:`Edit.to_json` wrote.
        tensors: hash -> tensor, for the edits that refer to some; may be left out when the
            numbers are resolved from a store later.

    Raises:
        EditError: unknown kind, unknown field, or a field that is missing.
    """
    kind = data.get("kind")
    cls = EDITS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise EditError(f"unknown kind of edit {kind!r}", mend=f"kinds are: {', '.join(EDITS)}")
    given = {key: value for key, value in data.items() if key != "kind"}
    _check_fields(cls, given)
    for key, value in given.items():
        if isinstance(value, dict):
            ref = TensorRef.from_json(value)
            given[key] = replace(ref, payload=(tensors or {}).get(ref.hash))
    return cls(**given)


def _check_fields(cls: type[Edit], given: dict[str, Any]) -> None:
    known = {each.name for each in fields(cls)}
    needed = {
        name for name, each in signature(cls).parameters.items() if each.default is Parameter.empty
    }
    wrong = [f"unknown {name!r}" for name in sorted(set(given) - known)]
    wrong += [f"no {name!r}" for name in sorted(needed - set(given))]
    if wrong:
        raise EditError(
            f"{cls.kind} edit cannot be read: {', '.join(wrong)}",
            mend=f"fields of {cls.kind} are: {', '.join(sorted(known))}",
        )
