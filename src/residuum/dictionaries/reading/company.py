"""Which units are active together, on a random sample of contexts of fixed size.

The sample is the contexts with the smallest keys: the same whichever part of the text came first.
Where the text holds no more contexts than the sample, it is all of them.
"""

from __future__ import annotations

import numpy as np
import torch

from residuum.dictionaries.reading.chunk import Chunk

_AT_ONCE = 256
_LEAST_TOGETHER = 2


class Company:
    """The active units of a sample of contexts.

    Attributes:
        room: contexts at most.
        keys: ``[context]`` int64, ascending.
        starts: ``[context + 1]`` int64 into ``latents``.
        latents: ``[entry]`` int32.
    """

    names = ("keys", "starts", "latents")

    def __init__(self, n_latents: int, room: int) -> None:
        self.n_latents, self.room = n_latents, room
        self.keys = np.zeros(0, np.int64)
        self.starts = np.zeros(1, np.int64)
        self.latents = np.zeros(0, np.int32)

    def update(self, chunk: Chunk) -> None:
        """Look at some rows of text."""
        tokens, latents = chunk.active
        starts = np.searchsorted(tokens, np.arange(len(chunk.keys) + 1))
        self._take(chunk.keys, starts, latents.astype(np.int32))

    def merge(self, other: Company) -> None:
        """Take in another's sample."""
        self._take(other.keys, other.starts, other.latents)

    def _take(self, keys: np.ndarray, starts: np.ndarray, latents: np.ndarray) -> None:
        full = len(self.keys) == self.room
        worthy = np.flatnonzero(keys <= self.keys[-1]) if full else np.arange(len(keys))
        if not len(worthy):
            return
        all_keys = np.concatenate([self.keys, keys[worthy]])
        _, chosen = np.unique(all_keys, return_index=True)
        chosen = chosen[: self.room]
        first = np.concatenate([self.starts[:-1], len(self.latents) + starts[worthy]])[chosen]
        after = np.concatenate([self.starts[1:], len(self.latents) + starts[worthy + 1]])[chosen]
        both, lengths = np.concatenate([self.latents, latents]), after - first
        self.starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        shift = np.repeat(first - self.starts[:-1], lengths)
        self.latents = both[np.arange(len(shift)) + shift]
        self.keys = all_keys[chosen]

    def counts(self) -> np.ndarray:
        """``[latent]`` contexts of the sample in which each is active."""
        return np.bincount(self.latents, minlength=self.n_latents)

    def partners(self, k: int) -> dict[str, np.ndarray]:
        """The ``k`` units with which each is most often active, by the phi coefficient.

        Returns:
            ``latents``, ``phi``, ``jaccard``, ``together``: ``[latent k]``; latent -1 where there
            are fewer with which it is active at least twice.
        """
        n, m, k = len(self.keys), self.n_latents, min(k, max(self.n_latents - 1, 1))
        context = np.repeat(np.arange(n), np.diff(self.starts))
        index = torch.from_numpy(np.stack([self.latents.astype(np.int64), context]))
        matrix = torch.sparse_coo_tensor(
            index, torch.ones(len(context)), (m, n), check_invariants=False
        ).coalesce()
        own = torch.from_numpy(self.counts()).double()
        parts = [
            self._best(matrix, context, own, range(first, min(first + _AT_ONCE, m)), k)
            for first in range(0, m, _AT_ONCE)
        ]
        names = ("latents", "phi", "jaccard", "together")
        columns = zip(*parts, strict=True)
        return {name: np.concatenate(each) for name, each in zip(names, columns, strict=True)}

    def _best(
        self, matrix: torch.Tensor, context: np.ndarray, own: torch.Tensor, some: range, k: int
    ) -> tuple[np.ndarray, ...]:
        n = len(self.keys)
        here = (self.latents >= some.start) & (self.latents < some.stop)
        dense = torch.zeros(n, len(some))
        dense[context[here], self.latents[here] - some.start] = 1.0
        together = (matrix @ dense).T
        together[torch.arange(len(some)), torch.arange(some.start, some.stop)] = 0
        rows, cols = (together >= _LEAST_TOGETHER).nonzero(as_tuple=True)
        joint, mine, other = together[rows, cols].double(), own[rows + some.start], own[cols]
        spread = (mine * (n - mine)) * (other * (n - other))
        every = torch.full(together.shape, -torch.inf, dtype=torch.float64)
        # a unit active in all contexts goes with none in particular
        values = (n * joint - mine * other) / spread.clamp_min(1e-300).sqrt()
        every[rows, cols] = values.where(spread > 0, -torch.inf)
        best, which = every.topk(k, dim=1)
        joint = together.gather(1, which).double()
        union = own[some.start : some.stop, None] + own[which] - joint
        none = ~best.isfinite()
        found = (which.where(~none, -1), best.where(~none, 0), (joint / union).where(~none, 0))
        return (*(each.numpy() for each in found), joint.where(~none, 0).numpy().astype(np.int64))

    def tensors(self) -> dict[str, np.ndarray]:
        """By name, to be kept."""
        return {name: getattr(self, name) for name in self.names}

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Take up what :meth:`tensors` gave."""
        for name in self.names:
            setattr(self, name, np.array(tensors[name]))
