"""References to tensors: what edits and records hold instead of the numbers themselves."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from residuum.core.errors import ShapeError

DTYPES = (
    "float32", "float16", "bfloat16", "float64",
    "int64", "int32", "int16", "int8", "uint8", "bool",
)  # fmt: skip
"""Dtypes that a reference can have."""


@dataclass(frozen=True, repr=False)
class TensorRef:
    """A tensor by content: hash, shape and dtype. The numbers live in a store.

    Attributes:
        hash: SHA-256 over dtype, shape and bytes, in hex.
        shape: its shape.
        dtype: name such as ``"float32"``.
        payload: the live array or tensor while this process has it; not part of the identity and
            never written to JSON.
    """

    hash: str
    shape: tuple[int, ...]
    dtype: str
    payload: Any = field(default=None, compare=False, repr=False)

    def __repr__(self) -> str:
        return f"<{self.dtype} {list(self.shape)} {self.hash[:8]}>"

    def to_json(self) -> dict[str, Any]:
        """Hash, shape and dtype as plain data."""
        return {"hash": self.hash, "shape": list(self.shape), "dtype": self.dtype}

    @staticmethod
    def from_json(data: dict[str, Any]) -> TensorRef:
        """Read what :meth:`to_json` wrote; the payload comes from a store.

        Raises:
            ShapeError: it has other keys than hash, shape and dtype.
        """
        if set(data) != {"hash", "shape", "dtype"}:
            raise ShapeError(
                f"not a reference to a tensor: its keys are {', '.join(sorted(data)) or 'none'}",
                mend='write {"hash": ..., "shape": [...], "dtype": ...}',
            )
        return TensorRef(data["hash"], tuple(data["shape"]), data["dtype"])


def tensor_ref(value: Any, *, where: str = "") -> TensorRef:
    """Make a reference to a torch tensor, NumPy array, number or nested list of numbers.

    The payload is a private copy: what is edited later does not change the reference.

    Raises:
        ShapeError: the value holds NaN or infinities, or is no array of numbers.
    """
    import numpy as np

    if isinstance(value, TensorRef):
        return value
    tensor = hasattr(value, "detach")
    copy = value.detach().clone() if tensor else _array(value, where)
    dtype = str(copy.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise ShapeError(
            f"tensors of dtype {dtype} cannot be referred to",
            mend=f"convert it to one of: {', '.join(DTYPES)}",
            where=where,
        )
    plain = copy.cpu().float().numpy() if dtype == "bfloat16" else _numpy(copy)
    if not np.isfinite(plain).all():
        raise ShapeError(
            "the value holds NaN or infinity",
            mend="look where it comes from; replacements must be finite numbers",
            where=where,
        )
    shape = tuple(int(n) for n in copy.shape)
    return TensorRef(tensor_hash(dtype, shape, plain), shape, dtype, copy)


def tensor_hash(dtype: str, shape: tuple[int, ...], values: Any) -> str:
    """The identity of a tensor: SHA-256 over dtype, shape and values, in hex.

    Args:
        dtype: one of :data:`DTYPES`.
        shape: its shape.
        values: NumPy array of that dtype; of float32 for ``"bfloat16"``, which NumPy lacks.
    """
    digest = hashlib.sha256(f"{dtype}{shape}".encode())
    digest.update(values.tobytes(order="C"))
    return digest.hexdigest()


def _numpy(value: Any) -> Any:
    return value.cpu().numpy() if hasattr(value, "cpu") else value


def _array(value: Any, where: str) -> Any:
    import numpy as np

    try:
        array = np.array(value, dtype=None)
    except (TypeError, ValueError) as error:
        array = np.array(None, dtype=object)
        reason = str(error)
    else:
        reason = f"got {type(value).__name__}"
    if array.dtype.kind not in "fiub":
        raise ShapeError(
            f"not an array of numbers: {reason}", mend="give a tensor or array", where=where
        )
    number = array.dtype.kind in "iub" or array.ndim == 0
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused as that
        return array.astype("float32" if number else array.dtype.newbyteorder("="))
