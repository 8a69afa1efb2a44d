"""What a listener can be told of a training beside its steps: the figures of the last window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Protocol, runtime_checkable

from residuum.core import Progress


@dataclass(frozen=True)
class Standing:
    """Where a training stands.

    Attributes:
        name: which of the dictionaries on the stream.
        step: steps done, of ``steps``.
        steps: of the whole training.
        loss: mean over the last window, as are the others.
        l0: active latents in a sample.
        explained_variance: of training samples, about their mean.
        dead_share: of the latents.
        seconds_left: at the rate since this process began; NaN before there is one.
    """

    name: str
    step: int
    steps: int
    loss: float
    l0: float
    explained_variance: float
    dead_share: float
    seconds_left: float

    def __str__(self) -> str:
        left = "" if self.seconds_left != self.seconds_left else f", {self.seconds_left:.0f} s left"
        return (
            f"{self.name}: step {self.step}/{self.steps}, loss {self.loss:.4g}, "
            f"L0 {self.l0:.1f}, explained variance {self.explained_variance:.3f}, "
            f"dead {self.dead_share:.1%}{left}"
        )


@runtime_checkable
class TrainingProgress(Progress, Protocol):
    """A listener that also wants the figures."""

    def stands(self, standing: Standing) -> None:
        """A window of one dictionary's training is over."""
        ...


class Teller:
    """Tells a listener of steps, and of figures if it listens to them."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self._progress, self._steps = progress, steps
        self._began, self._first = monotonic(), 0

    def start(self, done: int) -> None:
        """The training begins, or goes on after ``done`` steps."""
        self._progress.start("training", self._steps)
        self._progress.advance(done)
        self._began, self._first = monotonic(), done

    def advance(self) -> None:
        """A step is done."""
        self._progress.advance()

    def finish(self) -> None:
        """The training is over, or ended by an error."""
        self._progress.finish()

    def tell(self, name: str, row: Mapping[str, float]) -> None:
        """A window of the curve is full."""
        if not isinstance(self._progress, TrainingProgress):
            return
        step = int(row["step"])
        done = step - self._first
        each = (monotonic() - self._began) / done if done else float("nan")
        figures = {key: row[key] for key in ("loss", "l0", "explained_variance", "dead_share")}
        left = each * (self._steps - step)
        self._progress.stands(Standing(name, step, self._steps, **figures, seconds_left=left))
