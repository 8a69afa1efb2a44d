"""Several named arrays in one safetensors file, mapped rather than read, with NumPy alone.

bfloat16, which NumPy lacks, is handed in and out as the ``uint16`` of its bits.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from residuum.stores.atomic import write_parts_atomically

NUMPY_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
}  # fmt: skip
"""Code of a dtype in the file -> how NumPy reads its bytes."""


@dataclass(frozen=True)
class ArrayHeader:
    """The header of a file of arrays.

    Attributes:
        entries: name -> ``dtype`` (its code), ``shape``, ``data_offsets``.
        words: the file's own metadata, text by name.
        start: byte at which the values begin.
    """

    entries: dict[str, dict[str, Any]]
    words: dict[str, str]
    start: int

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self.start + max(each["data_offsets"][1] for each in self.entries.values())


def write_arrays(
    path: Path, arrays: Mapping[str, tuple[str, np.ndarray]], words: Mapping[str, str]
) -> str:
    """Write arrays, each with the code of its dtype; the file is there in full or not at all.

    Args:
        words: kept in the header, with ``sha256`` of the values added.

    Returns:
        That hash.

    Raises:
        OSError: the disk does not take it.
    """
    plain = [np.ascontiguousarray(array, NUMPY_TYPES[code]) for code, array in arrays.values()]
    entries, at = {}, 0
    for (name, (code, _)), array in zip(arrays.items(), plain, strict=True):
        place = [at, at + array.nbytes]
        entries[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": place}
        at += array.nbytes
    buffers = [array.reshape(-1).view(np.uint8).data for array in plain if array.nbytes]
    digest = hashlib.sha256()
    for buffer in buffers:
        digest.update(buffer)
    metadata = {**words, "sha256": digest.hexdigest()}
    header = json.dumps({"__metadata__": metadata, **entries}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    write_parts_atomically(path, [len(header).to_bytes(8, "little"), header, *buffers])
    return digest.hexdigest()


def read_header(path: Path) -> ArrayHeader:
    """The header of a file, which must be as long as the header says.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file, or not all of it.
    """
    with path.open("rb") as file:
        length, size = int.from_bytes(file.read(8), "little"), path.stat().st_size
        if size < 8 or length > size - 8:
            raise ValueError(f"{size} bytes")
        entries = json.loads(file.read(length))
    words = entries.pop("__metadata__", {})
    header = ArrayHeader(entries, words, 8 + length)
    for name, each in entries.items():
        first, last = each["data_offsets"]
        width = np.dtype(NUMPY_TYPES[each["dtype"]]).itemsize
        if last - first != math.prod(each["shape"]) * width:
            raise ValueError(f"{name} has another size than its shape")
    if not entries or header.size != size:
        raise ValueError(f"{size} bytes")
    return header


def map_array(path: Path, header: ArrayHeader, name: str) -> np.ndarray:
    """One array, mapped from the file: what is not looked at is not read."""
    entry = header.entries[name]
    dtype, shape = np.dtype(NUMPY_TYPES[entry["dtype"]]), tuple(entry["shape"])
    if not math.prod(shape):
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", header.start + entry["data_offsets"][0], shape)


def values_hash(path: Path, header: ArrayHeader) -> str:
    """SHA-256 of the values as they stand in the file now."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(header.start)
        for block in _blocks(file):
            digest.update(block)
    return digest.hexdigest()


def _blocks(file: Any, size: int = 2**20) -> Iterator[bytes]:
    while block := file.read(size):
        yield block
