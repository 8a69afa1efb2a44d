"""Text for judging a dictionary: passes of the model, which tokens count, and whose they are.

What training leaves out (BOS, padding, tokens of extreme norm) is neither judged nor replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import Address, LoadError, OptionError, TokenError
from residuum.dictionaries.fit.sites import need_sites
from residuum.dictionaries.harvests.site_passes import need_vectors
from residuum.dictionaries.harvests.token_masks import SKIPPED_BY_DEFAULT, HighNorm, Skip
from residuum.dictionaries.harvests.token_table import Layout, TokenTable, token_table
from residuum.models import Batch
from residuum.runs import Capture, Model, Run

_PASS_TOKENS, _PASS_LOGITS = 4096, 2**25


@dataclass(frozen=True, eq=False)
class JudgedBatch:
    """One pass of the model, as it is.

    Attributes:
        tokens: ids and mask.
        run: with the sites captured in float32, and the logits if they were asked for.
        keep: ``[batch pos]`` tokens that count.
        documents: ``[batch pos]`` number of the text that each token is from; 0 for padding.
    """

    tokens: Batch
    run: Run
    keep: Tensor
    documents: Tensor

    def values(self, sites: Sequence[Address]) -> Tensor:
        """What the sites hold: ``[batch pos d]``, of several ``[batch pos site d]``."""
        found = [self.run[at].flatten(2) for at in sites]
        return found[0] if len(found) == 1 else torch.stack(found, 2)


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """Rows of text, with the rule which of their tokens count.

    Attributes:
        sites: what is captured.
        norm_sites: those whose norms the rule looks at.
        limits: longest norm that counts, by site; empty without the rule.
        documents: ``[text]`` which text each document number stands for.
    """

    model: Model
    table: TokenTable
    sites: tuple[Address, ...]
    norm_sites: tuple[Address, ...]
    skip: Skip
    limits: tuple[float, ...]
    documents: np.ndarray

    @staticmethod
    def of(
        model: Model, dictionary: Any, text: Any, tokens: int | None, context: int | None = None,
        skip: Sequence[str | HighNorm] = SKIPPED_BY_DEFAULT,
    ) -> JudgedRows:  # fmt: skip
        """Read the text, and find the limits of the norms on its first tokens.

        Raises:
            TokenError: no text, or nothing left of it.
        """
        table = token_table(model, text, Layout(context, False, tokens).settled(model))
        reads = tuple(dictionary.reads)
        sites = tuple(dict.fromkeys((*reads, *dictionary.writes)))
        masks = Skip.of(model, skip)
        documents = np.unique(table.documents)
        found = JudgedRows(model, table, sites, reads, masks, (), documents)
        return found if masks.high_norm is None else replace(found, limits=found._limits())

    def batches(self, order: np.ndarray | None = None, logits: bool = False) -> Iterator[Any]:
        """Passes over all rows (or some, in an order); rows of like length stand together.

        Args:
            order: ``[row]`` rows to run; None runs all, the shortest first.
            logits: keep them.
        """
        rows = np.arange(len(self.table)) if order is None else order
        if order is None:
            rows = rows[np.argsort(self.table.lengths(rows), kind="stable")]
        for some in self.parts(rows):
            yield self.read(some, logits)

    def read(self, rows: np.ndarray, logits: bool = False) -> JudgedBatch:
        """Run some rows in one pass."""
        batch = self._batch(rows)
        requests = [Capture(at, dtype=torch.float32) for at in self.sites]
        run = self.model.run(batch, capture=requests, logits=logits)
        real = torch.ones_like(batch.ids, dtype=torch.bool) if batch.mask is None else batch.mask
        stay, _ = self.skip.by_id(batch.ids.flatten().numpy())
        keep = real & torch.from_numpy(stay).view_as(real)
        for at, limit in zip(self.norm_sites, self.limits, strict=bool(self.limits)):
            keep = keep & (run[at].flatten(2).norm(dim=-1).cpu() <= limit)
        documents = torch.zeros_like(batch.ids)
        whose = np.concatenate([self.table.texts_of(int(row)) for row in rows])
        documents[real] = torch.from_numpy(np.searchsorted(self.documents, whose))
        return JudgedBatch(batch, run, keep, documents)

    def _limits(self) -> tuple[float, ...]:
        assert self.skip.high_norm is not None
        norms, found = [], 0
        for batch in self.batches(np.arange(len(self.table))):
            sites = [batch.run[at].flatten(2)[batch.keep] for at in self.norm_sites]
            norms.append(torch.stack([each.norm(dim=1) for each in sites], 1).cpu())
            found += len(norms[-1])
            if found >= self.skip.high_norm.tokens:
                break
        if not found:
            raise TokenError("every token of the text was left out", mend="give more text")
        return self.skip.high_norm.limits(torch.cat(norms).numpy())

    def parts(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """The rows in the same order, as many at once as a pass takes."""
        lengths = self.table.lengths(rows)
        ragged = "right" in self.model.adapted.padding
        ends = np.array([], int) if ragged else np.flatnonzero(np.diff(lengths)) + 1
        most = min(_PASS_TOKENS, max(1, _PASS_LOGITS // self.model.d_vocab))
        for part in np.split(rows, ends):
            size = max(1, most // int(self.table.lengths(part).max())) if len(part) else 1
            yield from (part[start : start + size] for start in range(0, len(part), size))

    def _batch(self, rows: np.ndarray) -> Batch:
        texts = [self.table.row(int(row)) for row in rows]
        shape = (len(texts), max(map(len, texts)))
        ids = np.full(shape, self.model.adapted.tokens.pad_id, np.int64)
        mask = np.zeros(shape, bool)
        for index, row in enumerate(texts):
            ids[index, : len(row)], mask[index, : len(row)] = row, True
        return Batch(torch.from_numpy(ids), None if mask.all() else torch.from_numpy(mask))


def need_judgeable(model: Model, dictionary: Any) -> None:
    """Refuse a dictionary of other weights, of sites that the model lacks, or of two models.

    Raises:
        LoadError: other weights, another width.
        AddressError, SiteRefused: no such site, or one of heads joined.
        OptionError: of several models; no dictionary.
    """
    needed = ("reads", "writes", "encode", "reconstruct", "n_latents")
    if isinstance(dictionary, type) or not all(hasattr(dictionary, each) for each in needed):
        raise OptionError(
            f"this needs a dictionary, got {type(dictionary).__name__}",
            mend="give one from rz.load_dictionary(...) or training.dictionary",
        )
    if len(getattr(dictionary, "models", ())) > 1:
        raise OptionError(
            f"the dictionary reads {len(dictionary.models)} models, this judges it on one",
            mend="judge a dictionary of one model",
        )
    known = dictionary.weight_hash
    if known and known != model.adapted.weight_hash:
        raise LoadError(
            f"the dictionary was trained on other weights ({known[:8]}) than those of "
            f"{model.name} ({model.adapted.weight_hash[:8]})",
            mend="take that model, in the dtype that it was trained in; or train one for this",
            where=", ".join(map(str, dictionary.reads)),
        )
    need_sites(model, dictionary)
    need_vectors((*dictionary.reads, *dictionary.writes))


def through(dictionary: Any, x: Tensor, verb: str) -> Tensor:
    """``dictionary.encode`` or ``.reconstruct`` of captured values, on the dictionary's device."""
    device = next(iter(dictionary.tensors().values())).device
    return getattr(dictionary, verb)(x.to(device)).to(x.device)
