"""The weights of a training at fixed steps, as models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from residuum.core import OptionError
from residuum.models import embedded_path
from residuum.organisms.attention_only.teaching import SERIES


def series_steps(folder: str | Path) -> tuple[int, ...]:
    """Steps whose weights are kept.

    Args:
        folder: of a trained organism, or the name of one in the package.
    """
    return tuple(sorted(int(path.stem[5:]) for path in (_folder(folder) / SERIES).glob("step-*")))


def weights_at(folder: str | Path, step: int) -> Any:
    """The transformers model as it was at a step; give it to ``rz.load``.

    Args:
        folder: of a trained organism, or the name of one in the package.
        step: one of :func:`series_steps`.

    Returns:
        The model in float32; its weights were stored in float16.

    Raises:
        OptionError: no weights of this step are kept.

    >>> model = weights_at("induction_2l", series_steps("induction_2l")[0])
    >>> model.config.n_layers
    2
    """
    from residuum.models.native import NativeConfig, NativeForCausalLM

    steps = series_steps(folder)
    if step not in steps:
        kept = ", ".join(map(str, steps)) or "none"
        raise OptionError(
            f"no weights of step {step} in {folder}", mend=f"steps that are kept: {kept}"
        )
    place = _folder(folder)
    model = NativeForCausalLM(NativeConfig.from_pretrained(place))
    state = load_file(place / SERIES / f"step-{step:05d}.safetensors")
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return model.eval()


def _folder(folder: str | Path) -> Path:
    path = Path(folder)
    return path if path.is_dir() else embedded_path(str(folder))
