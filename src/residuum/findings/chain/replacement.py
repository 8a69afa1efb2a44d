"""Named parts, heads and MLPs alike, given other values, and what that does to the answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from residuum.core import Address, Edit, Patch, Zero, content_hash
from residuum.findings.chain.bench import Bench, Side
from residuum.findings.record.evidence import Estimate
from residuum.patching.ablations import Ablation
from residuum.patching.knocking_out import random_sets
from residuum.runs import Model, Run, part_count
from residuum.runs.sweeping.grid import Grid
from residuum.runs.sweeping.naive import picked
from residuum.runs.sweeping.writing import Constant, FromPrompts


def sites_of(parts: Sequence[str]) -> list[str]:
    """The whole sites that these parts lie in.

    >>> sites_of(["L2.z[H3]", "L2.z[H5]", "L1.mlp_out"])
    ['L1.mlp_out', 'L2.z']
    """
    found = [Address.parse(at) for at in parts]
    return sorted({str(Address(at.name, at.layer)) for at in found})


def from_run(parts: Sequence[str], run: Run) -> list[Edit]:
    """Edits that give the parts their values in a run that captured them."""
    return [Patch(at, run) for at in parts]


def other_side(bench: Bench, parts: Sequence[str], into: Side) -> list[Edit]:
    """Edits that give the parts their values on the other side of each pair."""
    side: Side = "clean" if into == "corrupt" else "corrupt"
    return from_run(parts, bench.run(side, capture=sites_of(parts)))


def ablated(bench: Bench, parts: Sequence[str], how: Ablation) -> list[Edit]:
    """Edits that take the parts out of the clean prompts.

    Raises:
        TaskError: these pairs do not allow this way of removal.
    """
    addresses = [Address.parse(at) for at in parts]
    found: dict[Address, Edit] = {}
    for name in sorted({at.name for at in addresses}):
        here = [at for at in addresses if at.name == name]
        found |= dict(zip(here, _of_site(bench, name, here, how), strict=True))
    return [found[at] for at in addresses]


def _of_site(bench: Bench, name: str, parts: Sequence[Address], how: Ablation) -> list[Edit]:
    identity = (name, content_hash(how.identity(bench.model)))
    layers = {int(str(at.layer)) for at in parts}
    had = bench.known.values.get(identity)
    if isinstance(had, FromPrompts) or (isinstance(had, Constant) and layers <= set(had.by_layer)):
        writing = had
    else:
        every = layers | set(had.by_layer if isinstance(had, Constant) else ())
        grid = Grid(name, ("layer",), (tuple(sorted(every)),))
        writing = bench.known.values[identity] = how.writing(bench.model, bench.task, grid)
    if isinstance(writing, FromPrompts):
        sites = sites_of([str(at) for at in parts])
        run = bench.known.run(bench.model, writing.batch, identity[1], sites)
        return from_run([str(at) for at in parts], run)
    assert isinstance(writing, Constant)
    return [_constant(bench, at, writing) for at in parts]


def _constant(bench: Bench, at: Address, writing: Constant) -> Edit:
    """Zeros, or a mean by position or pooled, over all prompts."""
    if not writing.by_layer:
        return Zero(at)
    value = writing.by_layer[int(str(at.layer))]
    trailing = at.site.dims[2:]
    by_pos = value.ndim > len(trailing)
    whole = value if by_pos else value[None].expand(bench.task.clean.shape[1], *value.shape)
    rows = whole[None].expand(len(bench.task), *whole.shape).contiguous()
    return Patch(at, picked(rows, at.name, at.part, None))


def gained(bench: Bench, edits: Sequence[Edit]) -> np.ndarray:
    """What the corrupt run gains under edits, ``[example]``, in the metric's unit."""
    return bench.values("corrupt", edits) - bench.corrupt


def lost(bench: Bench, edits: Sequence[Edit]) -> np.ndarray:
    """What the clean run loses under edits, ``[example]``, in the metric's unit."""
    return bench.clean - bench.values("clean", edits)


def share_of(bench: Bench, values: np.ndarray, rows: np.ndarray | None = None) -> Estimate:
    """Values as a share of the distance from corrupt to clean; of some rows only, if given."""
    at = np.arange(len(values)) if rows is None else np.asarray(rows)
    labels = [bench.task.templates[int(row)] for row in at] if bench.clusters else []
    return Estimate.of_ratio(
        values[at].tolist(),
        (bench.clean - bench.corrupt)[at].tolist(),
        clusters=labels if len(set(labels)) > 1 else None,
    )


def random_parts(model: Model, parts: Sequence[str], count: int, seed: int) -> list[list[str]]:
    """Different random sets of as many other parts of the same kinds, layers matched if possible.

    Fewer than ``count`` where fewer are possible.
    """
    addresses = [Address.parse(at) for at in parts]
    kinds = {at.name: at for at in addresses}.values()
    everyone = [at for like in kinds for at in every_part(model, like)]
    drawn, _ = random_sets(everyone, addresses, count, seed)
    return [[str(at) for at in each] for each in drawn]


def every_part(model: Model, like: Address) -> list[Address]:
    """Every part of the same kind in the model: all heads, or all MLPs."""
    numbers = [None] if like.part is None else list(range(part_count(model.adapted, like)))
    layers = range(model.n_layers)
    return [Address(like.name, layer, part) for layer in layers for part in numbers]
