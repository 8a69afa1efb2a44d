"""Files from elsewhere, read as if they meant harm: sizes first, plain data only, finite numbers.

No file can run code: JSON and YAML are read as plain data, safetensors is plain by itself, NumPy
archives are read without pickle, and PyTorch's archives with ``weights_only=True`` and then sifted:
only dense tensors on the CPU that own every number they show are kept.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from residuum.core import LoadError, ShapeError

JSON_BYTES = 16 * 2**20
YAML_BYTES = 2**20
UNPACKED_BYTES = 64 * 2**20
"""Below this an archive may unpack to any multiple of its size; above it to ``UNPACKED_TIMES``."""
UNPACKED_TIMES = 8
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_AGAIN = "fetch the file again, or ask whoever wrote it"


def damaged(path: Path, why: str, mend: str = _AGAIN) -> LoadError:
    """The error for a file that cannot be read."""
    return LoadError(f"cannot read {path.name}: {why}", mend=mend, where=str(path))


def json_record(path: Path) -> dict[str, Any]:
    """A JSON file that holds one record; NaN and infinities become None.

    Raises:
        LoadError: too large, no JSON, no record.
    """
    return _record(path, _parsed_json(path, _bytes(path, JSON_BYTES)))


def yaml_record(path: Path) -> dict[str, Any]:
    """A YAML file that holds one record of plain data.

    Raises:
        LoadError: too large, no YAML, no record, or one that refers to its own pieces.
    """
    import yaml

    text = _bytes(path, YAML_BYTES)
    try:
        if any(isinstance(each, yaml.AliasEvent) for each in yaml.parse(text, yaml.SafeLoader)):
            raise damaged(path, "it refers to its own pieces (aliases)")
        return _record(path, yaml.safe_load(text))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise damaged(path, f"it is no plain YAML ({type(error).__name__})") from error


def safetensors(path: Path, allowed: Iterable[str]) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Args:
        path: the file.
        allowed: names that the format has.

    Raises:
        LoadError: no such file, or a tensor that the format does not have.
        ShapeError: NaN or infinity; numbers that are not floats.
    """
    from safetensors import SafetensorError, safe_open

    _bytes(path, 0)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = list(file.keys())
            _refuse_unknown(path, names, allowed)
            found = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise damaged(path, f"it is no whole safetensors file ({error})") from error
    return {name: finite(path, name, each) for name, each in found.items()}


def numpy_archive(path: Path, allowed: Iterable[str]) -> dict[str, Tensor]:
    """The tensors of an ``.npz`` file, read without pickle.

    Raises:
        LoadError, ShapeError: as :func:`safetensors`; objects; an archive that unpacks to far more
            than it weighs.
    """
    import numpy as np

    _need_sober_archive(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            _refuse_unknown(path, names, allowed)
            found = {name: _from_numpy(path, name, archive[name]) for name in names}
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, MemoryError) as error:
        raise damaged(path, f"it is no whole archive of arrays ({error})") from error
    return {name: finite(path, name, each) for name, each in found.items()}


def torch_archive(path: Path, allowed: Iterable[str]) -> dict[str, Tensor]:
    """The tensors of a file that ``torch.save`` wrote; nothing in it is run.

    Raises:
        LoadError: anything beside a record of tensors (code among it); a tensor that the format
            does not have.
        ShapeError: as :func:`safetensors`; tensors that show more numbers than they hold.
    """
    import pickle

    _need_sober_archive(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, TypeError, KeyError, EOFError,
            AttributeError, IndexError, OSError, MemoryError, RecursionError) as error:  # fmt: skip
        raise damaged(
            path,
            "it holds more than plain tensors, or is not whole",
            "ask for the state_dict alone; pickles with objects or code are never loaded",
        ) from error
    if not isinstance(found, Mapping) or not all(type(name) is str for name in found):
        raise damaged(path, "it holds no record of tensors", "save the state_dict, not the module")
    _refuse_unknown(path, found, allowed)
    return {name: finite(path, name, _dense(path, name, each)) for name, each in found.items()}


def finite(path: Path, name: str, tensor: Tensor) -> Tensor:
    """A tensor of finite numbers (integers only for counts).

    Raises:
        ShapeError: NaN, infinity, or another kind of numbers.
    """
    counts = tensor.dtype in (torch.int32, torch.int64) and tensor.ndim <= 1
    if not counts and tensor.dtype not in FLOATS:
        raise ShapeError(
            f"{name} is of {str(tensor.dtype).removeprefix('torch.')}, not of floats",
            mend="convert the file to float32 or bfloat16",
            where=str(path),
        )
    if not counts and not bool(tensor.isfinite().all()):
        raise ShapeError(f"{name} holds NaN or infinity", mend=_AGAIN, where=str(path))
    return tensor


def _dense(path: Path, name: str, value: Any) -> Tensor:
    if isinstance(value, bool | int | float):
        value = torch.tensor(value)
    if not isinstance(value, Tensor) or value.layout is not torch.strided or value.is_quantized:
        raise damaged(path, f"{name} is no dense tensor")
    if type(value) not in (Tensor, torch.nn.Parameter) or value.device.type != "cpu":
        raise damaged(path, f"{name} is no plain tensor")
    held = value.untyped_storage().nbytes() // value.element_size()
    if value.numel() > held:
        raise ShapeError(
            f"{name} shows {value.numel()} numbers and holds {held}", mend=_AGAIN, where=str(path)
        )
    return value.detach().clone(memory_format=torch.contiguous_format)


def _from_numpy(path: Path, name: str, array: Any) -> Tensor:
    if array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
        raise damaged(path, f"{name} holds no numbers")
    native = array.astype(array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(native if native.ndim else native.reshape(1)).reshape(array.shape)


def _need_sober_archive(path: Path) -> None:
    size = _bytes(path, 0, measured=True)
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(each.file_size for each in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise damaged(
            path, "it is no archive", "save it again with a current version of the tool it is from"
        ) from error
    if unpacked > max(UNPACKED_BYTES, UNPACKED_TIMES * size):
        raise damaged(path, f"its {size} bytes would unpack to {unpacked}")


def _bytes(path: Path, most: int, measured: bool = False) -> Any:
    """The bytes of a file of at most ``most`` bytes; with 0, only that it is one (its size)."""
    if not path.is_file():
        raise LoadError(
            f"there is no {path.name}", mend="fetch the whole folder", where=str(path.parent)
        )
    try:
        size = path.stat().st_size
        if not most:
            return size if measured else None
        if size > most:
            raise damaged(path, f"{size} bytes, where at most {most} are sensible")
        return path.read_bytes()
    except OSError as error:
        raise damaged(path, error.strerror or str(error), "look at its rights") from error


def _parsed_json(path: Path, text: bytes) -> Any:
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise damaged(path, "it is no JSON") from error


def _record(path: Path, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(type(key) is str for key in value):
        raise damaged(path, "it holds no record")
    return value


def _refuse_unknown(path: Path, names: Iterable[str], allowed: Iterable[str]) -> None:
    wrong = sorted(set(names) - set(allowed))
    if wrong:
        raise LoadError(
            f"{path.name} holds tensors that this format does not have: "
            f"{', '.join(each[:40] for each in wrong[:6])}",
            mend="it is of another kind or version; what they do would be left out silently",
            where=str(path),
        )
