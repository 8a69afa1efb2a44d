"""Tensors by content: one safetensors file each, named by the hash of what is in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from residuum.core import StoreError, TensorRef, tensor_hash, tensor_ref
from residuum.stores.atomic import write_atomically
from residuum.stores.tensor_file import StoredTensor, decode, encode


class TensorStore:
    """A folder of tensors. Writing twice is harmless; reading checks the hash.

    Args:
        root: the folder; made when the first tensor is put.

    >>> import tempfile
    >>> store = TensorStore(tempfile.mkdtemp())
    >>> ref = store.put([[1.0, 2.0]])
    >>> store.get(ref)
    array([[1., 2.]])
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def put(self, value: Any) -> TensorRef:
        """Store a torch tensor, NumPy array, number, nested list, or the payload of a reference.

        Returns:
            The reference, with its payload.

        Raises:
            ShapeError: the value is no tensor of finite numbers.
            StoreError: a reference without payload whose tensor is not here, or whose payload
                was written into.
        """
        ref = tensor_ref(value)
        if ref in self:
            return self.attach(ref) if ref.payload is None else ref
        if ref.payload is None:
            raise self._absent(ref)
        values = _values(ref)
        if tensor_hash(ref.dtype, values.shape, values) != ref.hash:
            raise StoreError(
                f"the payload of {ref} is not what it refers to",
                mend="never write into a payload; make a new reference with tensor_ref",
            )
        write_atomically(self.path(ref), encode(StoredTensor(ref.dtype, values)))
        return ref

    def get(self, ref: TensorRef) -> np.ndarray:
        """The tensor's values: an array of the reference's shape and dtype, the caller's own.

        bfloat16, which NumPy lacks, comes as float32 with the same values; :meth:`attach` keeps it.

        Raises:
            StoreError: the tensor is not here, or its file is damaged.
        """
        path = self.path(ref)
        try:
            stored = decode(path.read_bytes())
        except FileNotFoundError:
            raise self._absent(ref) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _damaged(path, str(error)) from error
        shape = stored.values.shape
        if tensor_hash(stored.dtype, shape, stored.values) != ref.hash:
            raise _damaged(path, "its content does not have the hash in its name")
        if (shape, stored.dtype) != (ref.shape, ref.dtype):
            raise StoreError(
                f"the reference says {ref.dtype}{list(ref.shape)}, "
                f"the tensor is {stored.dtype}{list(shape)}",
                mend="take the reference from the file that put wrote it to, unchanged",
                where=str(path),
            )
        return stored.values

    def attach(self, ref: TensorRef) -> TensorRef:
        """The reference with its numbers: an array, or a torch tensor where it is bfloat16.

        Raises:
            StoreError: the tensor is not here, or its file is damaged.
        """
        values = self.get(ref)
        if ref.dtype != "bfloat16":
            return replace(ref, payload=values)
        import torch

        return replace(ref, payload=torch.from_numpy(values).to(torch.bfloat16))

    def path(self, ref: TensorRef) -> Path:
        """The file of this tensor, whether it is there or not.

        Raises:
            StoreError: the hash is no SHA-256 in hex, and so might name a file elsewhere.
        """
        if len(ref.hash) != 64 or set(ref.hash) - set("0123456789abcdef"):
            raise StoreError(
                f"{ref.hash!r} is not a hash", mend="a hash is 64 hexadecimal digits, lower case"
            )
        return self.root / f"{ref.hash}.safetensors"

    def __contains__(self, ref: object) -> bool:
        """Whether the tensor is here and undamaged."""
        if not isinstance(ref, TensorRef) or not self.path(ref).exists():
            return False
        try:
            self.get(ref)
        except StoreError:
            return False
        return True

    def _absent(self, ref: TensorRef) -> StoreError:
        return StoreError(
            f"no tensor {ref.hash[:12]} ({ref.dtype}{list(ref.shape)}) in the store",
            mend="copy the folder of tensors along with the file that refers to it",
            where=str(self.root),
        )


def _values(ref: TensorRef) -> np.ndarray:
    """The payload as an array; float32 for bfloat16."""
    payload = ref.payload
    if hasattr(payload, "detach"):
        payload = payload.detach().cpu()
        payload = (payload.float() if ref.dtype == "bfloat16" else payload).numpy()
    return np.asarray(payload)


def _damaged(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"the stored tensor is damaged: {reason}",
        mend="delete the file and make the tensor again",
        where=str(path),
    )
