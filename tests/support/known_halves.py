"""Pairs for models whose mechanism is known: two halves each, as the chain cuts them."""

from __future__ import annotations

import torch
from handmade import induction_task

import residuum as rz
from residuum.findings.chain.bench import Bench
from residuum.runs import Model


def halves(model: Model, task: rz.Task, seed: int = 0) -> tuple[Bench, Bench]:
    """The choosing half and the measuring half."""
    return Bench(model, task[0::2], seed), Bench(model, task[1::2], seed)


def handmade_halves(model: Model) -> tuple[Bench, Bench]:
    """Of the hand-set induction model."""
    return halves(model, induction_task(64))


def permuted_letters(rows: int = 64) -> rz.Task:
    """Seven distinct letters, then one of the first six again; against another order of them."""
    draw = torch.Generator().manual_seed(0)
    letters = torch.rand(4 * rows, 26, generator=draw).argsort(dim=1)[:, :7]
    last = letters.gather(1, torch.randint(0, 6, (4 * rows, 1), generator=draw))
    order = torch.rand(4 * rows, 7, generator=draw).argsort(dim=1)
    clean = torch.cat([letters, last], dim=1)
    corrupt = torch.cat([letters.gather(1, order), last], dim=1)
    (right, _), (wrong, known) = _follows(clean), _follows(corrupt)
    kept = (known & (right != wrong)).nonzero().flatten()[:rows]
    return rz.Task.from_pairs(
        clean=clean[kept], corrupt=corrupt[kept], answers=right[kept], wrong=wrong[kept]
    )


def _follows(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What follows the first place of the last letter, and whether anything does."""
    place = (ids[:, :7] == ids[:, 7:]).int().argmax(dim=1)
    return ids[torch.arange(len(ids)), place + 1], place < 6
