"""Reading a dictionary that this package wrote."""

from __future__ import annotations

from pathlib import Path

from residuum.core import StoreError
from residuum.dictionaries.record.cross_layer import CrossLayerTranscoder
from residuum.dictionaries.record.dictionary import Dictionary
from residuum.dictionaries.record.dictionary_file import read_folder


def read_dictionary(folder: str | Path) -> Dictionary | CrossLayerTranscoder:
    """Read what ``dictionary.save(folder)`` wrote.

    Raises:
        StoreError: no such folder, another format, or tensors that are missing, changed since,
            or do not fit the record.
    """
    tensors, record = read_folder(folder, ("kind",))
    crossed = record["kind"] == "cross_layer_transcoder"
    try:
        return (CrossLayerTranscoder if crossed else Dictionary).of_record(record, tensors)
    except StoreError as error:
        raise StoreError(error.what, mend=error.mend, where=str(folder)) from error
