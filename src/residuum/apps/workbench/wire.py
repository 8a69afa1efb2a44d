"""Arrays on the wire: a JSON header and raw little-endian numbers, without copies in between.

``RZA1``, the header's length (uint32, little-endian), the header (UTF-8 JSON: ``meta`` and, for
each array, name, dtype, shape and offset), zeros up to a multiple of 8, then the data. Offsets
count from the data's start and are multiples of 8; arrays are in C order.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

MEDIA_TYPE = "application/vnd.residuum.arrays"
_MAGIC = b"RZA1"
_DTYPES = {"float32": "f4", "float16": "f2", "uint8": "u1", "int32": "i4"}


def pack(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """One message.

    Args:
        meta: plain data.
        arrays: name -> array of float32, float16, uint8 or int32.

    >>> message = pack({"run": "a"}, {"x": np.arange(3, dtype="float32")})
    >>> meta, arrays = unpack(message)
    >>> meta, arrays["x"].tolist()
    ({'run': 'a'}, [0.0, 1.0, 2.0])
    """
    rows, parts, offset = [], [], 0
    for name, array in arrays.items():
        code = _DTYPES[array.dtype.name]
        data = np.ascontiguousarray(array, dtype=f"<{code}")
        rows.append({"name": name, "dtype": code, "shape": list(array.shape), "offset": offset})
        parts += [data.tobytes(), b"\0" * _short(data.nbytes)]
        offset += data.nbytes + _short(data.nbytes)
    header = {"meta": dict(meta), "arrays": rows}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    start = _MAGIC + struct.pack("<I", len(text)) + text
    return b"".join([start, b"\0" * _short(len(start)), *parts])


def unpack(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what :func:`pack` wrote: the meta and the arrays (views into the message).

    Raises:
        ValueError: the message does not begin as one of this format does.
    """
    if message[:4] != _MAGIC:
        raise ValueError(f"not a message of arrays: it begins with {message[:4]!r}")
    length = struct.unpack("<I", message[4:8])[0]
    header = json.loads(message[8 : 8 + length])
    data = 8 + length + _short(8 + length)
    arrays = {}
    for row in header["arrays"]:
        count = int(np.prod(row["shape"], dtype=np.int64))
        flat = np.frombuffer(message, f"<{row['dtype']}", count, data + row["offset"])
        arrays[row["name"]] = flat.reshape(row["shape"])
    return header["meta"], arrays


def _short(length: int) -> int:
    """Bytes missing up to a multiple of 8."""
    return -length % 8
