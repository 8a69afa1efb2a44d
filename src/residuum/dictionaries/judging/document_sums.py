"""Sums by document, and what drawing the documents anew makes of a ratio of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from residuum.dictionaries.judging.ground_truth_result import Measured

DRAWS = 1000
_AT_ONCE = 50
Totals = dict[str, np.ndarray]
"""A sum over all documents in each drawing ``[1 + draw]``; the first is the text itself."""


@dataclass
class DocumentSums:
    """Fills up over the passes.

    Attributes:
        n_documents: how many.
        sums: name -> ``[document]`` float64.
    """

    n_documents: int
    sums: dict[str, Tensor] = field(default_factory=dict)

    def add(self, documents: Tensor, **values: Tensor) -> None:
        """Add values ``[token]`` to the sums of their documents ``[token]``."""
        for name, value in values.items():
            own = self.sums.setdefault(name, torch.zeros(self.n_documents, dtype=torch.float64))
            own.index_add_(0, documents, value.double().cpu())

    def totals(self, seed: int) -> Totals:
        """Sums over all documents, and over as many drawn with replacement, 1000 times."""
        table = np.stack([each.numpy() for each in self.sums.values()], 1)
        rng, parts, n = np.random.default_rng(seed), [table.sum(0, keepdims=True)], len(table)
        for start in range(0, DRAWS, _AT_ONCE):
            size = min(_AT_ONCE, DRAWS - start)
            drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
            parts.append(np.bincount(drawn.ravel(), minlength=n * size).reshape(size, n) @ table)
        return dict(zip(self.sums, np.concatenate(parts).T, strict=True))


def measured(totals: Totals, of: Callable[[Totals], np.ndarray], level: float) -> Measured:
    """A figure of the sums, with its percentile interval; NaN where it is not defined."""
    values = of(totals)
    low, high = np.quantile(values[1:], [(1 - level) / 2, (1 + level) / 2])
    return Measured(float(values[0]), float(low), float(high))


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """A quotient; NaN where nothing is divided by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)


def share_without_groups(active: np.ndarray, is_so: Callable[[np.ndarray], np.ndarray],
                         level: float) -> Measured:  # fmt: skip
    """A share of latents, with an interval from leaving out groups of documents.

    Drawing with replacement would lose documents, and so invent dead latents; leaving one group in
    turn out does not.

    Args:
        active: ``[group latent]`` active tokens; its last column counts the tokens.
        is_so: from frequencies ``[latent]`` to true or false ``[latent]``.
        level: of the interval.

    Source: Shao and Wu, Ann. Stat. 17 (1989), the delete-d jackknife.
    """
    from statistics import NormalDist

    def share(counts: np.ndarray) -> float:
        return float(is_so(counts[:-1] / max(counts[-1], 1.0)).mean())

    whole = active.sum(0)
    used = active[active[:, -1] > 0]
    value = share(whole)
    if len(used) < 2:
        return Measured(value, float("nan"), float("nan"))
    left = np.array([share(whole - each) for each in used])
    spread = np.sqrt((len(left) - 1) / len(left) * ((left - left.mean()) ** 2).sum())
    reach = NormalDist().inv_cdf((1 + level) / 2) * spread
    return Measured(value, float(max(0.0, value - reach)), float(min(1.0, value + reach)))
