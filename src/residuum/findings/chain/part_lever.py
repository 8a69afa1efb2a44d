"""Heads and MLPs as a lever: values of the other side, means and other prompts' values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from residuum.core import Address, Mean
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.replacement import (
    ablated,
    gained,
    lost,
    other_side,
    random_parts,
    sites_of,
)
from residuum.findings.chain.texts import Texts, losses
from residuum.findings.record.mechanism import Kind
from residuum.findings.record.part_evidence import MEAN, RESAMPLE
from residuum.patching import MeanAblation, ResampleAblation
from residuum.patching.ablations import Ablation
from residuum.runs import Capture, Task


@dataclass(frozen=True)
class PartLever:
    """Named parts; see :class:`Lever`.

    Attributes:
        parts: addresses of heads and MLPs.
    """

    parts: tuple[str, ...]
    kind: Kind = "components"
    ways: tuple[str, ...] = (MEAN, RESAMPLE)
    every_way: tuple[str, ...] = (MEAN, RESAMPLE)

    @staticmethod
    def of(parts: Sequence[str]) -> PartLever:
        """Of these addresses."""
        return PartLever(tuple(parts))

    def allowed(self, task: Task) -> Task:
        """All pairs."""
        return task

    def moves(self, bench: Bench) -> tuple[np.ndarray, np.ndarray]:
        """Gained by the corrupt run from clean values, lost by the clean run from corrupt ones."""
        return (
            gained(bench, other_side(bench, self.parts, "corrupt")),
            lost(bench, other_side(bench, self.parts, "clean")),
        )

    def logits(self, bench: Bench) -> tuple[Tensor, Tensor]:
        """Corrupt prompts as they are, and with the parts' clean values."""
        edits = other_side(bench, self.parts, "corrupt")
        return bench.logits("corrupt"), bench.logits("corrupt", edits)

    def cost(self, bench: Bench, how: str) -> np.ndarray:
        """Lost with the parts at their mean, or at another prompt's values."""
        return _cost(bench, self.parts, how)

    def random_costs(self, bench: Bench, how: str, count: int) -> list[np.ndarray]:
        """The same for as many other parts of the same kinds."""
        drawn = random_parts(bench.model, self.parts, count, bench.seed)
        return [_cost(bench, each, how) for each in drawn]

    def text_losses(self, bench: Bench, texts: Texts, sets: int) -> np.ndarray:
        """With the parts, and random ones, at their mean over all tokens of the texts."""
        batch = texts.batch()
        drawn = random_parts(bench.model, self.parts, sets, bench.seed) if self.parts else []
        sites = sites_of([*self.parts, *(at for each in drawn for at in each)])
        asked = [Capture(Address.parse(site), reduce="mean") for site in sites]
        with torch.no_grad():
            means = bench.model.run(batch, capture=asked)
        found = [losses(means, batch)]
        for each in (self.parts, *drawn):
            with torch.no_grad():
                run = bench.model.run(batch, edits=[Mean(at, means) for at in each])
            found.append(losses(run, batch))
        return np.stack(found)


def _cost(bench: Bench, parts: Sequence[str], how: str) -> np.ndarray:
    ablations: dict[str, Ablation] = {
        MEAN: MeanAblation(), RESAMPLE: ResampleAblation(seed=bench.seed, other_answer=True)
    }  # fmt: skip
    return lost(bench, ablated(bench, parts, ablations[how]))
