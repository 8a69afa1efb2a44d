"""How much memory a graph takes, said before it is taken."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.circuits.attribution.coders import Hangings
from residuum.circuits.attribution.frozen import FrozenPass
from residuum.core import OptionError
from residuum.runs import Model

_STREAMS = 12
"""Streams kept of a block: sites, norms' scales and constants."""
_MATRICES = 4
"""Matrices of the graph's size that are held at once: weights, strengths, what is pruned."""
_LEAST = 2**24


@dataclass(frozen=True)
class Room:
    """The bound on a graph's memory.

    Attributes:
        limit: bytes; None: no bound.
    """

    model: Model
    limit: int | None

    def need_pass(self, n_pos: int) -> None:
        """Refuse a prompt whose patterns and streams do not fit.

        Raises:
            OptionError: it is too long.
        """
        dims = self.model.dims
        of_block = dims.n_heads * n_pos**2 + _STREAMS * n_pos * dims.d_model
        self._need(4 * 2 * dims.n_layers * of_block, f"a prompt of {n_pos} tokens")

    def need_graph(
        self, frozen: FrozenPass, hangings: Hangings, active: int, nodes: int, targets: int
    ) -> int:
        """Refuse a graph that does not fit.

        Returns:
            Bytes that are left for gradients.

        Raises:
            OptionError: it is too large.
        """
        places = (1 + len(frozen.blocks)) * frozen.n_pos
        matrices = _MATRICES * (nodes + places + targets) ** 2 * 8
        if active > nodes:
            matrices += 2 * (nodes + targets) * (active + places) * 8
        writes = max(len(each.written) for each in hangings.by_layer.values())
        vectors = active * writes * frozen.embed.shape[1] * frozen.embed.element_size()
        taken = matrices + vectors
        self._need(taken, f"{frozen.n_pos} tokens with {nodes} of {active} active features")
        left = 2**30 if self.limit is None else self.limit - taken
        return max(_LEAST, left // 2)

    def _need(self, wanted: int, of: str) -> None:
        if self.limit is not None and wanted > self.limit:
            need, have = wanted / 1e9, self.limit / 1e9
            raise OptionError(
                f"{of} would take about {need:.2g} GB, max_memory is {have:.2g} GB",
                mend="give a shorter prompt, fewer max_nodes, or more max_memory",
                where="max_memory",
            )
