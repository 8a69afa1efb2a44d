"""Edits: frozen data saying what to write at a site. Printable, comparable, storable, replayable.

>>> edit = Zero("L2.z[H3]")
>>> edit_from_json(edit.to_json()) == edit
True
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
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
        """Turn the live tensor in a field into a reference to it."""
        value = getattr(self, name)
        if value is not None:
            object.__setattr__(self, name, tensor_ref(value, where=f"{self.kind} at {self.at}"))


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
        object.__setattr__(self, "factor", float(factor))
        Edit.__init__(self, at)


@dataclass(frozen=True)
class _Valued(Edit):
    at: Address
    value: TensorRef = field(default=None)  # type: ignore[assignment]

    def __init__(self, at: str | tuple[str, int] | Address, value: Any) -> None:
        object.__setattr__(self, "value", value)
        Edit.__init__(self, at)
        if value is None:
            raise EditError(
                f"{self.kind} at {self.at} has no value", mend="give a tensor, an array or a run"
            )
        if hasattr(value, "site_value"):
            object.__setattr__(self, "value", value.site_value(self.at))
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
        object.__setattr__(self, "scale", float(scale))
        Edit.__init__(self, at)
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
        object.__setattr__(self, "seed", int(seed))
        object.__setattr__(self, "value", value)
        Edit.__init__(self, at)
        if hasattr(value, "site_value"):
            object.__setattr__(self, "value", value.site_value(self.at))
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
        object.__setattr__(self, "keep_error", bool(keep_error))
        Edit.__init__(self, at)


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
        EditError: unknown kind or unknown field.
    """
    kind = data.get("kind")
    cls = EDITS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise EditError(f"unknown kind of edit {kind!r}", mend=f"kinds are: {', '.join(EDITS)}")
    known = {each.name for each in fields(cls)}
    given = {key: value for key, value in data.items() if key != "kind"}
    if set(given) - known or "at" not in given:
        wrong = ", ".join(sorted(set(given) ^ (known & set(given)))) or "no 'at'"
        raise EditError(
            f"{kind} edit has fields it should not, or lacks one: {wrong}",
            mend=f"fields of {kind} are: {', '.join(sorted(known))}",
        )
    for key, value in given.items():
        if isinstance(value, dict):
            ref = TensorRef.from_json(value)
            payload = (tensors or {}).get(ref.hash)
            given[key] = TensorRef(ref.hash, ref.shape, ref.dtype, payload)
    return cls(**given)
