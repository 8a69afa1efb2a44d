"""The state of a lens in training: translators, optimiser, random generator, step; one file.

Tensors as safetensors, the rest as JSON in its header, written so that half a file is never seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from residuum.core import StoreError
from residuum.core.paths import as_path
from residuum.runs import Model
from residuum.stores.atomic import write_atomically

_FILE = "tuned_lens_training.safetensors"


@dataclass
class TrainingState:
    """Everything that the next step depends on.

    Attributes:
        parameters: deviation from the identity and bias of each row, in turn.
        optimiser: Adam over them.
        generator: draws the rows of each step.
        step: steps done.
        losses: mean KL over rows, nats, one for each step done.
    """

    parameters: list[Tensor]
    optimiser: torch.optim.Adam
    generator: torch.Generator
    step: int
    losses: list[float]


def new_state(model: Model, lr: float, seed: int) -> TrainingState:
    """Translators at the identity, in the model's dtype or float32 if that is narrower."""
    width = model.dims.d_model
    shapes = [shape for _ in range(model.n_layers) for shape in ((width, width), (width,))]
    dtype = torch.promote_types(model.dtype, torch.float32)
    parameters = [torch.zeros(shape, dtype=dtype, device=model.device) for shape in shapes]
    adam = torch.optim.Adam(parameters, lr=lr)
    return TrainingState(parameters, adam, torch.Generator().manual_seed(seed), 0, [])


def keep_state(folder: Path, state: TrainingState, spec: dict[str, Any]) -> None:
    """Write the state."""
    tensors = {f"parameter.{i}": p.detach().cpu() for i, p in enumerate(state.parameters)}
    moments = state.optimiser.state_dict()["state"]
    for index, each in moments.items():
        tensors |= {f"adam.{index}.{name}": value.cpu() for name, value in each.items()}
    tensors["generator"] = state.generator.get_state()
    tensors["losses"] = torch.tensor(state.losses, dtype=torch.float64)
    header = {"spec": json.dumps(spec, sort_keys=True), "step": str(state.step)}
    tensors = {name: value.clone().contiguous() for name, value in tensors.items()}
    with storing(folder):
        write_atomically(folder / _FILE, save(tensors, metadata=header))


def read_state(folder: Path, state: TrainingState, spec: dict[str, Any]) -> None:
    """Fill a new state with what was kept; nothing, where nothing was kept.

    Raises:
        StoreError: a damaged file, or one of another training.
    """
    path = folder / _FILE
    if not path.exists():
        return
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
        tensors = load_file(path)
        before, step = json.loads(header["spec"]), int(header["step"])
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise StoreError(
            "the kept training state cannot be read", mend="delete it and start again",
            where=str(path),
        ) from error  # fmt: skip
    _refuse_other(before, spec, path)
    with torch.no_grad():
        for index, parameter in enumerate(state.parameters):
            parameter.copy_(tensors[f"parameter.{index}"])
    _fill_adam(state.optimiser, state.parameters, tensors)
    state.generator.set_state(tensors["generator"])
    state.step, state.losses = step, tensors["losses"].tolist()


def _fill_adam(
    adam: torch.optim.Adam, parameters: Sequence[Tensor], tensors: dict[str, Tensor]
) -> None:
    whole = adam.state_dict()
    whole["state"] = {
        index: {name: tensors[f"adam.{index}.{name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
        for index in range(len(parameters))
        if f"adam.{index}.step" in tensors
    }
    adam.load_state_dict(whole)


def _refuse_other(before: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    differ = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if differ:
        raise StoreError(
            f"the state kept here is of another training: {', '.join(differ)} differ",
            mend="give the same options to go on, or another folder to start again",
            where=str(path),
        )


def state_folder(keep: Any) -> Path:
    """The folder to keep a lens or its state in; it is made.

    Raises:
        StoreError: no path, a file, or a folder that cannot be made.
    """
    folder = as_path(keep)
    if folder.exists() and not folder.is_dir():
        raise StoreError("this is a file, not a folder", mend="give a folder", where=str(folder))
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Say what the system does not let be written.

    Raises:
        StoreError: it does not.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write to {folder}: {error.strerror or error}",
            mend="give a folder that can be written to and has room",
            where=str(folder),
        ) from error
