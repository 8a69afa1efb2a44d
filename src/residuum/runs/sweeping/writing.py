"""What a sweep writes at its cells: another run's values, a constant, or less of a direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from residuum.models import Batch

Read = Callable[[int], Tensor]
"""Layer -> the site's values ``[row ...]`` in a run."""


class Writing(Protocol):
    """What is written at a site. Plain data, so that another process can write the same."""

    @property
    def kind(self) -> str:
        """In one word, as in a sweep's ``kind``."""
        ...

    @property
    def source(self) -> Batch | None:
        """Prompts that the values come from; None where they come from none."""
        ...

    def first(self, target: Batch) -> Tensor:
        """First column at which what is written can differ from what is there, ``[row]``."""
        ...

    def values(self, layer: int, base: Tensor, donor: Read | None, first_row: int) -> Tensor:
        """What is written over ``base`` ``[row ...]``.

        Args:
            donor: reads the site in the run on ``source``.
            first_row: number in the whole task of the first row.
        """
        ...


@dataclass(frozen=True, eq=False)
class FromPrompts:
    """The site's values on other prompts, one for each receiving prompt.

    Attributes:
        batch: the prompts, aligned with the receiving ones.
    """

    batch: Batch
    kind: str = "denoise"

    @property
    def source(self) -> Batch | None:
        """The prompts that the values come from."""
        return self.batch

    def first(self, target: Batch) -> Tensor:
        """Where the prompts differ first."""
        return first_differences(self.batch.ids, target.ids)

    def values(self, layer: int, base: Tensor, donor: Read | None, first_row: int) -> Tensor:
        """The other prompts' values."""
        assert donor is not None
        return donor(layer).to(base)


@dataclass(frozen=True, eq=False)
class Constant:
    """The same values for every prompt.

    Attributes:
        by_layer: layer -> trailing axes of the site; none at all means zeros.
    """

    kind: str
    by_layer: Mapping[int, Tensor]
    source: Batch | None = None

    def first(self, target: Batch) -> Tensor:
        """Every position may change."""
        return torch.zeros(len(target.ids), dtype=torch.long)

    def values(self, layer: int, base: Tensor, donor: Read | None, first_row: int) -> Tensor:
        """The constant, of the site's shape."""
        if not self.by_layer:
            return torch.zeros_like(base)
        return self.by_layer[layer].to(base).expand_as(base).contiguous()


@dataclass(frozen=True, eq=False)
class Without:
    """What is there, less its part in a subspace.

    Attributes:
        basis: ``[k d]``, orthonormal rows.
    """

    basis: Tensor
    kind: str = "direction"
    source: Batch | None = None

    def first(self, target: Batch) -> Tensor:
        """Every position may change."""
        return torch.zeros(len(target.ids), dtype=torch.long)

    def values(self, layer: int, base: Tensor, donor: Read | None, first_row: int) -> Tensor:
        """The projection onto what is orthogonal to the basis."""
        basis = self.basis.to(base)
        return base - (base @ basis.T) @ basis


@dataclass(frozen=True, eq=False)
class RandomDirection:
    """The control: as far from what is there as another writing goes, in a random direction.

    Attributes:
        of: the writing whose distance is kept, prompt by prompt and place by place.
        seed: of the directions, one for each layer (and head).
    """

    of: Writing
    seed: int = 0

    @property
    def kind(self) -> str:
        """As of the writing that it controls."""
        return self.of.kind

    @property
    def source(self) -> Batch | None:
        """As of the writing that it controls."""
        return self.of.source

    def first(self, target: Batch) -> Tensor:
        """As of the writing that it controls."""
        return self.of.first(target)

    def values(self, layer: int, base: Tensor, donor: Read | None, first_row: int) -> Tensor:
        """``base`` moved as far, elsewhere."""
        far = self.of.values(layer, base, donor, first_row) - base
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + layer)
        unit = torch.randn(base.shape[2:], generator=generator, dtype=torch.float64)
        unit = (unit / unit.norm(dim=-1, keepdim=True)).to(base)
        return base + far.norm(dim=-1, keepdim=True) * unit


def first_differences(clean: Tensor, corrupt: Tensor) -> Tensor:
    """First column at which each pair of prompts differs, ``[batch]``; the width if none does."""
    unequal = clean != corrupt
    first = unequal.int().argmax(dim=1)
    return torch.where(unequal.any(dim=1), first, clean.shape[1])
