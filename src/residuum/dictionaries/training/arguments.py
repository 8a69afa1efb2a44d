"""Arguments of the training verbs: what is given for all plans, what for one by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from residuum.core import OptionError
from residuum.dictionaries.coding.plan import CoderPlan
from residuum.dictionaries.harvests.harvest_result import Harvest
from residuum.dictionaries.harvests.live_stream import live_source
from residuum.dictionaries.harvests.sources import ActivationSource
from residuum.dictionaries.record.activations import TopK
from residuum.runs import Model
from residuum.runs.arguments import shown, whole_number

_DEFAULT_K = 32


def stream_of(source: Any, verb: str, seed: Any) -> ActivationSource:
    """The stream: as given, or of a harvest, in the order of the training's seed.

    Raises:
        OptionError: it is neither.
    """
    if isinstance(source, Harvest):
        return source.source(seed=whole_number(seed, "seed", 0))
    if isinstance(source, type) or not isinstance(source, ActivationSource):
        raise OptionError(
            f"{verb} needs a stream of activations or a loaded model, source={shown(source)} is "
            "neither",
            mend="give a TensorSource, what rz.harvest kept, or a model with at= and text=",
        )
    return source


def stream_or_live(source: Any, at: Any, text: Any, seed: Any) -> ActivationSource:
    """As :func:`stream_of`; of a model, the stream straight from it.

    Raises:
        OptionError: a model without site and text, or a stream with them.
    """
    if isinstance(source, Model):
        if at is None or text is None:
            raise OptionError(
                "a model alone is no stream of activations",
                mend='say where and over what: at="L2.resid_post", text=[...]',
            )
        return live_source(source, text, at, seed=whole_number(seed, "seed", 0))
    stream = stream_of(source, "train_dictionary", seed)
    if at is not None or text is not None:
        raise OptionError(
            "at and text are given with a stream, which has its own",
            mend="leave them out, or give a model",
        )
    return stream


def plan_for(stream: ActivationSource, plan: Any, named: Mapping[str, Any]) -> CoderPlan:
    """The plan: as given, or an SAE over all sites of the stream.

    Args:
        named: ``n_latents``, ``activation`` and ``penalty``, None where they are not given.

    Raises:
        OptionError: both or neither.
    """
    given = [name for name, value in named.items() if value is not None]
    if plan is not None and given:
        raise OptionError(
            f"plan and {', '.join(given)} are both given", mend="put everything into the plan"
        )
    if plan is not None:
        if not isinstance(plan, CoderPlan):
            raise OptionError(f"plan={shown(plan)} is none", mend="give a CoderPlan(...)")
        return plan
    if named["n_latents"] is None:
        raise OptionError(
            "train_dictionary does not know what to train",
            mend="give n_latents=, or plan=CoderPlan(...)",
        )
    n = whole_number(named["n_latents"], "n_latents", 1)
    activation = named["activation"]
    return CoderPlan(
        reads=stream.sites, width=stream.widths[0], n_latents=n,
        activation=TopK(min(_DEFAULT_K, n)) if activation is None else activation,
        penalty=named["penalty"],
    )  # fmt: skip


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


def need_place(dtype: Any, device: Any, workers: Any, batch_size: int) -> None:
    """Refuse weights that cannot be made, and processes that could not share a batch.

    Raises:
        OptionError: no floating dtype, no device, one that is not there; no workers, more than
            rows, or several for a dictionary that is not on the processor.
    """
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise OptionError(f"dtype={shown(dtype)} is none for weights", mend="give torch.float32")
    try:
        kind = torch.device(device).type
    except (RuntimeError, TypeError, ValueError) as error:
        raise _no_device(device) from error
    _need_workers(workers, batch_size, kind, device)
    try:
        float(torch.zeros(1, device=device))
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise _no_device(device) from error


def _no_device(device: Any) -> OptionError:
    return OptionError(
        f"device={shown(device)} is not there", mend='give device="cpu", or a GPU that torch sees'
    )


def _need_workers(workers: Any, batch_size: int, kind: str, device: Any) -> None:
    whole_number(workers, "workers", 1)
    if workers > batch_size:
        raise OptionError(
            f"workers={workers} cannot share a batch of {batch_size} rows",
            mend=f"give {batch_size} workers at most, or raise batch_size",
        )
    if workers > 1 and kind != "cpu":
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
