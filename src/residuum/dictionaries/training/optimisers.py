"""Optimisers of a dictionary's training, as strategy objects, with a state that can be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from residuum.core import OptionError
from residuum.dictionaries.coding.option_numbers import is_number
from residuum.runs.arguments import shown

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Fitter(Protocol):
    """What moves the parameters of one training."""

    def step(self, rate: float) -> None:
        """Move every parameter by its ``.grad``, at this share of the learning rate."""
        ...

    def forget(self, name: str, rows: Tensor) -> None:
        """Set the moments of some rows of a parameter to zero."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Tensors by name."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state`."""
        ...


@dataclass(frozen=True)
class Adam:
    """Adam.

    Attributes:
        lr: greatest learning rate.
        beta1: decay of the mean of the gradients.
        beta2: decay of the mean of their squares.
        eps: added to the root.

    Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 1.

    >>> Adam(lr=1e-3).beta2
    0.999
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if not is_number(self.lr) or not 0 < self.lr < 10:
            raise OptionError(f"lr={shown(self.lr)} is out of range", mend="use 1e-5 to 1e-2")
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            if not is_number(value) or not 0 <= value < 1:
                raise OptionError(
                    f"{name}={shown(value)} is out of range", mend="use 0 or more, below 1"
                )
        if not is_number(self.eps) or not 0 < self.eps < 1:
            raise OptionError(f"eps={shown(self.eps)} is out of range", mend="use 1e-8")

    def fitter(
        self, parameters: Mapping[str, Tensor], faster: Mapping[str, float] | None = None
    ) -> Fitter:
        """Adam over these parameters, without any step done.

        Args:
            faster: by how much more than by ``lr`` some of them are moved.
        """
        return _AdamFitter(self, dict(parameters), dict(faster or {}))


class _AdamFitter:
    def __init__(self, plan: Adam, parameters: dict[str, Tensor], faster: dict[str, float]) -> None:
        slow = [name for name in parameters if name not in faster]
        self._plan, self._names = plan, (*slow, *faster)
        self._factors = (1.0, *faster.values())
        self._parameters = parameters
        groups = [[parameters[name] for name in each] for each in (slow, *([k] for k in faster))]
        self._adam = torch.optim.Adam(
            [{"params": each} for each in groups], lr=plan.lr, betas=(plan.beta1, plan.beta2),
            eps=plan.eps,
            fused=all(each.is_floating_point() for each in parameters.values()),
        )  # fmt: skip

    def step(self, rate: float) -> None:
        for group, factor in zip(self._adam.param_groups, self._factors, strict=True):
            group["lr"] = self._plan.lr * rate * factor
        self._adam.step()
        self._adam.zero_grad()

    def forget(self, name: str, rows: Tensor) -> None:
        moments = self._adam.state.get(self._parameters[name], {})
        for each in _MOMENTS[1:]:
            if each in moments:
                moments[each][rows] = 0.0

    def state(self) -> dict[str, Tensor]:
        found = self._adam.state_dict()["state"]
        return {
            f"{each}/{self._names[index]}": moments[each].detach()
            for index, moments in found.items()
            for each in _MOMENTS
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        whole = self._adam.state_dict()
        whole["state"] = {
            index: {each: state[f"{each}/{name}"].clone() for each in _MOMENTS}
            for index, name in enumerate(self._names)
            if f"step/{name}" in state
        }
        self._adam.load_state_dict(whole)
