"""All that one pass gathers of every unit; two of them merged are one pass over both texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from residuum.core import OptionError
from residuum.dictionaries.reading.chunk import Chunk
from residuum.dictionaries.reading.company import Company
from residuum.dictionaries.reading.counts import Counts
from residuum.dictionaries.reading.shelves import Payload, Shelf
from residuum.runs.arguments import whole_number

_BITS_BEYOND_FLOAT, _DENSE = 11, 8


@dataclass(frozen=True)
class Sizes:
    """How much of each unit is kept; memory is decided by these, not by the text.

    Attributes:
        top: strongest examples.
        sample: examples drawn evenly from all at which it is active.
        before, after: tokens shown around an example.
        company: contexts on which co-activation is counted.

    Raises:
        OptionError: out of range.
    """

    top: int = 10
    sample: int = 20
    before: int = 20
    after: int = 6
    company: int = 32_768

    def __post_init__(self) -> None:
        for name, least in (("top", 1), ("sample", 0), ("before", 0), ("after", 0)):
            whole_number(getattr(self, name), name, least)
        whole_number(self.company, "company", 2)

    @property
    def window(self) -> int:
        """Tokens of an example."""
        return self.before + 1 + self.after


class Accumulator:
    """Counts, examples and company of every unit.

    Attributes:
        n_latents: how many units.
        sizes: how much is kept.
        counts: whole numbers.
        top: the strongest examples, strongest first.
        sample: a random sample of the examples at which each is active, each context once.
        company: which are active together.
    """

    def __init__(self, n_latents: int, sizes: Sizes) -> None:
        self.n_latents, self.sizes = n_latents, sizes
        self.counts = Counts(n_latents)
        self.top = Shelf(n_latents, sizes.top, sizes.window)
        self.sample = Shelf(n_latents, max(sizes.sample, 1), sizes.window)
        self.company = Company(n_latents, sizes.company)

    def update(self, chunk: Chunk) -> None:
        """Read some whole rows of text."""
        self.counts.update(chunk)
        self.company.update(chunk)
        tokens, latents = chunk.active
        values = chunk.values[tokens, latents]
        near = values >= np.maximum(self._floor(chunk), -self.top.last)[latents]
        self._offer(self.top, chunk, tokens[near], latents[near], -values[near])
        if self.sizes.sample:
            order = chunk.keys[tokens] >> _BITS_BEYOND_FLOAT
            drawn = order <= self.sample.last[latents]
            self._offer(self.sample, chunk, tokens[drawn], latents[drawn], order[drawn])

    def _floor(self, chunk: Chunk) -> np.ndarray:
        """``[latent]``: what is below this is not among the strongest here; ties stay in.

        Worth its cost where units are active at many tokens.
        """
        k, n = self.top.room, len(chunk.values)
        zeros = np.zeros(self.n_latents, np.float32)
        if len(chunk.active[0]) * _DENSE < chunk.values.size:
            return zeros
        first = np.unique(chunk.keys, return_index=True)[1]
        if len(first) <= k or n <= k:
            return zeros
        columns = np.ascontiguousarray(chunk.values[first].T)
        return np.partition(columns, len(first) - k, axis=1)[:, len(first) - k]

    def _offer(
        self, shelf: Shelf, chunk: Chunk, tokens: np.ndarray, latents: np.ndarray,
        order: np.ndarray,
    ) -> None:  # fmt: skip
        def payload(which: np.ndarray) -> Payload:
            at = tokens[which], latents[which]
            windows = chunk.windows(*at, self.sizes.before, self.sizes.after)
            return chunk.values[at], chunk.positions[at[0]], *windows

        keys, ties = chunk.keys[tokens], chunk.row_keys[chunk.rows[tokens]]
        documents = chunk.documents[tokens]
        shelf.offer(latents, order.astype(np.float64), keys, ties, documents, payload)

    def merge(self, other: Accumulator) -> None:
        """Take in what another read; its texts are numbered on from this one's last.

        Raises:
            OptionError: it is of other units or sizes.
        """
        if (other.n_latents, other.sizes) != (self.n_latents, self.sizes):
            raise OptionError(
                f"readings of {self.n_latents} and {other.n_latents} units, or of other sizes",
                mend="read both with the same dictionary and options",
            )
        texts = int(self.counts.documents[0])
        self.top.merge(other.top, texts)
        self.sample.merge(other.sample, texts)
        self.counts.merge(other.counts)
        self.company.merge(other.company)

    def copy(self) -> Accumulator:
        """Another with the same content."""
        made = Accumulator(self.n_latents, self.sizes)
        made.restore(self.tensors())
        return made

    def tensors(self) -> dict[str, np.ndarray]:
        """All by name, to be kept."""
        return {
            f"{part}.{name}": each
            for part in ("counts", "top", "sample", "company")
            for name, each in getattr(self, part).tensors().items()
        }

    def restore(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Take up what :meth:`tensors` gave."""
        for part in ("counts", "top", "sample", "company"):
            own = {n.split(".")[1]: t for n, t in tensors.items() if n.startswith(part + ".")}
            getattr(self, part).restore(own)

    def sizes_json(self) -> dict[str, Any]:
        """The sizes as plain data."""
        return asdict(self.sizes)
