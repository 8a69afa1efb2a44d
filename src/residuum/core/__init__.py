"""Nouns, without torch: addresses, axes, edits, errors, pairs, progress, provenance."""

from residuum.core.address import Address, Span
from residuum.core.axes import AXES, PART_LETTERS
from residuum.core.edit_json import edit_from_json
from residuum.core.edits import (
    EDITS,
    Add,
    Edit,
    Erase,
    Freeze,
    Mean,
    Patch,
    Resample,
    Scale,
    Set,
    Splice,
    Zero,
)
from residuum.core.errors import (
    AddressError,
    CheckFailed,
    EditError,
    EditNeverFired,
    LoadError,
    OptionError,
    ResiduumError,
    ShapeError,
    SiteRefused,
    StoreError,
    TaskError,
    TokenError,
)
from residuum.core.pairs import ContrastPair
from residuum.core.progress import SILENT, Progress, Silent, track
from residuum.core.provenance import Provenance, content_hash, package_version
from residuum.core.sites import ALIASES, ATTENTION_DOOR, SITES, Site, dims_of, translate_alias
from residuum.core.tensors import DTYPES, TensorRef, tensor_hash, tensor_ref

__all__ = [
    "ALIASES",
    "ATTENTION_DOOR",
    "AXES",
    "DTYPES",
    "EDITS",
    "PART_LETTERS",
    "SILENT",
    "SITES",
    "Add",
    "Address",
    "AddressError",
    "CheckFailed",
    "ContrastPair",
    "Edit",
    "EditError",
    "EditNeverFired",
    "Erase",
    "Freeze",
    "LoadError",
    "Mean",
    "OptionError",
    "Patch",
    "Progress",
    "Provenance",
    "Resample",
    "ResiduumError",
    "Scale",
    "Set",
    "ShapeError",
    "Silent",
    "Site",
    "SiteRefused",
    "Span",
    "Splice",
    "StoreError",
    "TaskError",
    "TensorRef",
    "TokenError",
    "Zero",
    "content_hash",
    "dims_of",
    "edit_from_json",
    "package_version",
    "tensor_hash",
    "tensor_ref",
    "track",
    "translate_alias",
]
