"""A stream over a harvest on disk: every token once an epoch, in a seeded order, unbuffered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from residuum.core import Address, StoreError
from residuum.dictionaries.harvests.permutation import Permutation
from residuum.dictionaries.harvests.sources import Batch
from residuum.runs.arguments import whole_number
from residuum.stores import TokenShards, as_float32


class ShardSource:
    """Batches of a harvest.

    The order of an epoch is a permutation of all tokens that is worked out place by place, so a
    batch costs its own rows and nothing else, however large the harvest is, and a place is two
    numbers.

    Args:
        shards: the files, all finished.
        lengths: rows of each.
        record: plain data: lineage.
        seed: of the orders; None keeps the order of the text.
        epochs: how many; None goes on without end.

    Raises:
        OptionError: out of range.
        StoreError: a shard that is missing or damaged.
    """

    def __init__(
        self, shards: TokenShards, lengths: Sequence[int], record: dict[str, Any],
        seed: int | None = 0, epochs: int | None = None,
    ) -> None:  # fmt: skip
        if seed is not None:
            whole_number(seed, "seed", 0)
        if epochs is not None:
            whole_number(epochs, "epochs", 1)
        self._record = {**record, "seed": seed, "epochs": epochs}
        self._shards, self._seed, self._epochs = shards, seed, epochs
        self._values = [shards.read(index).values for index in range(shards.count)]
        self._offsets = np.concatenate([[0], np.cumsum(lengths)])
        self._row = 0

    def __len__(self) -> int:
        """Rows of an epoch."""
        return int(self._offsets[-1])

    def __repr__(self) -> str:
        return f"ShardSource({len(self)} tokens of {self._shards.folder}, seed={self._seed})"

    @property
    def sites(self) -> tuple[Address, ...]:
        """What the site axis counts."""
        return tuple(Address.parse(each) for each in self._shards.sites)

    @property
    def widths(self) -> tuple[int, ...]:
        """The size of each site."""
        return (self._shards.width,) * len(self._shards.sites)

    @property
    def weight_hash(self) -> str | None:
        """SHA-256 over the model's weights."""
        return self._shards.work.get("model")

    @property
    def record(self) -> dict[str, Any]:
        """Plain data: the harvest's record, seed and epochs."""
        return dict(self._record)

    def batches(self, size: int) -> Iterator[Batch]:
        """Batches of ``size`` rows; one may hold the end of an epoch and the start of the next.

        The last batch of the last epoch holds what is left.

        Raises:
            OptionError: a size below 1.
        """
        whole_number(size, "size", 1)
        while len(rows := self._order(self._row, size)):
            self._row += len(rows)
            yield Batch(torch.from_numpy(self._read(rows)))

    def state(self) -> dict[str, Any]:
        """The place after the last batch: rows handed out, and of which stream."""
        own = {"harvest": self._record.get("hash"), "seed": self._seed}
        return {"kind": "shards", **own, "row": self._row}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to a place that :meth:`state` named.

        Raises:
            StoreError: the place is in another stream.
        """
        need_same_stream(state, self.state())
        self._row = whole_number(state["row"], "row", 0)

    def _order(self, start: int, size: int) -> np.ndarray:
        """The harvest's rows at some places of the stream; fewer than ``size`` at its end."""
        n = len(self)
        stop = start + size if self._epochs is None else min(start + size, n * self._epochs)
        places = np.arange(start, max(start, stop))
        if self._seed is None:
            return places % n
        epochs = places // n
        parts = [
            Permutation(n, self._seed, int(epoch)).at(places[epochs == epoch] % n)
            for epoch in np.unique(epochs)
        ]
        return np.concatenate(parts) if parts else places

    def _read(self, rows: np.ndarray) -> np.ndarray:
        """``[n site d]`` float32, shard by shard."""
        out = np.empty((len(rows), len(self._shards.sites), self._shards.width), np.float32)
        which = np.searchsorted(self._offsets, rows, side="right") - 1
        order = np.argsort(rows, kind="stable")
        ends = np.flatnonzero(np.diff(which[order])) + 1
        for part in np.split(order, ends):
            shard = which[part[0]]
            out[part] = as_float32(self._values[shard][rows[part] - self._offsets[shard]])
        return out


def need_same_stream(found: dict[str, Any], own: dict[str, Any]) -> None:
    """Refuse a place in another stream.

    Raises:
        StoreError: kind, data or seed differ.
    """
    fixed = [name for name in own if name != "row"]
    differ = [name for name in fixed if found.get(name) != own[name]]
    if differ or "row" not in found:
        raise StoreError(
            f"the place is in another stream: {', '.join(differ) or 'row'} differ",
            mend="open the stream that it was taken from, with the same harvest or text and seed",
        )
