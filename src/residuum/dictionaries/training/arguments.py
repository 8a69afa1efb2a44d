"""Arguments of the training verbs: what is given for all plans, what for one by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from residuum.core import OptionError
from residuum.dictionaries.coding.plan import CoderPlan
from residuum.runs.arguments import shown, whole_number


def need_plans(plans: Any) -> tuple[str, ...]:
    """The names of the plans.

    Raises:
        OptionError: no plans by name.
    """
    good = isinstance(plans, Mapping) and plans
    if not good or not all(isinstance(each, CoderPlan) for each in plans.values()):
        raise OptionError(
            f"plans={shown(plans)} names nothing to train",
            mend='give plans by name: {"topk": CoderPlan(...)}',
        )
    for name in plans:
        if not isinstance(name, str) or not name or "/" in name:
            raise OptionError(f"{name!r} is no name", mend="give a text without '/'")
    return tuple(plans)


def steps_of(steps: int | None, samples: int | None, batch_size: int) -> int:
    """Steps, given as such or as samples, which are rounded up to whole steps.

    Raises:
        OptionError: both or neither, or out of range.
    """
    if (steps is None) == (samples is None):
        raise OptionError(
            "one of steps and samples says how long to train",
            mend="give steps=, or samples= (rows of the stream)",
        )
    if steps is not None:
        return whole_number(steps, "steps", 1)
    assert samples is not None
    return -(-whole_number(samples, "samples", 1) // batch_size)


def need_workers(workers: Any, batch_size: int, device: torch.device | str) -> None:
    """Refuse processes that could not share a batch.

    Raises:
        OptionError: none, more than rows, or a dictionary that is not on the processor.
    """
    whole_number(workers, "workers", 1)
    if workers > batch_size:
        raise OptionError(
            f"workers={workers} cannot share a batch of {batch_size} rows",
            mend=f"give {batch_size} workers at most, or raise batch_size",
        )
    if workers > 1 and torch.device(device).type != "cpu":
        raise OptionError(
            f"workers={workers} share the processor, and the dictionary is to be on {device}",
            mend='give device="cpu", or leave workers out: one process is what a GPU needs',
        )


def by_name(given: Any, names: Sequence[str], option: str) -> dict[str, Any]:
    """An option for each plan: its own out of a mapping, or the one for all.

    Raises:
        OptionError: the mapping names another plan.
    """
    if not isinstance(given, Mapping):
        return dict.fromkeys(names, given)
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise OptionError(
            f"{option} is given for {', '.join(map(str, unknown))}, which no plan is named",
            mend=f"the plans are: {', '.join(names)}",
        )
    return dict(given)


def without_shared(
    own: dict[str, Any], given: Mapping[str, Any], plans: Mapping[str, CoderPlan]
) -> dict[str, Any]:
    """Penalty options meant for others on the stream do not reach a plan without a penalty."""
    if all(plan.penalty is None for plan in plans.values()):
        return own
    shared = {name for name, value in given.items() if not isinstance(value, Mapping)}
    return {name: None if name in shared else value for name, value in own.items()}
