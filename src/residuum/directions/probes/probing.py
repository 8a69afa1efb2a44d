"""Probing: fit a linear reader at every place, choose on validation, report on test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from residuum.core import SILENT, Address, OptionError, Progress
from residuum.core.progress import track
from residuum.directions.examples import Examples
from residuum.directions.harvesting import Activations, harvest_examples
from residuum.directions.origin import Origin
from residuum.directions.probes.controls import ControlTask, control_task, shuffled
from residuum.directions.probes.label_orders import chance_p
from residuum.directions.probes.logistic import Logistic, MultiClass
from residuum.directions.probes.method import ProbeMethod, need_probe_method
from residuum.directions.probes.place_fit import PlaceFit
from residuum.directions.probes.result import Probes
from residuum.directions.probes.scores import (
    ProbeScore,
    best_of,
    logits_of,
)
from residuum.directions.probes.weights import ProbeWeights
from residuum.directions.reading_places import written_at
from residuum.directions.splitting import Split
from residuum.runs import Model, need_model, refuse_unknown, shown, whole_number
from residuum.runs.arguments import need_progress

_OPTIONS = "site, layers, method, positions, split_by, seed, keep, batch_size, progress"
Rows = tuple[Tensor, Tensor, Tensor]


def probe(
    model: Model,
    examples: Examples | Split[Examples],
    site: str | Address | Sequence[str | Address] = "resid_post",
    layers: Sequence[int] | None = None,
    *,
    method: ProbeMethod | None = None,
    positions: Sequence[int] | int | None = None,
    split_by: str = "group",
    seed: int = 0,
    keep: str | Path | None = None,
    batch_size: int = 64,
    progress: Progress = SILENT,
    **unknown: Any,
) -> Probes:
    """Fit a linear probe at every layer (and token), and say what can be read where.

    Fitted on training examples; the temperature and the best place come from validation examples;
    what is reported comes from test examples. Whole templates are on one side, so that wording
    cannot leak. At every place the same method is also fitted on a control task (a random function
    of a token) and on shuffled labels.

    Args:
        model: a loaded model.
        examples: labelled examples, or a split of them.
        site, layers: where: a site's name and layers (all by default), queries, or addresses; all
            of one width.
        method: :class:`Logistic` by default (:class:`MultiClass` for several classes).
        positions: tokens to read, the same in all examples; None reads what each example names.
        split_by: ``"group"``, or ``"example"`` where there are no templates.
        seed: of split, controls and tests; recorded.
        keep: folder for the activations, which an interrupted call continues.
        batch_size: examples in one pass.
        progress: who is told.

    Returns:
        A score for each place: accuracy (0 to 1) on the three sides, the test side's interval
        clustered by template, loss (bits), calibration error, control and shuffled accuracy. Memory
        does not grow with the number of examples.

    Raises:
        OptionError: an unknown option or method, too few groups.
        TaskError: one class only, duplicates on two sides.
        ShapeError: activations that hold NaN, or that vary at no place.
        AddressError: no such site.

    Shows: what is linearly readable. Does not show: that the model uses it (:func:`rz.prove`).
    Source: Alain and Bengio 2016, "Understanding intermediate layers using linear classifier
    probes"; controls as Hewitt and Liang 2019.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> data = rz.Examples.from_task(rz.task("refusal", model, n=64))
    >>> rz.probe(model, data).decodable
    True
    """
    need_model(model, "probe")
    refuse_unknown(unknown, "probe", _OPTIONS)
    whole_number(seed, "seed", 0)
    need_progress(progress)
    data, given, by = sides_of(examples, split_by, seed)
    rows = once_each(data, given)
    repeated = sum(map(len, given)) - sum(map(len, rows))
    chosen = _method_for(data, method)
    found = harvest_examples(
        model, data, site, layers,
        positions=positions, keep=keep, batch_size=batch_size, progress=progress,
    )  # fmt: skip
    control = control_task(data, rows[0], rows[2], seed)
    mixed = shuffled(data.labels, rows, seed)
    kept: list[tuple[int, ProbeWeights, ProbeScore]] = []
    skipped: list[str] = []
    fitting = PlaceFit(
        found, rows, chosen, control.labels, mixed, _clusters(data, rows[2], by), seed
    )
    for cell in track(range(len(found.cells)), progress, "probes", len(found.cells)):
        made = fitting.at(cell)
        if made is None:
            skipped.append(f"{found.cells[cell].at}: the same in every example")
        else:
            kept.append((cell, *made))
    if not kept:
        found.cell(0, rows[0]).need_spread()
    made = _result(model, found, kept, rows, by, seed, chosen, control, tuple(skipped))
    return replace(made, repeated=repeated)


def sides_of(
    examples: Examples | Split[Examples], split_by: str, seed: int
) -> tuple[Examples, Rows, str]:
    """All examples, the rows of the three sides, and what they were split by.

    Raises:
        OptionError: what is no examples; a split that cannot be made.
    """
    if isinstance(examples, Examples):
        split = examples.split(split_by, seed=seed)
        return examples, (split.rows[0], split.rows[1], split.rows[2]), split_by
    if isinstance(examples, Split):
        parts = (examples.train, examples.validation, examples.test)
        ends = torch.tensor([0, *map(len, parts)]).cumsum(0).tolist()
        rows = [torch.arange(a, b) for a, b in pairwise(ends)]
        return Examples.joined(parts), (rows[0], rows[1], rows[2]), examples.by
    raise OptionError(
        f"probe needs examples, got {shown(examples)}",
        mend="give rz.Examples.from_texts(...), .from_file(...) or .from_task(...)",
    )


def once_each(examples: Examples, rows: Rows) -> Rows:
    """Each side's rows, every example the first time it occurs: a copy is no further evidence."""
    names = examples.identities

    def first(side: Tensor) -> Tensor:
        known: dict[str, int] = {}
        for row in side.tolist():
            known.setdefault(names[row], row)
        return torch.tensor(list(known.values()))

    return first(rows[0]), first(rows[1]), first(rows[2])


def _method_for(data: Examples, method: ProbeMethod | None) -> ProbeMethod:
    if method is None:
        return Logistic() if len(data.classes) == 2 else MultiClass()
    return need_probe_method(method)


def _clusters(examples: Examples, test: Tensor, by: str) -> list[str] | None:
    if by != "example" and examples.groups:
        return [examples.groups[i] for i in test.tolist()]
    if examples.pairs is not None:
        return [str(pair) for pair in examples.pairs[test].tolist()]
    return None


def _result(
    model: Model, found: Activations, kept: list[tuple[int, ProbeWeights, ProbeScore]], rows: Rows,
    by: str, seed: int, method: ProbeMethod, control: ControlTask, skipped: tuple[str, ...],
) -> Probes:  # fmt: skip
    cells, probes, scores = zip(*kept, strict=True)
    best = best_of(scores)
    test = found.cell(cells[best], rows[2])
    said = logits_of(probes[best], test).argmax(-1)
    data, used = found.examples, torch.cat(rows[:2]).sort().values
    seen = data.subset(used)
    origin = Origin(
        data_hash=data.hash, source=data.source, classes=data.classes, n_fit=len(used),
        split_by=by, read_at=found.cells[cells[best]].read_at, seed=seed,
        fitted_on=frozenset(seen.identities), groups=tuple(sorted(set(seen.groups))),
    )  # fmt: skip
    return Probes(
        scores=scores,
        probes=probes,
        best_index=best,
        p=chance_p(said, test.labels, seed, _clusters(data, rows[2], by)),
        majority=data.subset(rows[2]).majority,
        classes=data.classes,
        split_by=by,
        counts=(len(rows[0]), len(rows[1]), len(rows[2])),
        control_token=control.token,
        skipped=skipped,
        written=tuple(str(written_at(found.cells[cell])) for cell in cells),
        typical_norms=tuple(float(found.norms[cell]) for cell in cells),
        method=repr(method),
        origin=origin,
        provenance=model.provenance(
            task_hash=data.hash, strategy=f"probe({method!r}, split_by={by!r})", seed=seed
        ),
    )
