"""Finding a direction: at a site, or at the best one of all layers, chosen on validation only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from residuum.core import SILENT, Address, OptionError, Progress
from residuum.directions.direction import Direction
from residuum.directions.examples import Examples
from residuum.directions.harvesting import Activations, SiteValues, harvest_examples
from residuum.directions.methods.difference_of_means import DifferenceOfMeans
from residuum.directions.methods.found_vectors import FindingMethod, FoundVectors
from residuum.directions.origin import Origin
from residuum.directions.reading_places import written_at
from residuum.runs import Model, Task, need_model, refuse_unknown, shown, whole_number
from residuum.runs.arguments import need_progress, yes_or_no

_OPTIONS = "at, method, prove, task, off_target, split_by, seed, keep, progress"


def direction(
    model: Model,
    data: Examples | Task,
    *,
    at: str | Address | None = None,
    method: FindingMethod | None = None,
    prove: bool = True,
    task: Task | None = None,
    off_target: Sequence[Task] = (),
    split_by: str = "group",
    seed: int = 0,
    keep: Any = None,
    progress: Progress = SILENT,
    **unknown: Any,
) -> Direction:
    """Find a direction, and by default prove it on examples that it was not found on.

    Args:
        model: a loaded model.
        data: labelled examples, or a task (clean is class 1, corrupt class 0).
        at: site, such as ``"L2.resid_post"``. With a position, that token is read and edited;
            without, the token that the examples name is read, and edits act on every token (where
            the examples name another token than the last, on that one). None tries the stream after
            every layer and takes the best on the validation side.
        method: how it is found; :class:`DifferenceOfMeans` by default.
        prove: test what it causes; needs a task. Where the site is given, nothing is chosen on the
            validation side, and the proof has its templates too.
        task: what it is proven on; with a task as ``data``, the held-out part of that.
        off_target: tasks that a specific direction leaves alone.
        split_by: ``"group"`` (templates) or ``"example"``: what is kept on one side. Prompts that a
            task repeats are then taken once, where nothing is proven.
        seed: of the split and of the method; recorded.
        keep: folder for the activations; see :func:`harvest`.
        progress: who is told.

    Returns:
        The direction, class 1 (clean) on its positive side; with ``proof`` where asked for.

    Raises:
        OptionError: an unknown option; ``prove=True`` without a task; a split that cannot be made.
        TaskError: one class only, examples or tasks that do not fit.
        ShapeError: activations that are constant, or hold NaN.
        AddressError: no such site.

    Shows: where and along what the classes differ. Does not show, without the proof: that the model
    uses it, or that nothing else differs along it.
    Source: each method's own.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> rz.direction(model, rz.task("refusal", model, n=32), at="L2.resid_post", prove=False).k
    1
    """
    need_model(model, "direction")
    refuse_unknown(unknown, "direction", _OPTIONS)
    whole_number(seed, "seed", 0)
    need_progress(progress)
    yes_or_no(prove, "prove")
    _need_site(at)
    chosen = DifferenceOfMeans() if method is None else need_method(method)
    examples = as_examples(data)
    if isinstance(data, Task) and split_by == "example" and at is None and not prove:
        alone = examples.unique()
        examples = alone if len(alone) < len(examples) else examples
    held: Any = None
    if prove or at is None:
        sides = examples.split(split_by, seed=seed)
        train, validation, test = sides.rows
        chosen_by = validation if at is None else train[:0]
        rows = torch.cat([train, chosen_by]).sort().values
        proven_on = test if at is None else torch.cat([validation, test]).sort().values
        held = examples.subset(proven_on)
    else:
        rows = torch.arange(len(examples))
        train = validation = rows
    found = harvest_examples(
        model, examples, "resid_post" if at is None else at, keep=keep, progress=progress
    )
    cell = 0 if at is not None else best_cell(model, found, chosen, train, validation, seed)
    result = at_cell(model, found, cell, chosen, rows, seed, split_by if held else "")
    if not prove:
        return result
    return _proven(model, result, data, task, held, off_target, seed)


def _need_site(at: Any) -> None:
    if at is not None and not isinstance(at, (str, Address)):
        raise OptionError(
            f"at={shown(at)} is no site",
            mend='give an address such as "L2.resid_post", or None for the best layer',
            where="direction",
        )


def need_method(method: Any) -> FindingMethod:
    """Refuse what is no method of finding.

    Raises:
        OptionError: it is none.
    """
    if isinstance(method, type) or not hasattr(method, "find"):
        made = f"{method.__name__}()" if isinstance(method, type) else "DifferenceOfMeans()"
        raise OptionError(
            f"method={shown(method)} is no way to find a direction", mend=f"give {made}"
        )
    return method


def as_examples(data: Any) -> Examples:
    """Examples as they are, or both sides of a task.

    Raises:
        OptionError: neither.
        TaskError: see :meth:`Examples.from_task`.
    """
    if isinstance(data, Examples):
        return data
    if isinstance(data, Task):
        return Examples.from_task(data)
    raise OptionError(
        f"data={shown(data)} are neither examples nor a task",
        mend="give rz.Examples.from_texts(...), .from_file(...) or rz.task(...)",
    )


def best_cell(
    model: Model,
    activations: Activations,
    method: FindingMethod,
    train: Tensor,
    validation: Tensor,
    seed: int,
) -> int:
    """The cell whose direction, fitted on the training rows, tells the validation rows apart best.

    Of equals the earliest; cells whose activations do not vary are left out.
    """
    scores = [
        _score(model, activations.cell(index, train), activations.cell(index, validation), method,
               seed)
        for index in range(len(activations.cells))
    ]  # fmt: skip
    return max(range(len(scores)), key=lambda index: (scores[index], -index))


def _score(
    model: Model, fit: SiteValues, held: SiteValues, method: FindingMethod, seed: int
) -> float:
    if fit.constant():
        return -math.inf
    vectors = _oriented(fit, method.find(model, fit.at, fit, seed))
    rows = vectors.vectors if vectors.vectors.ndim == 2 else vectors.vectors[None]
    unit = rows[0].double() / rows[0].double().norm()
    right = sum(
        int(((x.double() @ unit > vectors.threshold) == (y > 0)).sum()) for x, y in held.blocks()
    )
    return right / len(held)


def at_cell(
    model: Model,
    activations: Activations,
    cell: int,
    method: FindingMethod,
    rows: Tensor,
    seed: int,
    split_by: str = "",
) -> Direction:
    """The direction of one harvested cell, fitted on these rows."""
    values = activations.cell(cell, rows)
    found = _oriented(values, method.find(model, values.at, values, seed))
    used = activations.examples.subset(rows)
    return Direction(
        at=written_at(activations.cells[cell]),
        vector=found.vectors,
        typical_norm=float(activations.norms[cell]),
        threshold=found.threshold,
        method=repr(method),
        origin=Origin(
            data_hash=activations.examples.hash,
            source=used.source,
            classes=used.classes,
            n_fit=len(used),
            split_by=split_by,
            read_at=activations.cells[cell].read_at,
            seed=seed,
            fitted_on=frozenset(used.identities),
            groups=tuple(sorted(set(used.groups))),
        ),
        weight_hash=model.adapted.weight_hash,
        provenance=model.provenance(
            task_hash=activations.examples.hash, strategy=f"direction({method!r})", seed=seed
        ),
        notes=found.notes,
    )


def _oriented(values: SiteValues, found: FoundVectors) -> FoundVectors:
    """With a threshold halfway between the two classes' means, where the method gave none."""
    if math.isfinite(found.threshold) or len(values.classes) != 2:
        return found
    rows = found.vectors if found.vectors.ndim == 2 else found.vectors[None]
    unit = rows[0].double() / rows[0].double().norm()
    means = values.moments().means
    return replace(found, threshold=float((means @ unit).mean()))


def _proven(
    model: Model, found: Direction, data: Any, task: Any, held: Any, off_target: Any,
    seed: int,
) -> Direction:  # fmt: skip
    from residuum.directions.proving import prove

    if task is None and not (isinstance(data, Task) and held.pairs is not None):
        raise OptionError(
            "a proof needs a task, and the data are examples",
            mend="give task=rz.task(...) with other pairs than the examples, or prove=False",
        )
    if task is None:
        task = data.subset(sorted(set(held.pairs.tolist())))
    return found.with_proof(prove(found, model, task, off_target=off_target, seed=seed))
