"""A sweep as it is asked for: checked against the model, and made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import residuum as rz
from residuum.apps.workbench.jobs import Ticket
from residuum.apps.workbench.live_blocks import LiveBlocks
from residuum.core import OptionError, TaskError
from residuum.patching import Sweep
from residuum.patching.activation_patching import asked
from residuum.runs import Model, Task, resolve
from residuum.runs.sweeping import Grid

CELLS = 100_000
"""Cells of one sweep."""
NUMBERS = 4_000_000
"""Cells × pairs of one sweep."""
MEMORY = "2 GB"
"""Of one sweep, beyond the model; fixed, so that a restarted server divides the work alike."""
_TOP = 20
_ONE_PROMPT = (
    "one pair is no evidence: an effect on one prompt may be this prompt's own. Sweep a task of "
    "many pairs before believing it"
)


@dataclass(frozen=True)
class Pairs:
    """What is swept over: a named task, or one pair of prompts.

    Attributes:
        task: name; empty for a pair.
        n, seed: of the task.
        tokens: keep only its pairs of this many tokens, so that positions line up; 0 keeps all.
        clean, corrupt: ids of the pair.
        answer, wrong: ids of the tokens that are right and wrong after the clean prompt.
    """

    task: str = ""
    n: int = 16
    seed: int = 0
    tokens: int = 0
    clean: tuple[int, ...] = ()
    corrupt: tuple[int, ...] = ()
    answer: int | None = None
    wrong: int | None = None

    def make(self, model: Model) -> Task:
        """The task.

        Raises:
            TaskError: it does not fit the model; a pair that does not line up; no pair has so
                many tokens.
        """
        if self.task:
            task = rz.task(self.task, model, n=self.n, seed=self.seed)
            return self._of_one_length(task) if self.tokens else task
        return rz.Task.from_pairs(
            model=model,
            name="pair",
            clean=[list(self.clean)],
            corrupt=[list(self.corrupt)],
            answers=[self.answer],
            wrong=None if self.wrong is None else [self.wrong],
        )

    def _of_one_length(self, task: Task) -> Task:
        rows = (task.lengths == self.tokens).nonzero().flatten().tolist()
        if not rows:
            known = ", ".join(str(each) for each in sorted(set(task.lengths.tolist())))
            raise TaskError(
                f"no pair of {self.task} has {self.tokens} tokens", mend=f"use one of: {known}"
            )
        return task.subset(rows)

    def python(self) -> str:
        """The lines that make the task."""
        if self.task:
            made = f"task = rz.task({self.task!r}, model, n={self.n}, seed={self.seed})\n"
            kept = f"task = task.subset((task.lengths == {self.tokens}).nonzero().flatten())\n"
            return made + (kept if self.tokens else "")
        return (
            "task = rz.Task.from_pairs(\n"
            "    model=model,\n"
            '    name="pair",\n'
            f"    clean=[{list(self.clean)}],\n"
            f"    corrupt=[{list(self.corrupt)}],\n"
            f"    answers=[{self.answer}],\n"
            f"    wrong={None if self.wrong is None else [self.wrong]},\n"
            ")\n"
        )


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep is.

    Attributes:
        site, by, only, metric: as of :func:`residuum.patch`.
        direction: ``denoise`` or ``noise``; of a patch.
        how: of an ablation, ``zero``, ``mean``, ``resample`` or ``swap``; empty for a patch.
    """

    pairs: Pairs
    site: str = "z"
    by: tuple[str, ...] = ("layer", "head")
    direction: str = "denoise"
    how: str = ""
    metric: str = ""
    only: Mapping[str, list[int]] | None = None

    def check(self, model: Model) -> dict[str, Any]:
        """What the sweep will be: its task, its first pair, its axes and how they are labelled.

        Raises:
            ResiduumError: what the library refuses; more cells than there is room for.
        """
        task = self.pairs.make(model)
        grid, metric = asked(model, task, "patch", self.site, self.by, self.only, self.metric)
        if metric.needs_wrong and bool((task.wrong < 0).all(dim=1).any()):
            raise TaskError(
                f"the metric {metric.name!r} compares with wrong answers, and there are none",
                mend="give wrong, or another metric: prob, accuracy or loss_nats",
            )
        _refuse_unproven(model, grid)
        cells = [index for index, _ in grid.cells()]
        _refuse_large(grid, len(cells), len(task))
        possible = set(cells)
        return {
            "site": grid.site,
            "dims": list(grid.by),
            "shape": list(grid.sizes),
            "labels": {axis: _labels(model, task, grid, axis) for axis in grid.by},
            "coords": {axis: list(at) for axis, at in zip(grid.by, grid.coords, strict=True)},
            "n_cells": len(cells),
            "impossible": [list(i) for i in np.ndindex(*grid.sizes) if i not in possible],
            "metric": metric.name,
            "unit": metric.unit,
            "kind": self.how or self.direction,
            "task": task.name,
            "n_pairs": len(task),
            "clean_tokens": model.to_str_tokens(task.clean[0, : int(task.lengths[0])]),
            "corrupt_tokens": model.to_str_tokens(task.corrupt[0, : int(task.lengths[0])]),
            "clean_ids": task.clean[0, : int(task.lengths[0])].tolist(),
            "corrupt_ids": task.corrupt[0, : int(task.lengths[0])].tolist(),
            "seed": self.pairs.seed if self.pairs.task else None,
            "note": _ONE_PROMPT if len(task) == 1 else "",
        }

    def run(self, model: Model, ticket: Ticket, folder: Any) -> dict[str, Any]:
        """Make the sweep, telling of each finished block.

        Args:
            folder: in which finished blocks are kept.
        """
        task = self.pairs.make(model)
        blocks = LiveBlocks(ticket, folder)
        more: dict[str, Any] = {"only": self.only, "metric": self.metric, "jobs": blocks}
        more["max_memory"] = MEMORY
        if self.how:
            sweep = rz.ablate(model, task, self.site, self.by, self.how, **more)
        else:
            direction: Any = self.direction
            sweep = rz.patch(model, task, self.site, self.by, direction=direction, **more)
        note = _ONE_PROMPT if len(task) == 1 else ""
        told = {"note": note, "kept_blocks": blocks.kept, "computed_blocks": blocks.computed}
        return _result(sweep) | told | {"python": self.python()}

    def python(self) -> str:
        """Lines that make the sweep with the library alone; ``rz`` and ``model`` are in scope."""
        options = f"{self.site!r}, by={self.by!r}"
        options += f", how={self.how!r}" if self.how else f", direction={self.direction!r}"
        options += f", only={dict(self.only)!r}" if self.only else ""
        options += f", metric={self.metric!r}" if self.metric else ""
        verb = "ablate" if self.how else "patch"
        return (
            f"{self.pairs.python()}sweep = rz.{verb}(model, task, {options})\n"
            "effects = sweep.effects.values\n"
        )


def _refuse_unproven(model: Model, grid: Grid) -> None:
    """Say now, and not in the middle of the job, that the model lacks the site at a layer of it."""
    layers = grid.coords[grid.by.index("layer")] if "layer" in grid.by else None
    for site in model.adapted.refused:
        if site.name == grid.site and (layers is None or site.layer in layers):
            resolve(model.adapted, site)


def _refuse_large(grid: Grid, cells: int, pairs: int) -> None:
    whole = int(np.prod(grid.sizes))
    if whole > CELLS or cells * pairs > NUMBERS:
        raise OptionError(
            f"{whole} cells over {pairs} {'pair' if pairs == 1 else 'pairs'} are more than the "
            f"workbench holds: {CELLS} cells, {NUMBERS} numbers",
            mend="sweep fewer axes, choose layers with only, or use rz.patch in Python",
        )


def _labels(model: Model, task: Task, grid: Grid, axis: str) -> list[str]:
    """One text for each index: positions with their token where all clean prompts share it."""
    at = grid.coords[grid.by.index(axis)]
    if axis in ("pos", "q_pos", "k_pos"):
        shared = (task.clean == task.clean[0]).all(dim=0).tolist()
        texts = model.to_str_tokens(task.clean[0])
        return [f"{i} {texts[i]}" if shared[i] else str(i) for i in at]
    letter = {"layer": "L", "head": "H", "neuron": "N", "expert": "E"}[axis]
    return [f"{letter}{i}" for i in at]


def _result(sweep: Sweep) -> dict[str, Any]:
    """The sweep as plain data, NaN as None."""
    whole = sweep.to_json()
    names = ("site", "kind", "metric", "unit", "dims", "coords", "effects", "recovered_frac")
    names += ("engine", "passes", "passes_saved", "warnings", "provenance")
    return {name: whole[name] for name in names} | {
        "clean": float(sweep.clean.mean()),
        "corrupt": float(sweep.corrupt.mean()),
        "n_pairs": len(sweep.clean),
        "top": [
            {
                "at": each.at,
                "effect": each.effect,
                "recovered_frac": _number(each.recovered_frac),
                "low": _number(each.interval[0]),
                "high": _number(each.interval[1]),
                "p": _number(each.p),
                "verdict": each.verdict,
            }
            for each in sweep.top(_TOP)
        ],
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
