"""Training state in a folder: tensors as safetensors, the rest as JSON, written atomically."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from residuum.core.errors import LoadError

_TENSORS, _STATE = "training_state.safetensors", "training_state.json"


def save_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.AdamW, state: dict[str, Any]
) -> None:
    """Write weights, AdamW's moments and plain data; an interrupted write leaves the old one.

    Args:
        folder: made if missing.
        model: whose parameters are saved.
        optimizer: over the model's parameters, in ``model.parameters()`` order.
        state: plain data; the step count belongs in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for index, (name, parameter) in enumerate(model.named_parameters()):
        tensors[f"model/{name}"] = parameter.detach().cpu().contiguous()
        moments = optimizer.state_dict()["state"].get(index, {})
        for key, value in moments.items():
            tensors[f"adamw/{key}/{name}"] = value.detach().cpu().contiguous()
    save_file(tensors, folder / f"{_TENSORS}.new", {"state": json.dumps(state)})
    os.replace(folder / f"{_TENSORS}.new", folder / _TENSORS)
    (folder / _STATE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")


def load_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.AdamW) -> dict[str, Any]:
    """Put a checkpoint back into a model and its optimizer.

    Args:
        folder: as `save_checkpoint` writes it.
        model: of the same shape; its parameters are written over.
        optimizer: over its parameters.

    Returns:
        The plain data.

    Raises:
        LoadError: the folder holds no checkpoint, or one of another model.
    """
    path = folder / _TENSORS
    if not path.is_file():
        raise LoadError(
            "no training checkpoint here", where=str(folder), mend="train without --resume"
        )
    tensors = load_file(path)
    names = [name for name, _ in model.named_parameters()]
    if {f"model/{name}" for name in names} != {key for key in tensors if key[:6] == "model/"}:
        raise LoadError(
            "the checkpoint is of another model", where=str(path), mend="name an empty folder"
        )
    packed = optimizer.state_dict()
    for index, (name, parameter) in enumerate(model.named_parameters()):
        parameter.data.copy_(tensors[f"model/{name}"])
        packed["state"][index] = {
            key: tensors[f"adamw/{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq")
        }
    optimizer.load_state_dict(packed)
    return _embedded_state(path)


def _embedded_state(path: Path) -> dict[str, Any]:
    """The plain data that travels inside the tensors' file, so that both are of one step."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["state"])
