"""The work of a harvest: which rows of text make a shard, what is left out, what it is called."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from residuum.core import package_version
from residuum.dictionaries.harvests.site_passes import (
    TORCH_DTYPES,
    PassRows,
    SitePasses,
    need_in_range,
    width_of,
)
from residuum.dictionaries.harvests.token_table import Layout
from residuum.stores import TokenRows, TokenShards

_SHARD_BYTES = 2**26
LIMITS = "norm_limits"
"""Name of the note beside the shards with the longest norm that is kept at each site."""


@dataclass(frozen=True)
class HarvestWork:
    """A harvest under way.

    Attributes:
        passes: how the model is read.
        shards: where its rows go.
        per_shard: rows of text in a shard.
    """

    passes: SitePasses
    shards: TokenShards
    per_shard: int

    @staticmethod
    def open(passes: SitePasses, layout: Layout, keep: Any, rows: int | None) -> HarvestWork:
        """Begin or go on in a folder; ``rows`` as ``rows_per_shard`` of :func:`harvest`."""
        model, table = passes.model, passes.table
        width = width_of(model, passes.sites, table)
        bits = torch.finfo(TORCH_DTYPES[passes.dtype]).bits
        rows = rows or max(1, _SHARD_BYTES * 8 // (len(passes.sites) * width * bits))
        per_shard = max(1, rows * len(table) // len(table.ids))
        if per_shard > passes.batch_size:
            per_shard -= per_shard % passes.batch_size
        work = {**identity(passes), "rows_per_shard": per_shard}
        shards = TokenShards.open(
            keep, work, passes.sites, width, count=-(-len(table) // per_shard),
            dtype=passes.dtype, lineage=lineage(passes, layout),
        )  # fmt: skip
        return HarvestWork(passes, shards, per_shard)

    @property
    def rows_to_do(self) -> int:
        """Rows of text in the shards that are missing."""
        return sum(len(self._rows(index)) for index in self.shards.missing)

    def check_finished(self) -> None:
        """Read the shards that are there in full and compare each with its hash.

        They are not made again, so what a disk or a hand did to them would stay in the harvest.

        Raises:
            StoreError: one is damaged; says which file to delete.
        """
        missing = set(self.shards.missing)
        for index in range(self.shards.count):
            if index not in missing:
                self.shards.check(index)

    def finish(self, tell: Callable[[int], None]) -> None:
        """Make the shards that are missing."""
        missing, limits = self.shards.missing, self.shards.note(LIMITS)
        high = self.passes.skip.high_norm
        if missing and high is not None and limits is None:
            first, gone = gathered(self.passes(self._rows(0)), tell if 0 in missing else nobody)
            found = norm_limits(self.passes, [first.norms], len(self._rows(0)))
            limits = dict(zip(self.shards.sites, found, strict=True))
            self.shards.take_note(LIMITS, limits)
            if 0 in missing:
                self._write(0, first, gone, limits)
                missing = missing[1:]
        for index in missing:
            self._write(index, *gathered(self.passes(self._rows(index)), tell), limits)

    def _write(
        self, index: int, rows: TokenRows, gone: dict[str, int], limits: dict[str, float] | None
    ) -> None:
        if limits is not None:
            rows, over = within(rows, list(limits.values()))
            gone = {**gone, "high_norm": over}
        need_in_range(rows, self.passes.dtype, self.passes.sites)
        self.shards.write(index, rows, {"skipped": json.dumps(gone)})

    def _rows(self, index: int) -> np.ndarray:
        start = index * self.per_shard
        return np.arange(start, min(start + self.per_shard, len(self.passes.table)))


def gathered(
    passes: Iterable[PassRows], tell: Callable[[int], None]
) -> tuple[TokenRows, dict[str, int]]:
    """The rows of some passes in the order of the text, and what was left out."""
    parts: list[PassRows] = []
    for each in passes:
        parts.append(each)
        tell(each.n_rows)
    places = np.concatenate([part.places for part in parts])
    order = np.argsort(places, kind="stable")
    names = ("token_ids", "positions", "documents", "norms", "values")
    columns = [np.concatenate([getattr(part.rows, name) for part in parts]) for name in names]
    gone = {name: sum(part.gone[name] for part in parts) for name in parts[0].gone}
    rows = TokenRows(*columns)
    return (rows if (np.diff(places) > 0).all() else rows.where(order)), gone


def norm_limits(
    passes: SitePasses, known: Sequence[np.ndarray] = (), done: int = 0
) -> tuple[float, ...]:
    """The longest norm that is kept at each site, from the first tokens of the text.

    Args:
        known: norms ``[token site]`` of the first ``done`` rows of text, where they are known.
    """
    rule = passes.skip.high_norm
    assert rule is not None
    norms = list(known)
    while sum(map(len, norms)) < rule.tokens and done < len(passes.table):
        stop = min(done + passes.batch_size, len(passes.table))
        norms.append(gathered(passes(np.arange(done, stop)), nobody)[0].norms)
        done = stop
    found = np.concatenate(norms)
    return rule.limits(found) if len(found) else (float("inf"),) * len(passes.sites)


def within(rows: TokenRows, limits: Sequence[float]) -> tuple[TokenRows, int]:
    """The rows whose norms are within the limits, and how many are not."""
    stay = np.asarray((rows.norms <= np.asarray(limits)).all(axis=1))
    return (rows if stay.all() else rows.where(stay)), int((~stay).sum())


def identity(passes: SitePasses) -> dict[str, Any]:
    """What decides the bits of a harvest."""
    model = passes.model
    return {
        "model": model.adapted.weight_hash,
        "model_dtype": str(model.dtype).removeprefix("torch."),
        "tokenizer": model.adapted.tokens.hash(),
        "text": passes.table.hash,
        "sites": [str(at) for at in passes.sites],
        "dtype": passes.dtype,
        "skip": passes.skip.to_json(),
        "batch_size": passes.batch_size,
    }


def lineage(passes: SitePasses, layout: Layout) -> dict[str, Any]:
    """Where a harvest comes from, beside what decides it."""
    table = passes.table
    return {
        "model_name": passes.model.name, "device": str(passes.model.device),
        "text_hash": table.text_hash, "texts": table.n_texts, "empty_texts": table.n_empty,
        "rows": len(table), "tokens": len(table.ids), "dropped_at_the_end": table.n_dropped,
        "context": layout.context, "packing": layout.packing,
        "residuum": package_version(), "torch": str(torch.__version__),
    }  # fmt: skip


def nobody(_: int) -> None:
    """Listen to nothing."""
