"""The verb: what every head of a model attends to, copies, and is good for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from residuum.core import SILENT, Address, OptionError, Progress, SiteRefused, content_hash
from residuum.heads.detectors import Measured, measure
from residuum.heads.head_scores import HeadScore, RemovalCost, mean_with_interval, score_of
from residuum.heads.head_table import HeadTable
from residuum.heads.head_types import combined, types_on, types_on_task
from residuum.heads.logit_directions import LogitDirections, copying_eigenvalues
from residuum.heads.prompts import Prompts, random_repeats, text_prompts
from residuum.heads.removal import removal_costs, removal_named
from residuum.heads.task_detectors import measure_task
from residuum.runs import (
    Model,
    Task,
    metric_named,
    need_model,
    need_task,
    prove_unembedding,
    prove_weights,
    refuse_unknown,
    whole_number,
)
from residuum.runs.arguments import need_progress

_NULLS = 16
"""Random repeats that the nulls of matches are taken on: all are alike; of texts all are used."""
_OPTIONS = "task, n, length, removal, removal_n, least, level, resamples, batch_size, seed"


@dataclass(frozen=True)
class _How:
    """How numbers become intervals."""

    removal: str | None
    removal_n: int
    least: float
    level: float
    resamples: int
    seed: int
    progress: Progress

    def score(self, name: str, values: Any, null: Any) -> HeadScore:
        return score_of(
            name, np.asarray(values), np.asarray(null), self.level, self.resamples, self.seed
        )


@dataclass
class _Collected:
    """What has been found so far, of which the table is made."""

    model: Model
    directions: LogitDirections
    ov_copying: np.ndarray
    how: _How
    scores: dict[str, HeadScore] = field(default_factory=dict)
    costs: dict[str, RemovalCost] = field(default_factory=dict)
    passes: dict[str, float] = field(default_factory=dict)
    grids: list[np.ndarray] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def remove(self, task: Task, on: str, mean_z: dict[int, Tensor]) -> np.ndarray | None:
        """Remove each head; costs ``[layer head prompt]``, or None where nothing is removed."""
        self.passes[on] = 1.0
        if self.how.removal is None:
            return None
        values, passes, rounding = removal_costs(
            self.model, task, self.how.removal, mean_z, self.how.progress
        )
        ends = mean_with_interval(values, self.how.level, self.how.resamples, self.how.seed)
        unit = metric_named(task.metric).unit
        self.costs[on] = RemovalCost(on, unit, *ends, rounding, len(task))
        self.passes[f"removal on {on}"] = passes
        return values


def detect_heads(
    model: Model,
    prompts: Any = None,
    *,
    task: Task | None = None,
    n: int = 50,
    length: int | None = None,
    removal: str | None = "mean",
    removal_n: int = 24,
    least: float = 0.2,
    level: float = 0.95,
    resamples: int = 2000,
    batch_size: int | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
    **unknown: Any,
) -> HeadTable:
    """Score every head with every detector, and name the heads whose removal bears the name out.

    Args:
        model: a loaded causal language model.
        prompts: one's own texts (or ids), on which everything is measured besides; random repeats
            of random tokens, with random periods, are always used.
        task: adds the detectors for name movers, S-inhibition and copy suppression.
        n: prompts of each source.
        length: tokens of a prompt; 49, or the model's context if that is shorter.
        removal: ``"mean"`` (the head's output set to its mean over prompts and positions),
            ``"zero"``, or None for scores without effects (then no type is confirmed).
        removal_n: prompts for the effects on repeats and texts, where the loss on the token after
            the last is read; on a task all ``n`` are used.
        least: share of attention, beyond the null's, below which no type is claimed.
        level, resamples: of the bootstrap intervals over prompts.
        batch_size: prompts in one pass; at most 16 by default.
        seed: of prompts and bootstrap.
        progress: who is told.

    Returns:
        The table: scores with intervals and nulls, removal costs, types. See :class:`HeadTable`.

    Raises:
        OptionError: a model without attention patterns or without a causal mask, a context or
            vocabulary too small, an option out of range.
        CheckFailed: an adapter or a hook on weights that are read (values, outputs, unembedding).
        ShapeError: NaN or infinity in them.
        TokenError, TaskError: prompts or a task that do not fit.

    Shows: what each head looks at, what it writes to logits directly, and what its removal alone
    costs on the same prompts. Does not show: heads that matter only together (backups hide each
    other), what a head does on other text, or effects through later layers in ``direct``.
    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Olsson et al.
    2022, "In-context Learning and Induction Heads" (prefix matching and copying); Wang et al. 2022,
    "Interpretability in the Wild" (heads of the IOI circuit); McDougall et al. 2023, "Copy
    Suppression". Deviations: random periods, nulls at the same places without the repeats, and the
    causal condition for a name.

    >>> import residuum as rz
    >>> from residuum.heads import detect_heads
    >>> table = detect_heads(rz.load("microworld"), n=8, removal=None)
    >>> table.score("induction").shape
    (4, 8)
    """
    refuse_unknown(unknown, "detect_heads", _OPTIONS)
    need_model(model, "detect_heads")
    _refuse_model(model)
    _prove(model)
    how = _How(
        removal_named(removal), whole_number(removal_n, "removal_n", 2), _share(least, "least"),
        _share(level, "level"), whole_number(resamples, "resamples", 1),
        whole_number(seed, "seed", 0), progress,
    )  # fmt: skip
    need_progress(progress)
    if batch_size is not None:
        whole_number(batch_size, "batch_size", 2)
    if task is not None:
        need_task(task, "detect_heads")
        task.check_fits(model)
    sources = [random_repeats(model, n, length, seed)]
    if prompts is not None:
        sources.append(text_prompts(model, prompts, n, length, seed))
    directions = LogitDirections.of(model)
    ov_copying = copying_eigenvalues(directions, seed).numpy()
    kept = _Collected(model, directions, ov_copying, how)
    measured = [_on_prompts(kept, source, batch_size) for source in sources]
    if task is not None:
        _on_task(kept, task.head(n))
    return HeadTable(
        scores=kept.scores,
        costs=kept.costs,
        ov_copying=ov_copying,
        types=combined(kept.grids),
        other_offset=_other_offset(measured[0]),
        example=measured[0].example.half().numpy(),
        example_tokens=tuple(model.to_str_tokens(sources[0].ids[0])),
        passes=kept.passes,
        notes=tuple(dict.fromkeys(kept.notes)),
        provenance=_provenance(model, sources, task, how, n),
    )


def _refuse_model(model: Model) -> None:
    parts = model.adapted.parts
    missing = [i for i in range(model.n_layers) if Address("pattern", i) not in model.sites]
    if missing:
        raise SiteRefused(
            f"{model.name} has no attention pattern in {len(missing)} of {model.n_layers} layers",
            mend="load a model with attention in every layer; residuum doctor says what was found",
            where=f"L{missing[0]}.pattern",
        )
    if parts.unembed is None or parts.layers[0].wiring == "post_norm_encoder":
        raise OptionError(
            f"{model.name} does not predict the next token",
            mend="detect_heads needs a causal language model; for an encoder capture its pattern",
        )


def _prove(model: Model) -> None:
    """Refuse weights that do not say what the model does: writing and copying are read off them."""
    prove_unembedding(model)
    prove_weights(model, model.adapted.parts.layers, "vo")


def _share(value: Any, name: str) -> float:
    if not isinstance(value, float) or not 0 < value < 1:
        raise OptionError(f"{name}={value!r:.40}", mend="give a number between 0 and 1")
    return value


def _scores(found: Measured, how: _How, prefix: str) -> dict[str, HeadScore]:
    return {
        prefix + name: how.score(prefix + name, values, found.nulls[name])
        for name, values in found.scores.items()
    }


def _notes(scores: dict[str, HeadScore], prefix: str) -> list[str]:
    """What the prompts cannot decide."""
    if not scores[f"{prefix}induction"].prompts:
        return ["no token of the prompts comes back: nothing is said about induction on them"]
    unjudged = [
        name for name, score in scores.items() if score.prompts and np.isnan(score.null_high).any()
    ]
    if unjudged:
        return [
            f"{', '.join(unjudged)}: the tokens are too few to take the repeats out of these "
            "prompts, so there is no null, and no head is named for it on them"
        ]
    return []


def _on_prompts(kept: _Collected, source: Prompts, batch_size: int | None) -> Measured:
    """Scores, costs and types on repeats or texts."""
    how, on = kept.how, source.source
    found = measure(
        kept.model, source.ids, kept.directions, how.progress, batch_size,
        source.exchanged, max(1, len(source) // _NULLS) if on == "repeats" else 1,
    )  # fmt: skip
    prefix = "" if on == "repeats" else "text."
    scores = _scores(found, how, prefix)
    kept.scores |= scores
    kept.remove(source.task(how.removal_n), on, found.mean_z)
    kept.passes[on] = found.passes
    kept.grids += types_on(scores, kept.costs.get(on), on, kept.ov_copying, how.least, prefix)
    kept.notes += [*source.notes, *_notes(scores, prefix)]
    return found


def _on_task(kept: _Collected, task: Task) -> None:
    """Scores, costs and types where a task's answer is read."""
    found, how = measure_task(kept.model, task, kept.directions), kept.how
    values, nulls = found.scores, found.nulls
    kept.scores |= {name: how.score(name, values[name], nulls[name]) for name in values}
    for name in ("name_mover", "s_inhibition"):
        if name not in values:
            kept.notes.append(f"no prompt of {task.name} holds what {name} looks for")
    lost = kept.remove(task, task.name, found.mean_z)
    indirect = None
    if lost is not None:
        through = lost - values["task_direct"].numpy()
        indirect = how.score("task_direct", through, through)
    kept.grids += types_on_task(
        kept.scores, kept.costs.get(task.name), indirect, task.name, how.least
    )


def _other_offset(found: Measured) -> np.ndarray:
    """``[layer head 2]``: the offset from 2 that gets most attention, and its mean attention."""
    mean = found.mean_pattern
    width = mean.shape[-1]
    by_offset = np.stack(
        [mean.diagonal(-k, 2, 3)[..., 1:].mean(-1).numpy() for k in range(2, max(width // 2, 3))],
        -1,
    )
    best = by_offset.argmax(-1)
    return np.stack([best + 2, np.take_along_axis(by_offset, best[..., None], -1)[..., 0]], -1)


def _provenance(model: Model, sources: list[Prompts], task: Task | None, how: _How, n: int) -> Any:
    told = {source.source: source.ids.tolist() for source in sources}
    if task is not None:
        told["task"] = [task.task_hash]  # type: ignore[list-item]
    removed = "no removal" if how.removal is None else f"{how.removal} removal, {how.removal_n}"
    return model.provenance(
        task_hash=content_hash(told),
        strategy=f"detect_heads({', '.join(told)}; n={n}, {removed}, least={how.least}, "
        f"level={how.level}, resamples={how.resamples})",
        seed=how.seed,
    )
