"""Approximations of activation patching by gradients: a sweep from a few passes, with its error.

Patching asks for one pass a cell. The gradient at a site predicts the effects of all its cells at
once, to first order; what it misses is measured on some cells, patched exactly, and told with the
result.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch

from residuum.core import SILENT, OptionError, Progress
from residuum.core.progress import track
from residuum.models import Batch
from residuum.patching.gradients.check import Approximation, check_cells
from residuum.patching.gradients.problem import Problem
from residuum.patching.gradients.softmax import CORRECTED, through_exact_softmax
from residuum.runs import METRICS, Metric, Model, Task, whole_number
from residuum.runs.arguments import yes_or_no
from residuum.runs.sweeping.grid import Grid
from residuum.runs.sweeping.outcome import Outcome


class Method(Protocol):
    """A way to predict every cell of a sweep.

    Attributes:
        check: cells to patch exactly.
        seed: of the draw of these cells.
    """

    @property
    def check(self) -> int:
        """Cells to patch exactly."""
        ...

    @property
    def seed(self) -> int:
        """Of the draw of these cells."""
        ...

    @property
    def engine(self) -> str:
        """The method's name, as results report it."""
        ...

    def title(self, site: str) -> str:
        """The name in a sentence, with what it does at this site."""
        ...

    def attribute(self, problem: Problem, progress: Progress) -> np.ndarray:
        """Predicted change of the metric by each cell's patch, ``[...by example]``."""
        ...


@dataclass(frozen=True)
class AttributionPatching:
    """First-order patching: gradient at the base run × (donor - base), summed over each cell.

    Attributes:
        qk_correction: at ``q`` and ``k`` compute the softmax with the donor's query or key exactly,
            and take the linear step from the pattern on; at other sites it changes nothing. With
            ``pos`` in ``by`` each key position is patched alone.
        check: cells patched exactly to measure the error; 0 measures none.
        seed: of the draw of these cells.

    Raises:
        OptionError: options of another type or below 0.

    Shows: which cells are worth an exact patch, for the price of a few passes. Does not show: what
    large changes do. Where a later softmax, norm or activation saturates the gradient is near zero
    and the effect is missed; direct and indirect effects of opposite sign may cancel. The error is
    measured on some cells only.

    Source: Nanda 2023, "Attribution patching: Activation patching at industrial scale"; Kramár et
    al. 2024, "AtP*", §3.1, for the correction. Deviation: no GradDrop.

    >>> AttributionPatching(check=0).title("q")
    'attribution patching, QK-corrected'
    >>> AttributionPatching(check=0).title("z")
    'attribution patching'
    """

    qk_correction: bool = True
    check: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        yes_or_no(self.qk_correction, "qk_correction")
        whole_number(self.check, "check", 0)
        whole_number(self.seed, "seed", 0)

    @property
    def engine(self) -> str:
        """The engine that a sweep names: ``"attribution"``."""
        return "attribution"

    def _corrects(self, site: str) -> bool:
        return self.qk_correction and site in CORRECTED

    def title(self, site: str) -> str:
        """The name in a sentence, with what it does at this site."""
        return "attribution patching" + (", QK-corrected" if self._corrects(site) else "")

    def attribute(self, problem: Problem, progress: Progress = SILENT) -> np.ndarray:
        """Predicted change of the metric by each cell's patch, ``[...by example]``."""
        (found,) = (
            self._attribute(problem)
            for _ in track([0], progress, f"attribution at {problem.grid.site}", 1)
        )
        return found

    def _attribute(self, problem: Problem) -> np.ndarray:
        if self._corrects(problem.grid.site):
            return through_exact_softmax(problem)
        slopes = problem.gradients(problem.sites())
        return problem.assemble(
            [problem.cells(slopes[at] * problem.change(at)) for at in problem.sites()]
        )


@dataclass(frozen=True)
class NodeIG:
    """Integrated gradients of a layer's nodes: the gradient averaged on the way from base to donor.

    One layer's whole site is moved along the straight line from the base run's values to the
    donor's, the rest of the model live; the gradients at the middles of ``steps`` equal pieces are
    averaged and multiplied by (donor - base). Completeness: one layer's attributions, over all
    its heads and positions, sum to the exact effect of patching the whole site there, up to an
    error that falls with the square of ``steps``.

    Attributes:
        steps: points on the line; one pass with gradients for each step and layer.
        check: cells patched exactly to measure the error; 0 measures none.
        seed: of the draw of these cells.

    Raises:
        OptionError: options that are no whole numbers, or out of range.

    Shows: how a whole layer's effect divides among its cells when all move together. Does not show:
    the effect of one cell alone, which is what is checked; the two differ where cells of a layer
    act jointly.

    Source: Sundararajan, Taly, Yan 2017, "Axiomatic attribution for deep networks", §3; for
    activations Marks et al. 2024, "Sparse feature circuits", §2. Deviation: midpoint rule.

    >>> NodeIG(steps=5).title("z")
    'integrated gradients in 5 steps'
    """

    steps: int = 10
    check: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.steps, "steps", 1)
        whole_number(self.check, "check", 0)
        whole_number(self.seed, "seed", 0)

    @property
    def engine(self) -> str:
        """The engine that a sweep names: ``"integrated gradients"``."""
        return "integrated gradients"

    def title(self, site: str) -> str:
        """The name in a sentence."""
        return f"integrated gradients in {self.steps} step{'s' * (self.steps > 1)}"

    def attribute(self, problem: Problem, progress: Progress = SILENT) -> np.ndarray:
        """Predicted change of the metric by each cell's patch, ``[...by example]``."""
        name = f"integrated gradients at {problem.grid.site}"
        sites = problem.sites()
        return problem.assemble(
            [
                problem.cells(self._layer(problem, at))
                for at in track(sites, progress, name, len(sites))
            ]
        )

    def _layer(self, problem: Problem, at: Any) -> torch.Tensor:
        base, change = problem.base.values[at], problem.change(at)
        total = torch.zeros_like(change)
        for step in range(self.steps):
            on_the_way = base + ((step + 0.5) / self.steps * change).to(base.dtype)
            total += problem.gradients([at], {at: on_the_way})[at]
        return total / self.steps * change


@dataclass(frozen=True, eq=False)
class Approximated:
    """An approximated sweep.

    Attributes:
        outcome: predicted metric after each cell's patch, in the form of the exact engines.
        approximation: method and measured error.
    """

    outcome: Outcome
    approximation: Approximation


def approximate(
    model: Model,
    task: Task,
    grid: Grid,
    source: Batch,
    target: Batch,
    measure: Metric,
    method: Method,
    progress: Progress = SILENT,
) -> Approximated:
    """Predict a sweep, and measure the error on some of its cells.

    Args:
        grid: the cells.
        source: prompts that the values come from, row by row beside ``target``.
        target: prompts that receive them.
        measure: the metric, which must have a gradient.
        method: :class:`AttributionPatching` or :class:`NodeIG`.
        progress: who is told.

    Returns:
        Values ``[...by example]`` in the metric's unit, and the error record. ``passes`` counts a
        pass with gradients as three forward passes, and the checks.

    Raises:
        OptionError: no such method; a metric without a gradient.
        TaskError: a metric that compares with a reference run.
        AddressError, SiteRefused: a layer does not have the site, or it was not proven.
    """
    if isinstance(method, type) or not hasattr(method, "attribute"):
        raise OptionError(
            f"{method!r} is no method of approximation",
            mend="give rz.AttributionPatching() or rz.NodeIG()",
        )
    if not measure.differentiable:
        smooth = ", ".join(
            name
            for name, each in METRICS.items()
            if each.differentiable and not each.needs_reference
        )
        raise OptionError(
            f"{measure.name} has no gradient, so its effects cannot be predicted from one",
            mend=f"use one of {smooth}, or patch exactly: leave method out",
        )
    problem = Problem(model, task, grid, source, target, measure)
    attributions = method.attribute(problem, progress)
    checked, drawn = check_cells(problem, attributions, method.check, method.seed, progress)
    base = problem.base.metric
    return Approximated(
        Outcome(
            values=base + attributions,
            base=base,
            given=problem.given.metric,
            passes=problem.passes,
            engine=method.engine,
        ),
        Approximation(
            method=method.title(grid.site),
            options=asdict(method),  # type: ignore[call-overload]
            unit=measure.unit,
            cells=sum(1 for _ in grid.cells()),
            checked=checked,
            drawn=drawn,
        ),
    )
