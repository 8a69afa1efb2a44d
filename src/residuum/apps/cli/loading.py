"""Opening a model as the command line asks, and what to say about it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.organisms import ABOUT, LOADABLE
from residuum.core import OptionError, TaskError

if TYPE_CHECKING:
    from residuum.runs import Model, Task


def open_model(arguments: argparse.Namespace, *, check: bool = True) -> Model:
    """The model named on the command line, with its dtype and on its device.

    Raises:
        LoadError: it cannot be loaded.
        OptionError: a device that is not there.
    """
    import torch

    from residuum.runs import load

    _refuse_toys(arguments.model)
    device = _device(arguments.device)
    options: dict[str, Any] = {}
    if arguments.dtype:
        options["dtype"] = getattr(torch, arguments.dtype)
    model = load(arguments.model, check=check, **options)
    if device is not None:
        model.hf.to(device)
    return model


def _refuse_toys(name: str) -> None:
    """Organisms that are known by name and are no language models to be loaded."""
    if name in ABOUT and name not in LOADABLE and not Path(name).is_dir():
        raise OptionError(
            f"{name} is no model to load: {ABOUT[name]}", mend=f"residuum organisms show {name}"
        )


def _device(name: str | None) -> Any:
    import torch

    if name is None:
        return None
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or ["it cannot be used"])[0]
        raise OptionError(
            f"device {name!r} cannot be used: {reason}", mend="use cpu, or a device that is there"
        ) from error
    return device


def open_task(
    name: str, model: Model, *, n: int, seed: int, metric: str = "", split: str = "test"
) -> Task:
    """A named task, or the pairs in a CSV, JSONL or JSON file."""
    from residuum.runs import make_task
    from residuum.runs.task_files import is_task_file, task_in

    if is_task_file(name):
        try:
            return task_in(name, model, metric).head(n)
        except TaskError as error:
            if "columns=" not in error.mend:
                raise
            raise TaskError(
                error.what,
                mend="name the columns clean, corrupt, answers and (if any) wrong in the file",
                where=error.where,
            ) from error
    return make_task(name, model, n=n, seed=seed, metric=metric, split=split)


def headline(model: Model) -> str:
    """One line about a model."""
    d = model.dims
    return (
        f"{model.name}: {model.adapted.family.name}, {d.n_layers} layers × {d.n_heads} heads, "
        f"width {d.d_model}, {d.d_vocab} tokens"
    )


def bos_line(model: Model) -> str:
    """What the tokenizer does about a beginning-of-sequence token."""
    if model.tokenizer is None:
        return "no tokenizer"
    if model.bos_token_id is None:
        return "no BOS token"
    name = model.to_str_tokens([model.bos_token_id])[0] or str(model.bos_token_id)
    does = "put in front by the tokenizer" if model.prepends_bos else "not put in front"
    return f"BOS token {name} (id {model.bos_token_id}) is {does}"
