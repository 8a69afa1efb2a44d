"""A model handed to another process on this machine: one file, mapped there, copied nowhere.

``torch.save`` writes module, tokenizer and the outcome of the self-check into a private folder; a
worker maps the file, so that all workers share one copy of the weights in the page cache. The
user's own model is not touched (sharing its tensors in place would move its weights, need a large
``/dev/shm`` and one open file for each). The file is a message between processes of one run: it is
never kept and never read from anywhere else.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from residuum.core import Address, OptionError, StoreError
from residuum.models import Adapted, adapt
from residuum.runs.apply import Coder
from residuum.runs.model import Model
from residuum.runs.selfcheck import Report

_MEND = (
    "run it in this process (jobs=1), or put the classes and functions it names into a module "
    "that can be imported"
)


@dataclass(frozen=True)
class _Packed:
    """What a model is, beside what its module tells."""

    hf: Any
    tokenizer: Any
    model_id: str
    weight_hash: str
    sites: tuple[Address, ...]
    refused: dict[Address, str]
    seam_proven: bool
    padding: tuple[str, ...]
    report: Report | None
    dictionaries: dict[str, Coder]
    default_dtype: torch.dtype
    matmul_precision: str


def pack(model: Model, more: Any, path: Path) -> None:
    """Write a model, and plain data beside it, for :func:`unpack`.

    Raises:
        OptionError: the model is not on the processor, or something in it cannot be sent.
        StoreError: no space for the file.
    """
    adapted = model.adapted
    devices = {each.device.type for each in adapted.hf.state_dict().values()} | {model.device.type}
    if devices != {"cpu"}:
        raise OptionError(
            f"worker processes run on the processor, the model is on {', '.join(sorted(devices))}",
            mend="leave jobs= out: one accelerator is not faster for being shared",
        )
    with adapted.lock:
        packed = _packed(model, adapted)
        try:
            torch.save((packed, more), path)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise OptionError(
                f"the model or the work cannot be sent to a worker process: {error}", mend=_MEND
            ) from error
        except (OSError, RuntimeError) as error:
            raise StoreError(
                f"cannot write the model for the worker processes: {str(error).splitlines()[0]}",
                mend="free some space there, or set TMPDIR to a folder that has it",
                where=str(path.parent),
            ) from error


def _packed(model: Model, adapted: Adapted) -> _Packed:
    return _Packed(
        hf=adapted.hf,
        tokenizer=adapted.tokens.tokenizer,
        model_id=adapted.model_id,
        weight_hash=adapted.rehash(),
        sites=tuple(adapted.taps),
        refused=adapted.refused,
        seam_proven=adapted.seam_proven,
        padding=adapted.padding,
        report=model.report,
        dictionaries=dict(model.dictionaries),
        default_dtype=torch.get_default_dtype(),
        matmul_precision=torch.get_float32_matmul_precision(),
    )


def unpack(path: Path) -> tuple[Model, Any]:
    """The model as it was in the process that packed it, self-check and all, and the data.

    Raises:
        OptionError: it names classes that cannot be imported here, or other weights arrived.
    """
    try:
        packed, more = torch.load(path, mmap=True, weights_only=False)
    except (AttributeError, ImportError) as error:
        raise OptionError(
            f"a worker process cannot read the model or the work: {error}", mend=_MEND
        ) from error
    torch.set_default_dtype(packed.default_dtype)
    torch.set_float32_matmul_precision(packed.matmul_precision)
    adapted = adapt(packed.hf, tokenizer=packed.tokenizer)
    adapted.model_id = packed.model_id
    adapted.taps = {site: adapted.taps[site] for site in packed.sites}
    adapted.refused = packed.refused
    adapted.seam_proven = packed.seam_proven
    adapted.padding = packed.padding
    if adapted.weight_hash != packed.weight_hash:
        raise OptionError(
            f"a worker process holds other weights than {packed.model_id} had at the start",
            mend="do not change the model while worker processes run on it",
        )
    model = Model(adapted, packed.report)
    model.dictionaries.update(packed.dictionaries)
    return model, more
