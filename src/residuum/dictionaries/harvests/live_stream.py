"""A stream of activations straight from the model: nothing on disk, a place exact to the row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from residuum.core import Address, TokenError, content_hash
from residuum.dictionaries.harvests.harvest_work import (
    gathered,
    identity,
    lineage,
    nobody,
    norm_limits,
    within,
)
from residuum.dictionaries.harvests.harvesting import dtype_name, rows_in_a_pass
from residuum.dictionaries.harvests.permutation import Permutation
from residuum.dictionaries.harvests.shard_source import need_same_stream
from residuum.dictionaries.harvests.site_passes import (
    TORCH_DTYPES,
    SitePasses,
    need_in_range,
    sites_of,
    width_of,
)
from residuum.dictionaries.harvests.sources import Batch
from residuum.dictionaries.harvests.token_masks import SKIPPED_BY_DEFAULT, HighNorm, Skip
from residuum.dictionaries.harvests.token_table import Layout, token_table
from residuum.runs import Model, need_model, whole_number
from residuum.stores import as_float32

_POOL_BYTES = 2**27
_PLACE = ("row", "epoch", "pool", "at")


class LiveSource:
    """Batches straight from passes of a model over text. Made by :func:`live_source`.

    Rows of text come in a seeded order of their own each epoch. Some rows at a time are run and
    make a pool; its tokens are handed out in a seeded order, all of them, before the next pool is
    run. So a place is (epoch, pool, row of the pool), and going back to it costs one pool.

    Attributes:
        pool_rows: rows of text in a pool.
        limits: the longest norm that is kept at each site; None without the rule.
    """

    def __init__(
        self, passes: SitePasses, layout: Layout, width: int, seed: int, epochs: int | None,
        pool_rows: int,
    ) -> None:  # fmt: skip
        self.pool_rows, self.limits = pool_rows, None
        self._passes, self._width, self._seed, self._epochs = passes, width, seed, epochs
        self._work = {**identity(passes), "rows_per_pool": pool_rows}
        self._lineage = lineage(passes, layout)
        self._epoch, self._pool, self._at, self._row = 0, 0, 0, 0
        self._held: tuple[tuple[int, int], np.ndarray] | None = None
        self._kept_in_epoch = False
        if passes.skip.high_norm is not None:
            self.limits = norm_limits(passes)

    def __repr__(self) -> str:
        text = self._passes.table
        return f"LiveSource({self._passes.model.name}, {len(text.ids)} tokens, seed={self._seed})"

    @property
    def sites(self) -> tuple[Address, ...]:
        """What the site axis counts."""
        return self._passes.sites

    @property
    def widths(self) -> tuple[int, ...]:
        """The size of each site."""
        return (self._width,) * len(self.sites)

    @property
    def weight_hash(self) -> str | None:
        """SHA-256 over the model's weights."""
        return self._work["model"]

    @property
    def record(self) -> dict[str, Any]:
        """Plain data: lineage."""
        own = {"kind": "live", "seed": self._seed, "epochs": self._epochs}
        limits = None if self.limits is None else list(self.limits)
        return {**own, "norm_limits": limits, **self._work, **self._lineage}

    def batches(self, size: int) -> Iterator[Batch]:
        """Batches of ``size`` rows; one may hold the end of a pool and the start of the next.

        The last batch of the last epoch holds what is left.

        Raises:
            OptionError: a size below 1.
            TokenError: every token is left out.
            ShapeError: NaN or infinity at a site, a number beyond float16.
        """
        whole_number(size, "size", 1)
        while len(values := self._take(size)):
            yield Batch(torch.from_numpy(values))

    def state(self) -> dict[str, Any]:
        """The place after the last batch, and of which stream."""
        own = {"key": content_hash(self._work), "seed": self._seed}
        place = {"row": self._row, "epoch": self._epoch, "pool": self._pool, "at": self._at}
        return {"kind": "live", **own, **place}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to a place that :meth:`state` named; the next batch runs its pool again.

        Raises:
            StoreError: the place is in another stream.
        """
        need_same_stream(state, {k: v for k, v in self.state().items() if k not in _PLACE})
        self._row, self._epoch, self._pool, self._at = (
            whole_number(state[name], name, 0) for name in _PLACE
        )
        self._kept_in_epoch = self._at > 0 or self._row > 0

    def _take(self, size: int) -> np.ndarray:
        parts, room = [], size
        while room and (self._epochs is None or self._epoch < self._epochs):
            part = self._held_pool()[self._at : self._at + room]
            parts.append(as_float32(part))
            room -= len(part)
            self._at, self._row = self._at + len(part), self._row + len(part)
            self._kept_in_epoch |= len(part) > 0
            if room:
                self._next_pool()
        empty = np.empty((0, len(self.sites), self._width), np.float32)
        return np.concatenate(parts) if parts else empty

    def _next_pool(self) -> None:
        self._pool, self._at = self._pool + 1, 0
        if self._pool * self.pool_rows >= len(self._passes.table):
            if not self._kept_in_epoch:
                raise TokenError(
                    "every token of the text was left out", mend="give skip=() or more text"
                )
            self._epoch, self._pool, self._kept_in_epoch = self._epoch + 1, 0, False

    def _held_pool(self) -> np.ndarray:
        """The present pool ``[row site d]``, mixed; run unless it is held."""
        place = (self._epoch, self._pool)
        if self._held is None or self._held[0] != place:
            self._held = None
            self._held = (place, self._run_pool())
        return self._held[1]

    def _run_pool(self) -> np.ndarray:
        n, first = len(self._passes.table), self._pool * self.pool_rows
        places = np.arange(first, min(first + self.pool_rows, n))
        which = Permutation(n, self._seed, 2 * self._epoch).at(places)
        rows, _ = gathered(self._passes(np.sort(which)), nobody)
        if self.limits is not None:
            rows, _ = within(rows, self.limits)
        need_in_range(rows, self._passes.dtype, self.sites)
        stream = 2 * (self._epoch * n + self._pool) + 1
        if not len(rows):
            return rows.values
        return rows.values[Permutation(len(rows), self._seed, stream).at(np.arange(len(rows)))]


def live_source(
    model: Model,
    text: Any,
    sites: str | Address | Sequence[str | Address],
    *,
    seed: int = 0,
    epochs: int | None = None,
    pool: int | None = None,
    tokens: int | None = None,
    context: int | None = None,
    packing: bool = False,
    column: str = "text",
    prepend_bos: bool | None = None,
    skip: Sequence[str | HighNorm] = SKIPPED_BY_DEFAULT,
    dtype: str | torch.dtype = "float32",
    batch_size: int | None = None,
) -> LiveSource:
    """Stream the activations of a model over text without a disk.

    Args:
        seed: of the order of the rows of text, and of the tokens of a pool.
        epochs: how often the text is gone through; None goes on without end.
        pool: tokens that are mixed with each other, about; None makes pools of about 128 MiB.
        dtype: that a pool is held in.
        others: as in :func:`residuum.dictionaries.harvests.harvesting.harvest`.

    Returns:
        The stream. Each epoch runs the model again: to train longer than a few epochs, harvest.

    Raises:
        OptionError, AddressError, SiteRefused, TokenError, StoreError: as there.

    Shows: what the model holds on this text, tokens mixed within a pool. Does not show: an order
    that is mixed over the whole text; a harvest's is.

    >>> import residuum as rz
    >>> from residuum.dictionaries import live_source
    >>> model = rz.load("microworld", check=False)
    >>> texts = ["Mary went to the store .", "John gave a drink ."]
    >>> source = live_source(model, texts, "L1.resid_post", epochs=1)
    >>> [batch.values.shape[0] for batch in source.batches(8)]
    [8, 3]
    """
    need_model(model, "live_source")
    whole_number(seed, "seed", 0)
    for name, value in (("epochs", epochs), ("pool", pool)):
        if value is not None:
            whole_number(value, name, 1)
    kept_as = dtype_name(dtype)
    addresses, masks = sites_of(model, sites), Skip.of(model, skip)
    layout = Layout(context, packing, tokens, prepend_bos, column).settled(model)
    table = token_table(model, text, layout)
    size = rows_in_a_pass(table, batch_size)
    passes = SitePasses(model, table, addresses, kept_as, masks, size)
    width = width_of(model, addresses, table)
    bits = torch.finfo(TORCH_DTYPES[kept_as]).bits
    pool = pool or max(1, _POOL_BYTES * 8 // (len(addresses) * width * bits))
    rows = max(1, pool * len(table) // len(table.ids))
    rows -= rows % size if rows > size else 0
    return LiveSource(passes, layout, width, seed, epochs, rows)
