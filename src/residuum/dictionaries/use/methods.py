"""Ways to measure what latents do to a task's answers: exactly, or by the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from residuum.dictionaries.use.agreement import Agreement, agreement_of
from residuum.dictionaries.use.pairs import CLEAN, CORRUPT, LatentPairs, Way
from residuum.runs.arguments import whole_number


@dataclass(frozen=True, eq=False)
class Measuring:
    """One question about a task's latents.

    Attributes:
        held: the task's prompts as latents.
        way: how a latent is changed.
        index: latents asked about.
    """

    held: LatentPairs
    way: Way
    index: tuple[int, ...]

    @property
    def side(self) -> int:
        """Which prompts are changed."""
        return CLEAN if self.way == "ablate" else CORRUPT

    def exact(self, index: tuple[int, ...]) -> np.ndarray:
        """Changes of the answer, ``[latent pair]``, one pass for each latent."""
        if not index:
            return np.zeros((0, len(self.held.pairs)))
        after = self.held.after_each(self.held.change(self.way), index)
        return (after[:, self.side] - self.held.pairs.base[self.side]).numpy()

    def elsewhere(self, index: tuple[int, ...], draws: int, seed: int) -> np.ndarray:
        """Mean absolute effects, ``[latent]``, of the same changes in other latents' directions."""
        if not draws or not index:
            return np.full(len(index), np.nan)
        held, rng = self.held, np.random.default_rng(seed)
        change, alive = held.change(self.way), held.directions.norm(dim=1)
        others = [rng.choice(len(alive), draws) for _ in index]

        def moved(draw: int) -> torch.Tensor:
            own, other = index[draw // draws], int(others[draw // draws][draw % draws])
            other = (other + 1) % len(alive) if other == own else other
            length = alive[own] / alive[other].clamp_min(1e-12)
            return change[..., own, None] * (held.directions[other] * length)

        after = held.after(moved, len(index) * draws)[:, self.side]
        effect = (after - held.pairs.base[self.side]).mean(1).abs().numpy()
        return effect.reshape(len(index), draws).mean(1)


class Method(Protocol):
    """A way to measure effects."""

    @property
    def title(self) -> str:
        """In words."""
        ...

    def effects(self, asked: Measuring) -> tuple[np.ndarray, Agreement | None]:
        """Changes of the answer ``[latent pair]``, and how far they were checked."""
        ...


@dataclass(frozen=True)
class Exact:
    """One pass for each latent, the reconstruction's error kept.

    Shows: what the answer does when one latent alone is changed. Does not show: what several do
    together, nor what a latent does whose loss others make good.
    """

    @property
    def title(self) -> str:
        """In words."""
        return "exact"

    def effects(self, asked: Measuring) -> tuple[np.ndarray, Agreement | None]:
        """Changes of the answer ``[latent pair]``."""
        return asked.exact(asked.index), None


@dataclass(frozen=True)
class Gradient:
    """The gradient along the way from the present values to the changed ones, all latents at once.

    Attributes:
        steps: points on the way, at the middles of equal pieces; 1: halfway.
        check: latents whose effect is also measured exactly.
        seed: of those drawn at random among them.

    Raises:
        OptionError: out of range.

    Shows: which latents are worth an exact measurement. Does not show: the effect of one latent
    alone where several act jointly, or where a softmax or norm saturates.
    Source: Marks et al. 2024, "Sparse Feature Circuits", section 2. Deviation: midpoint rule; the
    error stays as it is, only latents move.
    """

    steps: int = 5
    check: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.steps, "steps", 1)
        whole_number(self.check, "check", 0)
        whole_number(self.seed, "seed", 0)

    @property
    def title(self) -> str:
        """In words."""
        return f"gradient in {self.steps} step{'s' * (self.steps > 1)}"

    def effects(self, asked: Measuring) -> tuple[np.ndarray, Agreement | None]:
        """Predicted changes of the answer ``[latent pair]``, checked on some."""
        held, side = asked.held, asked.side
        change = held.change(asked.way)[side]
        moved = change @ held.directions
        slopes = torch.zeros_like(change)
        for step in range(self.steps):
            slopes += held.slopes(side, moved * ((step + 0.5) / self.steps)) / self.steps
        found = (slopes * change).sum(1).T[list(asked.index)].double().numpy()
        return found, self._checked(asked, found)

    def _checked(self, asked: Measuring, found: np.ndarray) -> Agreement | None:
        if not self.check or not len(found):
            return None
        order = np.argsort(-np.abs(found.mean(1)), kind="stable")
        first, rest = np.split(order, [(self.check + 1) // 2])
        drawn = np.random.default_rng(self.seed).permutation(rest)[: self.check // 2]
        some = np.concatenate([first, drawn])
        exact = asked.exact(tuple(asked.index[i] for i in some))
        return agreement_of(found[some].mean(1), exact.mean(1))
