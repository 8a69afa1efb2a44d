"""A controller that moves a sparsity penalty until the wanted number of latents is active."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from residuum.core import OptionError
from residuum.dictionaries.coding.option_numbers import need_number, need_positive

_LEAST = 0.5
"""Active latents below which a logarithm says nothing."""
_START, _FIRST = 0.05, 1e-3
_FLOOR, _CEILING = 1e-12, 1e12
"""Coefficients at which floats would begin to fail; no training comes near them."""
_WAY = 2.0
"""How far the logarithm of a threshold can go in a training that is to reach an L0."""


@dataclass(frozen=True)
class TargetL0:
    """How many latents are to be active on average, and how fast the penalty is moved there.

    Attributes:
        l0: active latents in a sample, on average, above zero.
        start: coefficient of the first step; None makes the penalty a twentieth of the squared
            error that the training begins with.
        rate: greatest change of the coefficient's logarithm in a step, from the error; None takes
            it from the length of the training: 14 over its steps, from .01 to .2.
        damping: how strongly the error's own change is answered, as a multiple of the change.
        smoothing: share of the last mean that a new L0 replaces.
    """

    l0: float
    start: float | None = None
    rate: float | None = None
    damping: float = 2.0
    smoothing: float = 0.2

    def __post_init__(self) -> None:
        for name in ("l0", "start", "rate", "smoothing"):
            if getattr(self, name) is not None or name not in ("start", "rate"):
                need_positive(getattr(self, name), name)
        need_number(self.damping, "damping")
        if self.smoothing > 1:
            raise OptionError(
                f"smoothing={self.smoothing:g} is out of range",
                mend="give a share above 0, 1 at most",
            )


class L0Controller:
    """The coefficient of one training, moved in its logarithm, so that no range is too wide.

    With ``e = log(L0 / target)``, of a running mean of L0, each step adds ``rate · e`` (``e`` cut
    to ±1) and ``damping`` times the change of ``e``: integral and proportional control of the
    logarithm. Neither end is clamped, short of what a float can hold: where a coefficient has no
    effect yet, it goes on until it has.

    Args:
        target: the goal.
        steps: of the training.

    Attributes:
        target: the goal.
        coefficient: of the penalty, at the next step.

    >>> controller = L0Controller(TargetL0(10, start=1.0), steps=2000)
    >>> for _ in range(2000):
    ...     controller.observe(100 / controller.coefficient)
    >>> round(100 / controller.coefficient)
    10
    """

    def __init__(self, target: TargetL0, steps: int) -> None:
        self.target = target
        self.coefficient = _FIRST if target.start is None else target.start
        self._rate = min(0.2, max(0.01, 14 / steps)) if target.rate is None else target.rate
        self._mean: float | None = None

    def begin(self, squared_error: float, penalty: float) -> None:
        """Take the start from the first step's figures, where the goal does not name one."""
        if self.target.start is None:
            least = max(squared_error, 1e-6) * _START
            self.coefficient = least / penalty if penalty > 0 else least

    def observe(self, l0: float) -> None:
        """Move the coefficient after a step that had this mean number of active latents."""
        before = l0 if self._mean is None else self._mean
        self._mean = before + self.target.smoothing * (l0 - before)
        error, last = self._error(self._mean), self._error(before)
        step = self._rate * min(max(error, -1.0), 1.0)
        step += self.target.damping * (error - last)
        moved = math.log(self.coefficient) + min(max(step, -0.5), 0.5)
        self.coefficient = min(max(math.exp(moved), _FLOOR), _CEILING)

    def state(self) -> dict[str, Any]:
        """Plain data; exact."""
        return {"coefficient": self.coefficient, "mean": self._mean}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.coefficient, self._mean = state["coefficient"], state["mean"]

    def _error(self, l0: float) -> float:
        return math.log(max(l0, _LEAST) / self.target.l0)


def threshold_speed(lr: float, steps: int) -> float:
    """By how much faster than the rest JumpReLU's thresholds are moved towards an L0; at least 1.

    Adam moves the logarithm of a threshold by ``lr`` in a step at most: in a short training not far
    enough, however large the penalty. With this it can go 2 in all, a factor of 7. On sparse data
    of the project's own (256 features, 8 active), one training each, lr .001: for a goal of 12, L0
    came out 31.9 after 120 steps and 18.3 after 250 without it, 15.7 and 12.5 with it; ways of 4
    and 8 were not better.

    >>> threshold_speed(1e-3, 100), threshold_speed(1e-3, 5000)
    (20.0, 1.0)
    """
    return max(1.0, _WAY / (lr * steps))


def as_target(value: Any) -> TargetL0 | None:
    """A goal given as itself or as a number; None stays None.

    Raises:
        OptionError: it is none of these.
    """
    if value is None or isinstance(value, TargetL0):
        return value
    return TargetL0(need_positive(value, "target_l0"))
