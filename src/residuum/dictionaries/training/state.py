"""One dictionary in training: coder, optimiser, controller, draws and curve; kept and restored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, CheckFailed, OptionError
from residuum.dictionaries.coding.coder import SparseCoder
from residuum.dictionaries.coding.losses import Losses
from residuum.dictionaries.coding.plan import CoderPlan
from residuum.dictionaries.training.curve import CurveWriter
from residuum.dictionaries.training.dead import begin_anew, need_one_decoder
from residuum.dictionaries.training.options import TrainingOptions
from residuum.dictionaries.training.target_l0 import L0Controller, threshold_speed

_THRESHOLD = "log_threshold"
_MEASURED = ("loss", "mse", "penalty", "auxiliary", "l0", "residual", "variance")


class TrainingState:
    """Everything that the next step of one dictionary depends on, but the stream.

    Args:
        name: of the dictionary among those on the stream.
        plan: what is trained.
        options: how.
        sites: of the stream; those of the plan are found among them.
        dtype: of the parameters.
        device: of the parameters.

    Attributes:
        step: steps done.
        curve: the figures so far.
        reads, writes: places of the plan's sites among those of the stream.
        n_sites: of the stream.
        losses_by: makes losses and gradients of a batch where worker processes share it; None:
            this process does it alone.
    """

    losses_by: Callable[[SparseCoder, Tensor, Tensor, Mapping[str, float]], Losses] | None = None

    def __init__(
        self,
        name: str,
        plan: CoderPlan,
        options: TrainingOptions,
        sites: tuple[Address, ...],
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> None:
        if options.resample is not None:
            need_one_decoder(plan)
        self.name, self.options = name, options
        self.coder = SparseCoder(plan, seed=options.seed, dtype=dtype, device=device)
        target, steps = options.target_l0, options.schedule.steps
        speed = threshold_speed(options.optimiser.lr, steps)
        moved = target is not None and _THRESHOLD in self.coder.parameters() and speed > 1
        faster = {_THRESHOLD: speed} if moved else {}
        self.fitter = options.optimiser.fitter(self.coder.parameters(), faster)
        self.controller = None if target is None else L0Controller(target, steps)
        self.generator = torch.Generator().manual_seed(options.seed)
        self.curve = CurveWriter()
        self.step = 0
        self._device = device
        assert plan.writes is not None
        self.n_sites = len(sites)
        self.reads = [_place(site, sites) for site in plan.reads]
        self.writes = [_place(site, sites) for site in plan.writes]

    @property
    def coefficient(self) -> float:
        """Of the penalty, before its warm-up."""
        if self.controller is not None:
            return self.controller.coefficient
        return self.options.coefficient or 0.0

    def advance(self, values: Tensor) -> dict[str, float] | None:
        """One step on ``values [n site d]``; the curve's new row at the end of a window.

        Raises:
            CheckFailed: the loss is no number.
        """
        values = values.to(self._device)
        inputs = values[:, self.reads]
        targets = inputs if self.writes == self.reads else values[:, self.writes]
        if self.step == 0:
            self.coder.initialise(inputs, targets)
        schedule = self.options.schedule
        if self.step == 0 and self.controller is not None:
            first = _measured(self.coder.losses(inputs, targets))
            self.controller.begin(first["mse"], first["penalty"])
        weight = self.coefficient * schedule.penalty(self.step)
        losses = self._losses(inputs, targets, {"penalty": weight})
        measured = _measured(losses)
        if not math.isfinite(measured["loss"]):
            raise CheckFailed(
                f"the loss of {self.name!r} is NaN or infinite at step {self.step}",
                mend=f"train with a smaller lr than {self.options.optimiser.lr:g}",
            )
        self._clip()
        self.fitter.step(schedule.rate(self.step))
        self.coder.after_step(losses)
        if self.controller is not None and self.step >= schedule.penalty_warmup:
            self.controller.observe(measured["l0"])
        self.step += 1
        self.curve.add(measured)
        self._resample(inputs, targets)
        return self._window()

    def _losses(self, inputs: Tensor, targets: Tensor, weights: Mapping[str, float]) -> Losses:
        """Losses of the batch, with its gradients in the parameters."""
        if self.losses_by is not None:
            return self.losses_by(self.coder, inputs, targets, weights)
        losses = self.coder.losses(inputs, targets, weights=weights)
        losses.backward()
        return losses

    def _clip(self) -> None:
        if self.options.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.coder.parameters().values(), self.options.clip)

    def _resample(self, inputs: Tensor, targets: Tensor) -> None:
        plan = self.options.resample
        if plan is not None and plan.due(self.step, self.options.schedule.steps):
            begin_anew(self.coder, self.fitter, inputs, targets, plan.scale, self.generator)

    def _window(self) -> dict[str, float] | None:
        schedule = self.options.schedule
        if self.step % self.options.log_every and self.step != schedule.steps:
            return None
        return self.curve.close(
            step=self.step,
            samples=self.step * self.options.batch_size,
            dead_share=float(self.coder.dead.double().mean()),
            coefficient=self.coefficient,
            rate=self.options.optimiser.lr * schedule.rate(self.step - 1),
        )

    # -- kept ---------------------------------------------------------------------------------

    def spec(self) -> dict[str, Any]:
        """What a kept state must agree in to be gone on with."""
        return {"plan": self.coder.plan.to_json(), **self.options.to_json()}

    def tensors(self) -> dict[str, Tensor]:
        """Weights, moments, counters and the random state, by name."""
        return {
            **{f"coder/{k}": v for k, v in self.coder.state().items()},
            **{f"optimiser/{k}": v for k, v in self.fitter.state().items()},
            "generator": self.generator.get_state(),
        }

    def plain(self) -> dict[str, Any]:
        """Step, controller and curve."""
        controller = None if self.controller is None else self.controller.state()
        return {"step": self.step, "controller": controller, "curve": self.curve.state()}

    def restore(self, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Go on from :meth:`tensors` and :meth:`plain`."""
        self.coder.restore(_below("coder/", tensors))
        self.fitter.restore(_below("optimiser/", tensors))
        self.generator.set_state(tensors["generator"])
        self.step = plain["step"]
        self.curve.restore(plain["curve"])
        if self.controller is not None:
            self.controller.restore(plain["controller"])


def _measured(losses: Losses) -> dict[str, float]:
    spread = losses.target_squares - losses.target_sum.square().sum() / losses.n
    own = (
        losses.total, losses.reconstruction, losses.penalty, losses.auxiliary, losses.l0,
        losses.squared_error, spread,
    )  # fmt: skip
    numbers = torch.stack([each.detach().double() for each in own]).tolist()
    return dict(zip(_MEASURED, numbers, strict=True))


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _place(site: Address, sites: tuple[Address, ...]) -> int:
    if site not in sites:
        raise OptionError(
            f"the plan reads or writes {site}, which the stream does not have",
            mend=f"the stream has: {', '.join(map(str, sites))}",
        )
    return sites.index(site)
