"""Edits: frozen data saying what to write at a site. Printable, comparable, storable, replayable.

A value is a tensor, an array or nested numbers: of the site's shape, or of its trailing axes (then
it is broadcast over the leading ones). A part or a position in ``at`` narrows the site to that
slice. Whether a shape fits is known when the edit runs: ``ShapeError`` then, ``EditNeverFired`` if
nothing was written.

>>> Zero("L2.z[H3]").to_json()
{'kind': 'zero', 'at': 'L2.z[H3]'}
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from inspect import Parameter, signature
from typing import Any, ClassVar

from residuum.core.address import Address
from residuum.core.errors import EditError
from residuum.core.tensors import TensorRef, tensor_ref


@dataclass(frozen=True, repr=False)
class Edit:
    """Base of all edits: a place, and in each kind what is written there.

    Attributes:
        at: address or query of the site; a part narrows it to a head or neuron, a position to
            one token. In generation a negative position counts from the end of the prompt.

    Raises:
        AddressError: ``at`` is no address.
    """

    kind: ClassVar[str] = ""
    at: Address

    def __init__(self, at: str | tuple[str, int] | Address) -> None:
        object.__setattr__(self, "at", Address.parse(at))

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", Address.parse(self.at))

    def __repr__(self) -> str:
        given = [repr(str(self.at))]
        for name, option in list(signature(type(self)).parameters.items())[1:]:
            value = getattr(self, name)
            if option.default is Parameter.empty:
                given.append(repr(value))
            elif value != option.default:
                given.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(given)})"

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
            value = math.nan if isinstance(number, (str, bytes, bool)) else float(number)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            value = math.nan
        if not math.isfinite(value):
            raise EditError(
                f"{self.kind} at {self.at} has {name} {number!r}", mend="give a finite number"
            )
        return value


@dataclass(frozen=True, init=False, repr=False)
class Zero(Edit):
    """Write zeros.

    Shows: what is lost with the part. Does not show: what it does by itself; zero is a value that
    the model may never have seen there (then use ``Mean`` or ``Resample``).

    >>> Zero("blocks.2.attn.hook_z[H3]@-1")
    Zero('L2.z[H3]@-1')
    """

    kind: ClassVar[str] = "zero"


@dataclass(frozen=True, init=False, repr=False)
class Freeze(Edit):
    """Hold the site at what it is in the same run without edits.

    Shows, beside another edit: how much of its effect does not go through this site. Does not
    show: anything alone, where it changes nothing. Generation refuses it.

    >>> Freeze("L3.attn_out")
    Freeze('L3.attn_out')
    """

    kind: ClassVar[str] = "freeze"


@dataclass(frozen=True, repr=False)
class Scale(Edit):
    """Multiply by a number.

    Attributes:
        factor: 1 leaves the site as it is, 0 is ``Zero``.

    Raises:
        EditError: the factor is no finite number.

    >>> Scale("L1.mlp_out", 0.5)
    Scale('L1.mlp_out', 0.5)
    """

    kind: ClassVar[str] = "scale"
    at: Address
    factor: float = 1.0

    def __init__(self, at: str | tuple[str, int] | Address, factor: float) -> None:
        Edit.__init__(self, at)
        object.__setattr__(self, "factor", self._finite("factor", factor))


@dataclass(frozen=True, repr=False)
class _Valued(Edit):
    at: Address
    value: TensorRef = field(default=None)  # type: ignore[assignment]

    def __init__(self, at: str | tuple[str, int] | Address, value: Any) -> None:
        object.__setattr__(self, "value", value)
        Edit.__init__(self, at)
        self._need("value")
        self._adopt("value")


@dataclass(frozen=True, init=False, repr=False)
class Set(_Valued):
    """Write a constant, broadcast over batch and positions.

    Attributes:
        value: of the site's trailing axes, such as ``[d_model]``, or a number.

    Raises:
        EditError, ShapeError: no value, or one that holds NaN or no numbers.

    >>> Set("L2.z[H3]", 0.0).value.shape
    ()
    """

    kind: ClassVar[str] = "set"


@dataclass(frozen=True, init=False, repr=False)
class Patch(_Valued):
    """Write the site's value from another run: a tensor of the site's shape, or the run itself.

    Attributes:
        value: a tensor of the site's shape (its batch may be 1), or a run that captured the site.

    Raises:
        EditError, ShapeError: no value, or one that holds NaN or no numbers.
        AddressError: the run did not capture the site, or ``at`` means several.

    Shows: what this part carries from one prompt to the other. Does not show: that it is needed.
    Source: Vig et al. 2020, §4 (interchange intervention).

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> donor = model.run("Mary went to the store .", capture=["z"])
    >>> patch = Patch("L2.z[H3]", donor)
    >>> model.run("John went to the store .", edits=[patch]).fired[patch]
    1
    """

    kind: ClassVar[str] = "patch"


@dataclass(frozen=True, init=False, repr=False)
class Mean(_Valued):
    """Write a mean over reference prompts: a tensor, or a run captured with ``reduce="mean"``.

    Attributes:
        value: of the site's trailing axes, such as ``[d_model]`` or ``[head d_head]``.

    Raises:
        EditError, ShapeError: no value, or one that holds NaN or no numbers.
        AddressError: the run did not capture the site, or ``at`` means several.

    Shows: what is lost when the part says the same everywhere. Does not show: what its average
    itself does.

    >>> Mean("L2.z[H3]", [0.5, 0.25]).value.shape
    (2,)
    """

    kind: ClassVar[str] = "mean"


@dataclass(frozen=True, repr=False)
class Add(Edit):
    """Add a vector, times ``scale``.

    Attributes:
        value: of the site's trailing axes, such as ``[d_model]``.
        scale: 1 by default.

    Raises:
        EditError, ShapeError: no value, one that holds NaN, or a scale that is not finite.

    >>> Add("L1.resid_post@-1", [1.0, 0.0], scale=3.0).scale
    3.0
    """

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


@dataclass(frozen=True, repr=False)
class Resample(Edit):
    """Write the site's value on another prompt: of the batch, or of reference rows.

    Attributes:
        seed: seed of the choice of rows, recorded with the edit.
        value: reference rows ``[row, ...site]``; None means the other prompts of the same batch.

    Raises:
        EditError, ShapeError: a seed that is no whole number; rows that hold NaN. In a run: only
            one prompt and no rows.

    >>> Resample("L2.z[H3]", seed=7)
    Resample('L2.z[H3]', seed=7)
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


@dataclass(frozen=True, repr=False)
class Erase(Edit):
    """Take a direction or subspace out: ``x - P x``, or the affine map ``matrix @ x + bias``.

    Attributes:
        directions: ``[d]`` or ``[k, d]``; they are orthonormalised, so their length is ignored.
        matrix: ``[d, d]``, such as LEACE's; instead of ``directions``.
        bias: ``[d]``, added after ``matrix`` (or after the projection).

    Raises:
        EditError, ShapeError: both or neither of directions and matrix; numbers that hold NaN.

    Shows: what depends on the subspace, linearly read. Does not show: that nothing of it is left
    for a reader that is not linear.
    Source: Belrose et al. 2023, "LEACE: Perfect linear concept erasure in closed form", for maps.

    >>> Erase("L1.resid_post", [3.0, 4.0]).directions.shape
    (2,)
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


@dataclass(frozen=True, repr=False)
class Splice(Edit):
    """Put a loaded dictionary's reconstruction in the site's place.

    Attributes:
        dictionary: its name on the model.
        keep_error: add what the dictionary missed, so that nothing changes but later edits of its
            latents.

    Raises:
        EditError: ``keep_error`` is neither True nor False. In a run: a name that the model has no
            dictionary of.

    >>> Splice("L1.resid_post", "sae", keep_error=True)
    Splice('L1.resid_post', 'sae', keep_error=True)
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
