"""References to tensors: what edits and records hold instead of the numbers themselves."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from residuum.core.errors import ShapeError


@dataclass(frozen=True)
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

    def to_json(self) -> dict[str, Any]:
        """Hash, shape and dtype as plain data."""
        return {"hash": self.hash, "shape": list(self.shape), "dtype": self.dtype}

    @staticmethod
    def from_json(data: dict[str, Any]) -> TensorRef:
        """Read what :meth:`to_json` wrote; the payload comes from a store."""
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
    plain = copy.cpu().float().numpy() if dtype == "bfloat16" else _numpy(copy)
    if not np.isfinite(plain).all():
        raise ShapeError(
            "the value holds NaN or infinity",
            mend="look where it comes from; replacements must be finite numbers",
            where=where,
        )
    shape = tuple(int(n) for n in copy.shape)
    digest = hashlib.sha256(f"{dtype}{shape}".encode())
    digest.update(np.ascontiguousarray(plain).tobytes())
    return TensorRef(digest.hexdigest(), shape, dtype, copy)


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
    return array.astype("float32") if array.dtype.kind in "iub" or array.ndim == 0 else array
