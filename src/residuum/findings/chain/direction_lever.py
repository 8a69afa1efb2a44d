"""A direction as a lever: moved along it, held at its mean, or given another prompt's value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from residuum.core import Patch, ResiduumError, TaskError
from residuum.directions import Direction
from residuum.directions.causal_effects import as_given
from residuum.directions.interventions import Pairs, edited, effects, read_pairs
from residuum.directions.proving import unseen
from residuum.directions.random_directions import covariance_directions, levelled
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.texts import Texts, losses
from residuum.findings.record.mechanism import Kind
from residuum.findings.record.part_evidence import MEAN, RESAMPLE, SWAP, ZERO
from residuum.patching.ablations import same_answers
from residuum.runs import Task


@dataclass(frozen=True, eq=False)
class DirectionLever:
    """A direction, or a subspace; see :class:`Lever`.

    Attributes:
        direction: whose address says where to write.
        home: the pairs that random directions are drawn like.
    """

    direction: Direction
    home: Bench
    kind: Kind = "direction"
    ways: tuple[str, ...] = (MEAN, RESAMPLE)
    every_way: tuple[str, ...] = (SWAP, MEAN, RESAMPLE, ZERO)

    @property
    def parts(self) -> tuple[str, ...]:
        """The site."""
        return (str(self.direction.at),)

    def allowed(self, task: Task) -> Task:
        """Pairs of templates that hold nothing it was found on."""
        return unseen(self.direction, task)[0]

    def moves(self, bench: Bench) -> tuple[np.ndarray, np.ndarray]:
        """What adding it and what erasing it closes of the gap, as its proof measures it."""
        pairs = self._pairs(bench)
        found = as_given(pairs, self.direction.vector)
        add, erase = (
            effects(bench.model, pairs, kind, [found.basis], [found.shift])[0].cpu().numpy()
            for kind in ("add", "erase")
        )
        return add, erase

    def logits(self, bench: Bench) -> tuple[Tensor, Tensor]:
        """Corrupt prompts as they are, and moved along it by the distance of the means."""
        pairs = self._pairs(bench)
        found = as_given(pairs, self.direction.vector)
        moved = edited(pairs, "add", found.basis, found.shift)[1]
        return bench.logits("corrupt"), bench.logits("corrupt", [Patch(pairs.at, moved)])

    def cost(self, bench: Bench, how: str) -> np.ndarray:
        """Lost with its value at the mean of both sides, or at that of another prompt."""
        return self._cost(bench, self.direction.basis, how)

    def random_costs(self, bench: Bench, how: str, count: int) -> list[np.ndarray]:
        """The same along directions drawn like the activations of the behaviour's own pairs."""
        return [self._cost(bench, basis, how) for basis in self._drawn(count)]

    def text_losses(self, bench: Bench, texts: Texts, sets: int) -> np.ndarray:
        """Its value at the mean over the texts, at every token, whatever its address says."""
        batch, site = texts.batch(), str(replace(self.direction.at, pos=None))
        with torch.no_grad():
            run = bench.model.run(batch, capture=[site])
        values = run[site]
        real = torch.ones(values.shape[:2], dtype=torch.bool) if batch.mask is None else batch.mask
        centre = values[real.to(values.device)].mean(dim=0)
        found = [losses(run, batch)]
        for basis in (self.direction.basis, *self._drawn(sets)):
            rows = basis.to(values)
            held = values + ((centre - values) @ rows.T) @ rows
            with torch.no_grad():
                found.append(losses(bench.model.run(batch, edits=[Patch(site, held)]), batch))
        return np.stack(found)

    def _pairs(self, bench: Bench) -> Pairs:
        with torch.no_grad():
            return read_pairs(bench.model, self.direction.at, bench.task)

    def _cost(self, bench: Bench, basis: Tensor, how: str) -> np.ndarray:
        pairs = self._pairs(bench)
        values, rows = pairs.values[0], basis.to(pairs.values)
        here = values[pairs.written]
        wanted = _wanted(pairs, how, bench.seed)
        held = values.clone()
        held[pairs.written] = here + ((wanted - here) @ rows.T) @ rows
        return bench.clean - bench.values("clean", [Patch(pairs.at, held)])

    @cached_property
    def _spread(self) -> Tensor:
        return levelled(*self._pairs(self.home).at_read)

    def _drawn(self, count: int) -> list[Tensor]:
        try:
            return covariance_directions(
                self._spread, count, k=self.direction.k, seed=self.home.seed
            )
        except ResiduumError:  # the site is the same on every prompt: nothing to draw from
            return []


def _wanted(pairs: Pairs, how: str, seed: int) -> Tensor:
    """What the clean prompts' component becomes at the places written to, ``[place d]``."""
    here = pairs.values[0][pairs.written]
    if how == SWAP:
        return pairs.values[1][pairs.written]
    if how == MEAN:
        return pairs.centre.expand_as(here)
    if how == ZERO:
        return torch.zeros_like(here)
    return here[torch.as_tensor(donors(pairs, seed))]


def donors(pairs: Pairs, seed: int) -> list[int]:
    """For each place written to, one of another prompt with another answer; at the same position
    where there is one."""
    row, position = (each.cpu() for each in pairs.written.nonzero(as_tuple=True))
    other = ~same_answers(pairs.task, pairs.task)
    rng, chosen = np.random.default_rng(seed), []
    for prompt, place in zip(row, position, strict=True):
        fits = other[prompt, row]
        there = (fits & (position == place)).nonzero().flatten()
        at = there if len(there) else fits.nonzero().flatten()
        if not len(at):
            raise TaskError(
                "no prompt with another answer to resample from",
                mend="take pairs with several answers",
            )
        chosen.append(int(at[rng.integers(len(at))]))
    return chosen
