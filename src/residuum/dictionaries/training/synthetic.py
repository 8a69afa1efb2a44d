"""Activations whose features are known: sparse sums of known directions, as an endless stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, OptionError, content_hash
from residuum.dictionaries.coding.option_numbers import need_number
from residuum.dictionaries.harvests.sources import Batch, as_sites
from residuum.runs.arguments import shown, whole_number

_BLOCK = 4096
"""Rows that one generator draws; a row depends on the seed and its own number alone."""
_HELD_OUT = 2**40
"""The first row of samples for judging; no training stream gets so far."""


@dataclass(frozen=True)
class SparseWorld:
    """Known features: unit directions that are active independently, with Zipf frequencies.

    A sample is the sum of its active features, each times a magnitude drawn from a normal
    distribution of mean one, and at least a tenth. A feature's frequency falls with its rank as
    ``rank ** -zipf``, cut at ``most_frequent``.

    Attributes:
        n_features: how many.
        width: size of a sample.
        active: features in a sample, on average.
        zipf: exponent of the frequencies; 0 makes them equal.
        most_frequent: greatest share of the samples that a feature is active in.
        spread: standard deviation of the magnitudes.
        noise: standard deviation of what is added to every coordinate.
        seed: of directions and samples.

    >>> world = SparseWorld(n_features=32, width=16, active=3, seed=0)
    >>> world.features.shape, round(float(world.frequencies.sum()), 3)
    (torch.Size([32, 16]), 3.0)
    """

    n_features: int = 512
    width: int = 128
    active: float = 8.0
    zipf: float = 1.0
    most_frequent: float = 0.4
    spread: float = 0.25
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.n_features, "n_features", 2)
        whole_number(self.width, "width", 1)
        whole_number(self.seed, "seed", 0)
        for name in ("active", "zipf", "most_frequent", "spread", "noise"):
            need_number(getattr(self, name), name)
        if not 0 < self.most_frequent < 1:
            raise OptionError(
                f"most_frequent={shown(self.most_frequent)} is no share", mend="use 0.1 to 0.9"
            )
        if not 0 < self.active < self.n_features * self.most_frequent:
            raise OptionError(
                f"active={shown(self.active)} features cannot be reached with {self.n_features} "
                f"features that are each active in at most {self.most_frequent:g} of the samples",
                mend="lower active, or raise n_features or most_frequent",
            )

    @cached_property
    def features(self) -> Tensor:
        """The directions, unit length, ``[feature d_model]``."""
        drawn = torch.Generator().manual_seed(self.seed)
        free = torch.randn(self.n_features, self.width, generator=drawn)
        return free / free.norm(dim=1, keepdim=True)

    @cached_property
    def frequencies(self) -> Tensor:
        """The share of samples in which each is active, falling, ``[feature]`` float64."""
        rank = torch.arange(1, self.n_features + 1, dtype=torch.float64)
        shape = rank**-self.zipf
        low, high = 0.0, self.active * self.n_features / float(shape.min())
        for _ in range(200):
            middle = (low + high) / 2
            total = float((shape * middle).clamp(max=self.most_frequent).sum())
            low, high = (middle, high) if total < self.active else (low, middle)
        return (shape * high).clamp(max=self.most_frequent)

    @property
    def record(self) -> dict[str, Any]:
        """Plain data: every number that the samples depend on."""
        return {
            "kind": "SparseWorld", "n_features": self.n_features, "width": self.width,
            "active": self.active, "zipf": self.zipf, "most_frequent": self.most_frequent,
            "spread": self.spread, "noise": self.noise, "seed": self.seed,
        }  # fmt: skip

    @property
    def hash(self) -> str:
        """SHA-256 over :attr:`record`, in hex."""
        return content_hash(self.record)

    def samples(self, start: int, size: int) -> tuple[Tensor, Tensor]:
        """Rows ``start`` to ``start + size`` of the endless table.

        Returns:
            Activations ``[n d_model]`` and magnitudes ``[n feature]``, zero where a feature is
            not active, both float32.
        """
        codes: list[Tensor] = []
        rows: list[Tensor] = []
        while size:
            block, first = divmod(start, _BLOCK)
            values, active = self._block(block)
            taken = values[first : first + size]
            rows.append(taken)
            codes.append(active[first : first + size])
            start, size = start + len(taken), size - len(taken)
        return torch.cat(rows), torch.cat(codes)

    def held_out(self, size: int) -> tuple[Tensor, Tensor]:
        """Samples that no training stream reaches; as :meth:`samples`."""
        return self.samples(_HELD_OUT, size)

    def source(self, at: Address | str = "L0.resid_post") -> SparseStream:
        """The training stream.

        Args:
            at: the address under which the samples are offered.
        """
        return SparseStream(self, as_sites(at))

    def _block(self, number: int) -> tuple[Tensor, Tensor]:
        drawn = torch.Generator().manual_seed(self.seed * 2**33 + number + 1)
        shape = (_BLOCK, self.n_features)
        where = torch.rand(shape, generator=drawn) < self.frequencies.float()
        rows, columns = where.nonzero(as_tuple=True)
        sizes = 1 + self.spread * torch.randn(len(rows), generator=drawn)
        codes = torch.zeros(shape).index_put_((rows, columns), sizes.clamp_(min=0.1))
        values = codes @ self.features
        if self.noise:
            values += self.noise * torch.randn(values.shape, generator=drawn)
        return values, codes


@dataclass(eq=False)
class SparseStream:
    """The samples of a world in their order, without end; an :class:`ActivationSource`.

    Attributes:
        world: what they are drawn from.
        sites: the address under which they are offered.
    """

    world: SparseWorld
    sites: tuple[Address, ...]
    weight_hash: str | None = None
    _row: int = field(default=0, init=False)

    @property
    def widths(self) -> tuple[int, ...]:
        """The size of a sample."""
        return (self.world.width,)

    @property
    def record(self) -> dict[str, Any]:
        """Plain data: the world's."""
        return self.world.record

    def batches(self, size: int) -> Iterator[Batch]:
        """Batches of ``size`` new samples, without end.

        Raises:
            OptionError: a size below one.
        """
        whole_number(size, "batch_size", 1)
        while True:
            values, _ = self.world.samples(self._row, size)
            self._row += size
            yield Batch(values[:, None])

    def state(self) -> dict[str, Any]:
        """Samples handed out so far."""
        return {"row": self._row}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to a place that :meth:`state` named."""
        self._row = whole_number(state["row"], "row", 0)
