"""What removing a head costs, beside what it looks at."""

from __future__ import annotations

from typing import Literal

import numpy as np
from torch import Tensor

from residuum.core import OptionError, Progress
from residuum.models import Batch
from residuum.runs import Model, Task, metric_named
from residuum.runs.sweeping import Constant, Means, make_grid, sweep_outcome

Removal = Literal["mean", "zero"]
REMOVALS = ("mean", "zero")


def removal_named(name: str | None) -> str | None:
    """The way of removing, checked; None removes nothing.

    Raises:
        OptionError: there is no such way.
    """
    if name is not None and name not in REMOVALS:
        raise OptionError(
            f"removal={name!r:.40} is no way to remove a head",
            mend="use 'mean', 'zero', or None for scores without effects",
        )
    return name


def removal_costs(
    model: Model, task: Task, how: str, mean_z: dict[int, Tensor], progress: Progress
) -> tuple[np.ndarray, float, float]:
    """What the answer loses when each head is removed by itself.

    Args:
        mean_z: layer -> ``[head d_head]`` that a head is set to with ``how="mean"``.

    Returns:
        Costs ``[layer head prompt]``, positive where the head helps, in the metric's unit; the
        passes it took; and the size of the metric's rounding.
    """
    metric = metric_named(task.metric)
    values = {} if how == "zero" else mean_z
    identity = {
        "kind": how,
        **{f"L{i}": float(value.double().abs().sum()) for i, value in values.items()},
    }
    outcome = sweep_outcome(
        model,
        task,
        make_grid(model, task, "z", ("layer", "head")),
        task.metric,
        Batch(task.clean, task.attention_mask),
        Constant(how, values),
        identity,
        Means(progress=progress),
    )
    sign = -1.0 if metric.larger_is_better else 1.0
    steps = {"torch.float64": 2.0**-52, "torch.bfloat16": 2.0**-7, "torch.float16": 2.0**-10}
    rounding = 8 * steps.get(str(model.dtype), 2.0**-23) * float(np.abs(outcome.base).max())
    return sign * (outcome.values - outcome.base), outcome.passes, rounding
