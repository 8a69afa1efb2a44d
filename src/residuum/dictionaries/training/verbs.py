"""Training: one verb for one dictionary, one for several on the same stream."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from residuum.core import SILENT, Progress
from residuum.dictionaries.coding.penalties import Penalty
from residuum.dictionaries.coding.plan import CoderPlan
from residuum.dictionaries.harvests.harvest_result import Harvest
from residuum.dictionaries.harvests.sources import ActivationSource
from residuum.dictionaries.record.activations import Activation
from residuum.dictionaries.training.arguments import (
    by_name,
    need_place,
    need_plans,
    plan_for,
    steps_of,
    stream_of,
    stream_or_live,
    without_shared,
)
from residuum.dictionaries.training.checkpoints import keep_folder
from residuum.dictionaries.training.loop import TrainingLoop
from residuum.dictionaries.training.optimisers import Adam
from residuum.dictionaries.training.options import (
    Resampling,
    Schedule,
    TrainingOptions,
    options_for,
)
from residuum.dictionaries.training.progress import Teller
from residuum.dictionaries.training.result import Training, finished_training
from residuum.dictionaries.training.state import TrainingState
from residuum.dictionaries.training.target_l0 import TargetL0
from residuum.runs import Model
from residuum.runs.arguments import need_progress, refuse_unknown, whole_number

_OPTIONS = (
    "steps, samples, batch_size, optimiser, warmup, decay, penalty_warmup, coefficient, "
    "target_l0, resample, clip, keep, keep_every, log_every, seed, dtype, device, workers, "
    "progress; what belongs to the dictionary (aux_k, dead_after, prefixes, skip, writes) goes "
    "into plan=CoderPlan(...)"
)


def train_dictionary(
    source: ActivationSource | Harvest | Model,
    *,
    at: Any = None,
    text: Any = None,
    plan: CoderPlan | None = None,
    n_latents: int | None = None,
    activation: Activation | None = None,
    penalty: Penalty | None = None,
    **options: Any,
) -> Training:
    """Train one dictionary on a stream of activations.

    Args:
        source: the stream; a harvest, whose tokens come in orders of ``seed``; or a model, whose
            activations ``at`` one or several sites over ``text`` are streamed by
            :func:`live_source`, at its settings.
        at, text: sites and text of a model.
        plan: what to train. Without one: an SAE (of several sites, a crosscoder) over all sites of
            the stream, of ``n_latents`` latents.
        n_latents, activation, penalty: of that SAE; without an activation, ``TopK(32)``.
        options: as of :func:`train_dictionaries`.

    Returns:
        The finished training, with its ``dictionary``.

    Raises:
        OptionError: an unknown option, one out of range, or a plan that the stream cannot feed.
        StoreError: ``keep`` holds another training, or a damaged one.
        CheckFailed: the loss is no number; the rate was too large.

    Shows: as of :class:`Training`. Does not show: as there.
    Source: Bricken et al. 2023, "Towards Monosemanticity"; Gao et al. 2024, "Scaling and evaluating
    sparse autoencoders"; each strategy object names its own.

    >>> import residuum.dictionaries as rd
    >>> world = rd.SparseWorld(n_features=32, width=16, active=2)
    >>> training = rd.train_dictionary(
    ...     world.source(), n_latents=32, activation=rd.TopK(2), samples=64_000, batch_size=256)
    >>> training.curve.last()["explained_variance"] > 0.5
    True
    """
    stream = stream_or_live(source, at, text, options.get("seed", 0))
    named = {"n_latents": n_latents, "activation": activation, "penalty": penalty}
    one = plan_for(stream, plan, named)
    return train_dictionaries(stream, {"dictionary": one}, **options)["dictionary"]


def train_dictionaries(
    source: ActivationSource | Harvest,
    plans: Mapping[str, CoderPlan],
    *,
    steps: int | None = None,
    samples: int | None = None,
    batch_size: int = 1024,
    optimiser: Adam | Mapping[str, Adam] | None = None,
    warmup: int | None = None,
    decay: float = 0.2,
    penalty_warmup: int | None = None,
    coefficient: float | Mapping[str, float] | None = None,
    target_l0: float | TargetL0 | Mapping[str, float | TargetL0] | None = None,
    resample: Resampling | None = None,
    clip: float | None = None,
    keep: str | Path | None = None,
    keep_every: int = 500,
    log_every: int = 10,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    workers: int = 1,
    progress: Progress = SILENT,
    **unknown: Any,
) -> dict[str, Training]:
    """Train several dictionaries on one stream, each batch read once.

    Args:
        source: the stream, or a harvest; one that ends is asked for its next round, and refused
            without one.
        plans: what to train, by name.
        steps: of each; or
        samples: rows seen, rounded up to whole steps.
        batch_size: rows in a step.
        optimiser: a strategy object; for all, or by name.
        warmup: steps in which the learning rate rises; by default a twentieth.
        decay: share of the steps, at the end, in which it falls to zero.
        penalty_warmup: steps in which the penalty rises, and in which its coefficient is not yet
            moved; by default a twentieth, for plans with a penalty.
        coefficient: of the penalty; for all that have one, or by name.
        target_l0: the wanted number of active latents, reached by moving the coefficient; for all
            that have a penalty, or by name.
        resample: how dead latents are begun anew, beside the plan's auxiliary loss.
        clip: greatest norm of the gradient.
        keep: folder for checkpoints; the same call goes on where it stopped and ends with the same
            weights, bit by bit.
        keep_every: steps between checkpoints.
        log_every: steps in a window of the curve.
        seed: of weights and draws.
        dtype, device: of the weights.
        workers: processes on this machine that share every batch, this one included; each has its
            share of torch's threads. Weights differ from one process's by rounding; of as many
            workers and threads they have the same bits each time.
        progress: who is told; also of the figures, if it is a :class:`TrainingProgress`.

    Returns:
        The finished trainings by name.

    Raises:
        OptionError, StoreError, CheckFailed: as of :func:`train_dictionary`.

    Shows: as of :class:`Training`. Does not show: as there; that two of them differ may be the
    seed's doing.
    """
    refuse_unknown(unknown, "train_dictionaries", _OPTIONS)
    source = stream_of(source, "train_dictionaries", seed)
    need_progress(progress)
    names = need_plans(plans)
    whole_number(batch_size, "batch_size", 1)
    need_place(dtype, device, workers, batch_size)
    total = steps_of(steps, samples, batch_size)
    rise = max(1, total // 20) if warmup is None else warmup
    dear = max(1, total // 20) if penalty_warmup is None else penalty_warmup
    shared = TrainingOptions(
        Schedule(total, rise, decay, dear), batch_size, resample=resample, clip=clip,
        log_every=log_every, keep_every=keep_every, seed=seed,
    )  # fmt: skip
    mine = {
        "optimiser": by_name(optimiser, names, "optimiser"),
        "coefficient": by_name(coefficient, names, "coefficient"),
        "target_l0": by_name(target_l0, names, "target_l0"),
    }
    states = []
    for name, plan in plans.items():
        own = {option: given.get(name) for option, given in mine.items()}
        if plan.penalty is None:
            own = without_shared(own, {"coefficient": coefficient, "target_l0": target_l0}, plans)
        options = options_for(plan, shared, own)
        states.append(TrainingState(name, plan, options, source.sites, dtype, device))
    folder = None if keep is None else keep_folder(keep)
    TrainingLoop(source, states, folder, Teller(progress, total), workers).run()
    return {
        state.name: finished_training(source, state, dtype, device, workers) for state in states
    }
