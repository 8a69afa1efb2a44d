"""The store on disk."""

from __future__ import annotations

from pydantic import BaseModel


class StorePart(BaseModel):
    """Files of one kind: how many, and their size in bytes."""

    files: int
    size_bytes: int


class StoreFacts(BaseModel):
    """Where the history is kept, and how large it is.

    ``records`` counts runs; ``tensors`` are numbers of edits, ``sweeps`` finished cells.
    """

    folder: str
    records: int
    runs: StorePart
    tensors: StorePart
    sweeps: StorePart
