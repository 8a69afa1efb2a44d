"""The result of a harvest: where the activations are, what they are of, and how long they are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from residuum.core import Address, OptionError, Provenance, StoreError, content_hash
from residuum.core.saving import save_result
from residuum.dictionaries.harvests.harvest_work import LIMITS
from residuum.dictionaries.harvests.shard_source import ShardSource
from residuum.figures import Lines, Series
from residuum.runs import Model, shown
from residuum.stores import TokenRows, TokenShards

_BY = {"position": "positions", "token": "token_ids"}
_POINTS = 512


@dataclass(frozen=True, eq=False, repr=False)
class Harvest:
    """Activations of a model over text, on disk, token by token.

    Made by :func:`harvest` and :func:`load_harvest`.

    Attributes:
        shards: the files.
        lengths: rows of each shard.
        skipped: tokens that were run but not kept, by reason.
        hash: SHA-256 over the work and the values of all shards.

    Shows: what the model holds at these sites on this text, without the tokens in ``skipped``.
    Does not show: what it holds on other text, nor what the vectors are used for.
    """

    shards: TokenShards
    lengths: tuple[int, ...]
    skipped: dict[str, int]
    hash: str
    _folder: Any = field(default=None)

    @staticmethod
    def of(shards: TokenShards, folder: Any = None) -> Harvest:
        """The harvest in finished shards.

        Args:
            folder: kept alive with the harvest.

        Raises:
            StoreError: shards are missing or damaged.
        """
        if shards.missing:
            raise StoreError(
                f"{len(shards.missing)} of {shards.count} shards are missing",
                mend="call rz.harvest again with the same arguments; finished shards are kept",
                where=str(shards.folder),
            )
        headers = [shards.header(index) for index in range(shards.count)]
        lengths = tuple(each.entries["values"]["shape"][0] for each in headers)
        gone: Counter[str] = Counter()
        for each in headers:
            gone.update(json.loads(each.words.get("skipped", "{}")))
        found = content_hash([shards.key, *(each.words["sha256"] for each in headers)])
        return Harvest(shards, lengths, dict(gone), found, folder)

    def __len__(self) -> int:
        return self.n_tokens

    def __repr__(self) -> str:
        sites = ", ".join(self.shards.sites)
        return (
            f"Harvest({self.n_tokens} tokens × [{sites}] × {self.width}, {self.shards.dtype}, "
            f"in {self.folder})"
        )

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.shards.folder

    @property
    def n_tokens(self) -> int:
        """Tokens that were kept."""
        return sum(self.lengths)

    @property
    def sites(self) -> tuple[Address, ...]:
        """What the site axis counts."""
        return tuple(Address.parse(each) for each in self.shards.sites)

    @property
    def width(self) -> int:
        """Length of a vector, ``d``."""
        return self.shards.width

    @property
    def weight_hash(self) -> str:
        """SHA-256 over the model's weights."""
        return self.shards.work["model"]

    @property
    def norm_limits(self) -> dict[str, float] | None:
        """The longest norm that was kept at each site; None without the rule."""
        return self.shards.note(LIMITS)

    @property
    def provenance(self) -> Provenance:
        """Model, tokenizer and text by hash, and how it was read."""
        work, lineage = self.shards.work, self.shards.lineage
        words = ("sites", "dtype", "skip")
        return Provenance(
            model_id=lineage["model_name"],
            weight_hash=work["model"],
            tokenizer_hash=work["tokenizer"],
            task_hash=work["text"],
            strategy=f"harvest {json.dumps({name: work[name] for name in words})}",
            dtype=work["model_dtype"],
            device=lineage["device"],
            software={name: lineage[name] for name in ("residuum", "torch")},
        )

    @property
    def record(self) -> dict[str, Any]:
        """Plain data for the record of what is trained on it."""
        return {"kind": "harvest", "hash": self.hash, "tokens": self.n_tokens,
                "skipped": self.skipped, **self.shards.work, **self.shards.lineage}  # fmt: skip

    def source(self, seed: int | None = 0, epochs: int | None = None) -> ShardSource:
        """A stream over all tokens, each once an epoch, in an order of its own each epoch.

        Args:
            seed: of the orders; None keeps the order of the text.
            epochs: how many; None goes on without end.

        Raises:
            OptionError: out of range.
            StoreError: a shard that is missing or damaged.
        """
        return ShardSource(self.shards, self.lengths, self.record, seed, epochs)

    def rows(self) -> Iterator[TokenRows]:
        """The tokens shard by shard, mapped rather than read."""
        return (self.shards.read(index) for index in range(self.shards.count))

    def check(self, model: Model | None = None) -> None:
        """Read every shard in full and compare it with its hash; and the model, where given.

        Raises:
            StoreError: a shard is damaged, or the harvest is of another model.
        """
        if model is not None:
            need_same_model(self.shards, model)
        for index in range(self.shards.count):
            self.shards.check(index)

    def to_dataframe(self, by: str = "position") -> pd.DataFrame:
        """Norms of the vectors: one row for each site and position, or each site and token id.

        Args:
            by: ``"position"`` or ``"token"``.

        Returns:
            Columns ``site``, ``position`` or ``token``, ``n``, ``mean_norm``, ``sd_norm``,
            ``max_norm``.

        Raises:
            OptionError: another ``by``.
        """
        if by not in _BY:
            raise OptionError(f"by={shown(by)} is not known", mend=f"one of: {', '.join(_BY)}")
        n, first, second, most = self._norms(_BY[by])
        there = np.flatnonzero(n)
        mean = first[there] / n[there, None]
        spread = np.sqrt(np.maximum(second[there] / n[there, None] - mean**2, 0))
        tables = [
            pd.DataFrame({
                "site": site, by: there, "n": n[there], "mean_norm": mean[:, index],
                "sd_norm": spread[:, index], "max_norm": most[there, index],
            })
            for index, site in enumerate(self.shards.sites)
        ]  # fmt: skip
        return pd.concat(tables, ignore_index=True)

    def figure(self) -> Lines:
        """Mean norm by position, with one standard deviation on either side, for each site."""
        table = self.to_dataframe()
        xs = np.unique(table["position"])
        xs = xs[:: -(-len(xs) // _POINTS)]
        series = []
        for site in self.shards.sites:
            own = table[table["site"] == site].set_index("position").loc[xs]
            mean, spread = own["mean_norm"].to_numpy(), own["sd_norm"].to_numpy()
            series.append(Series(site, mean, mean - spread, mean + spread))
        return Lines(
            xs, series, x="position", y="norm", title=f"Norms of {self.n_tokens} tokens",
            caption="Mean, and one standard deviation on either side. Says how long the vectors "
            "are, not what they mean.",
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain data: the record, the provenance and the norms by position."""
        return {
            **self.record, "norm_limits": self.norm_limits,
            "provenance": self.provenance.to_json(),
            "norms": self.to_dataframe().to_dict("records"),
        }  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write what is known about the harvest as ``.json``, ``.csv``, HTML, SVG or PNG.

        The activations stay where they are, in ``folder``.

        Raises:
            OptionError, StoreError: see :func:`residuum.core.saving.save_result`.
        """
        save_result(self, path, "a harvest")

    def _norms(self, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Count ``[key]``, sum, sum of squares and maximum ``[key site]`` of the norms."""
        size = 1 + max((int(getattr(r, column).max()) for r in self.rows() if len(r)), default=0)
        n, shape = np.zeros(size, np.int64), (size, len(self.shards.sites))
        first, second, most = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for rows in self.rows():
            keys = np.asarray(getattr(rows, column))
            n += np.bincount(keys, minlength=size)
            for site in range(shape[1]):
                norms = np.asarray(rows.norms[:, site], np.float64)
                first[:, site] += np.bincount(keys, norms, size)
                second[:, site] += np.bincount(keys, norms**2, size)
                np.maximum.at(most[:, site], keys, norms)
        return n, first, second, most


def load_harvest(folder: str | Path, model: Model | None = None) -> Harvest:
    """Open a harvest that is on disk.

    Args:
        folder: as given to :func:`harvest` as ``keep``.
        model: refuse the harvest unless it is of this model.

    Raises:
        StoreError: no harvest there; shards missing or damaged; another model's.
    """
    shards = TokenShards.load(folder)
    if model is not None:
        need_same_model(shards, model)
    return Harvest.of(shards)


def need_same_model(shards: TokenShards, model: Model) -> None:
    """Refuse shards of another model.

    Raises:
        StoreError: they are.
    """
    if shards.work.get("model") != model.adapted.weight_hash:
        raise StoreError(
            f"this is a harvest of another model ({shards.lineage.get('model_name')}, weights "
            f"{str(shards.work.get('model'))[:8]}; this one {model.adapted.weight_hash[:8]})",
            mend="load the model that was harvested, or harvest this one",
            where=str(shards.folder),
        )
