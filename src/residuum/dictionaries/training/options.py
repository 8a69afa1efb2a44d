"""How a dictionary is trained, as plain data: steps, schedules, penalty, revival, what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from residuum.core import OptionError
from residuum.dictionaries.coding.option_numbers import is_number, need_positive
from residuum.dictionaries.coding.plan import CoderPlan
from residuum.dictionaries.training.optimisers import Adam
from residuum.dictionaries.training.target_l0 import TargetL0, as_target
from residuum.runs.arguments import shown, whole_number


@dataclass(frozen=True)
class Resampling:
    """Dead latents are begun anew from inputs that are rebuilt badly.

    Attributes:
        every: steps between two times.
        until: share of the steps after which it is no longer done.
        scale: length of the new encoder row, as a share of the living ones' mean length.

    Source: Bricken et al. 2023, "Towards Monosemanticity", appendix "Neuron Resampling".
    Deviation: the inputs are those of the one batch at hand.
    """

    every: int
    until: float = 0.6
    scale: float = 0.2

    def __post_init__(self) -> None:
        whole_number(self.every, "every", 1)
        _need_share(self.until, "until")
        if not is_number(self.scale) or not 0 < self.scale <= 10:
            raise OptionError(f"scale={shown(self.scale)} is out of range", mend="use 0.2")

    def due(self, step: int, steps: int) -> bool:
        """Whether it is to be done after this many steps."""
        return step % self.every == 0 and step <= self.until * steps


@dataclass(frozen=True)
class Schedule:
    """Learning rate and penalty over the steps, as shares of their greatest value.

    Attributes:
        steps: of the training.
        warmup: steps in which the rate rises from zero in a straight line.
        decay: share of the steps, at the end, in which it falls to zero in a straight line.
        penalty_warmup: steps in which the penalty rises from zero.
    """

    steps: int
    warmup: int
    decay: float
    penalty_warmup: int

    def __post_init__(self) -> None:
        whole_number(self.steps, "steps", 1)
        whole_number(self.warmup, "warmup", 0)
        whole_number(self.penalty_warmup, "penalty_warmup", 0)
        _need_share(self.decay, "decay")

    def rate(self, step: int) -> float:
        """Of the step with this number, counted from 0.

        >>> schedule = Schedule(steps=10, warmup=2, decay=0.5, penalty_warmup=0)
        >>> [round(schedule.rate(step), 1) for step in (0, 1, 5, 7, 9)]
        [0.5, 1.0, 1.0, 0.6, 0.2]
        """
        rising = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        falling = self.decay * self.steps
        return min(rising, (self.steps - step) / falling) if falling else rising

    def penalty(self, step: int) -> float:
        """Of the step with this number, counted from 0."""
        return min(1.0, (step + 1) / self.penalty_warmup) if self.penalty_warmup else 1.0


@dataclass(frozen=True)
class TrainingOptions:
    """Everything that one training does beside its plan.

    Attributes:
        schedule: of rate and penalty.
        batch_size: rows in a step.
        optimiser: a strategy object.
        coefficient: of the penalty, where no L0 is aimed at.
        target_l0: the goal, where one is.
        resample: how dead latents are begun anew; None leaves them to the auxiliary loss.
        clip: greatest norm of the whole gradient; None does not cut it.
        log_every: steps in a window of the curve.
        keep_every: steps between two checkpoints.
        seed: of weights and draws.
    """

    schedule: Schedule
    batch_size: int
    optimiser: Adam = field(default_factory=Adam)
    coefficient: float | None = None
    target_l0: TargetL0 | None = None
    resample: Resampling | None = None
    clip: float | None = None
    log_every: int = 10
    keep_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.batch_size, "batch_size", 1)
        whole_number(self.log_every, "log_every", 1)
        whole_number(self.keep_every, "keep_every", 1)
        whole_number(self.seed, "seed", 0)
        for name in ("coefficient", "clip"):
            value = getattr(self, name)
            if value is not None:
                need_positive(value, name)
        if not isinstance(self.optimiser, Adam):
            raise OptionError(
                f"optimiser={shown(self.optimiser)} is none", mend="give Adam(lr=1e-3)"
            )
        if not isinstance(self.resample, Resampling | None):
            raise OptionError(
                f"resample={shown(self.resample)} is no way to resample",
                mend="give Resampling(every=500), or leave it out",
            )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def options_for(
    plan: CoderPlan, shared: TrainingOptions, own: Mapping[str, Any]
) -> TrainingOptions:
    """The options of one plan: its own optimiser, coefficient or goal before the shared ones.

    Raises:
        OptionError: a penalty without coefficient or goal, or one of them without a penalty.
    """
    wanted = {name: value for name, value in own.items() if value is not None}
    if "target_l0" in wanted:
        wanted["target_l0"] = as_target(wanted["target_l0"])
    options = replace(shared, **wanted)
    given = options.coefficient is not None, options.target_l0 is not None
    if plan.penalty is None and any(given):
        raise OptionError(
            f"{type(plan.activation).__name__} without a penalty has nothing that "
            f"{'target_l0' if given[1] else 'coefficient'} could move",
            mend="leave it out, or give the plan a penalty such as L1()",
        )
    if plan.penalty is not None and given[0] == given[1]:
        raise OptionError(
            f"the penalty {type(plan.penalty).__name__} needs "
            f"{'one of coefficient and target_l0, not both' if given[0] else 'a coefficient'}",
            mend="give target_l0=, the wanted number of active latents, or coefficient=",
        )
    if options.target_l0 is not None and options.target_l0.l0 >= plan.n_latents:
        raise OptionError(
            f"target_l0={options.target_l0.l0:g} cannot be aimed at with {plan.n_latents} latents",
            mend="give fewer than there are: a sparse code has a small share of them active",
        )
    return options


def _need_share(value: Any, name: str) -> None:
    if not is_number(value) or not 0 <= value <= 1:
        raise OptionError(f"{name}={shown(value)} is no share", mend="give a number from 0 to 1")
