"""The state of a training on disk: one file, there in full or not at all, never a pickle.

Tensors as safetensors; plain data as JSON in the header of the same file, so that both are of one
step, and SHA-256 hashes of all of it. The file is written beside its name and then renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from residuum.core import StoreError
from residuum.core.paths import as_path
from residuum.runs.arguments import shown

CHECKPOINT = "training.safetensors"
_PART = f".{CHECKPOINT}."
_HEADER, _HASHES = "state", "hashes"
_RECORD = "its record"


def keep_folder(keep: Any) -> Path:
    """The folder to keep a training in; it is made, and rid of files that a kill left half-done.

    Raises:
        StoreError: no path, a file, or a folder that cannot be made.
    """
    if not isinstance(keep, str | os.PathLike):
        raise StoreError(f"keep={shown(keep)} is no folder", mend="give a folder to keep it in")
    folder = as_path(keep)
    if folder.exists() and not folder.is_dir():
        raise StoreError("this is a file, not a folder", mend="give a folder", where=str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{_PART}*"):
            left.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def write_checkpoint(folder: Path, tensors: Mapping[str, Tensor], plain: dict[str, Any]) -> None:
    """Replace what is kept; until the last moment the earlier state stays whole.

    Args:
        folder: as :func:`keep_folder` gives it.
        tensors: any names and dtypes.
        plain: what JSON holds exactly.

    Raises:
        StoreError: the system does not let it be written.
    """
    part = folder / f"{_PART}{uuid4().hex}"
    ready = {name: each.detach().cpu().contiguous().clone() for name, each in tensors.items()}
    record = json.dumps(plain, sort_keys=True)
    header = {_HEADER: record, _HASHES: json.dumps(_hashes(ready, record))}
    try:
        save_file(ready, part, header)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(folder / CHECKPOINT)
    except (OSError, SafetensorError) as error:
        raise _unwritable(folder, error) from error
    finally:
        part.unlink(missing_ok=True)


def read_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What is kept; None where nothing is.

    Raises:
        StoreError: the file is damaged; what in it is named.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            record, hashes = (file.metadata()[each] for each in (_HEADER, _HASHES))
            plain, written = json.loads(record), dict(json.loads(hashes))
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise StoreError(
            "the kept training cannot be read", mend="delete it and start again", where=str(path)
        ) from error
    found = _hashes(tensors, record)
    damaged = sorted(k for k in found.keys() | written.keys() if found.get(k) != written.get(k))
    if damaged:
        more = "" if len(damaged) <= 3 else f" and {len(damaged) - 3} more"
        raise StoreError(
            f"the kept training is damaged: {', '.join(damaged[:3])}{more} is not what was written",
            mend="put a copy of the file back, or delete it and start again",
            where=str(path),
        )
    return tensors, plain


def _hashes(tensors: Mapping[str, Tensor], record: str) -> dict[str, str]:
    """SHA-256 of each tensor (dtype, shape, bytes) and of the plain data."""
    found = {_RECORD: hashlib.sha256(record.encode()).hexdigest()}
    for name, each in tensors.items():
        digest = hashlib.sha256(f"{each.dtype}{tuple(each.shape)}".encode())
        digest.update(each.reshape(-1).view(torch.uint8).numpy().data)
        found[name] = digest.hexdigest()
    return found


def refuse_other(before: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with a training that was started with other options.

    Raises:
        StoreError: they differ; the names are given.
    """
    before, now = _flat(before), _flat(json.loads(json.dumps(now)))
    differ = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if differ:
        more = "" if len(differ) <= 5 else f" and {len(differ) - 5} more"
        raise StoreError(
            f"the training kept here is another one: {', '.join(differ[:5])}{more} differ",
            mend="give the same options to go on, or another folder to start again",
            where=str(folder),
        )


def split_state(state: Mapping[str, Any], prefix: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A flat state as its tensors, named with a prefix, and its plain data."""
    tensors = {f"{prefix}{k}": v for k, v in state.items() if isinstance(v, Tensor)}
    return tensors, {k: v for k, v in state.items() if not isinstance(v, Tensor)}


def joined_state(
    tensors: Mapping[str, Tensor], plain: Mapping[str, Any], prefix: str
) -> dict[str, Any]:
    """What :func:`split_state` took apart."""
    own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    return {**own, **plain}


def generator_from(state: Tensor) -> torch.Generator:
    """A random generator at a kept state."""
    generator = torch.Generator()
    generator.set_state(state)
    return generator


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _unwritable(folder: Path, error: Exception) -> StoreError:
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return StoreError(
        f"cannot write to {folder}: {reason}",
        mend="give a folder that can be written to and has room",
        where=str(folder),
    )
