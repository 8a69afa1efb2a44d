"""One tensor as the bytes of a safetensors file, and back, with NumPy alone.

The format: eight bytes with the length of the header (little endian), the header in JSON, the raw
values. bfloat16, which NumPy lacks, is handed in and out as float32: every bfloat16 number is a
float32 number whose lower sixteen bits are zero.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np

_CODES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
_DTYPES = {code: dtype for dtype, code in _CODES.items()}
_NAME = "tensor"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as it stands in a file.

    Attributes:
        dtype: its own dtype, such as ``"bfloat16"``.
        values: NumPy array of that dtype; of float32 for bfloat16.
    """

    dtype: str
    values: np.ndarray


def encode(tensor: StoredTensor) -> bytes:
    """The bytes of a safetensors file that holds this tensor under the name ``tensor``."""
    raw = _to_disk(tensor)
    entry = {
        "dtype": _CODES[tensor.dtype],
        "shape": list(tensor.values.shape),
        "data_offsets": [0, len(raw)],
    }
    header = json.dumps({_NAME: entry}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + raw


def decode(data: bytes) -> StoredTensor:
    """Read the one tensor of a safetensors file.

    Raises:
        ValueError: the bytes are no such file, or not all of it.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise ValueError("the file ends before its header does")
    header = json.loads(data[8 : 8 + length])
    entries = {name: each for name, each in header.items() if name != "__metadata__"}
    if len(entries) != 1:
        raise ValueError(f"one tensor was expected, the file has {len(entries)}")
    return _from_disk(next(iter(entries.values())), data[8 + length :])


def _to_disk(tensor: StoredTensor) -> bytes:
    if tensor.dtype != "bfloat16":
        little = tensor.values.astype(tensor.values.dtype.newbyteorder("<"), copy=False)
        return little.tobytes(order="C")
    bits = np.frombuffer(tensor.values.astype("<f4").tobytes(order="C"), "<u4")
    return (bits >> 16).astype("<u2").tobytes()


def _from_disk(entry: dict, raw: bytes) -> StoredTensor:
    dtype, shape = _DTYPES.get(entry["dtype"]), tuple(entry["shape"])
    if dtype is None:
        raise ValueError(f"tensors of dtype {entry['dtype']} are not stored here")
    kind = np.dtype("uint16" if dtype == "bfloat16" else dtype).newbyteorder("<")
    size = math.prod(shape) * kind.itemsize
    if entry["data_offsets"] != [0, size] or len(raw) != size:
        raise ValueError(f"{len(raw)} bytes do not make a tensor of shape {shape} and {dtype}")
    values = np.frombuffer(raw, kind)
    if dtype == "bfloat16":
        values = (values.astype("uint32") << 16).view("float32")
    native = values.astype(values.dtype.newbyteorder("="))
    return StoredTensor(dtype, native.reshape(shape))
