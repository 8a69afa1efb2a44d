"""Edge attribution: every edge's effect to first order, from a few passes.

The effect of an edge is a sum over positions of (clean - reference) of what its sender adds, times
the slope of the metric at its receiver's own input. All senders' differences are held for some
prompts at a time; receivers' slopes come layer by layer from the last one back, are contracted with
them and dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.discovery.chunk import Chunk, Passed, Place
from residuum.circuits.discovery.problem import DiscoveryProblem, need_gradient
from residuum.circuits.engine.finer import Finer
from residuum.circuits.graph.nodes import HEAD_RECEIVERS, parts_of
from residuum.circuits.graph.shape import is_finer
from residuum.core import Address, Progress
from residuum.core.progress import track


@dataclass(frozen=True)
class Arriving:
    """The edges that arrive at one place.

    Attributes:
        edges: their numbers ``[edge]``.
        senders: of each.
        columns: of each, which of the place's slopes it arrives at.
        positions: of each, the graph's position; all zero where none are named.
    """

    edges: np.ndarray
    senders: np.ndarray
    columns: np.ndarray
    positions: np.ndarray


def arrivals(problem: DiscoveryProblem) -> dict[Place, Arriving]:
    """The edges of a problem's graph by the place where they arrive."""
    graph, dims = problem.graph, problem.model.dims
    offsets: dict[str, int] = dict(
        zip(HEAD_RECEIVERS, (0, dims.n_heads, dims.n_heads + dims.n_kv_heads), strict=True)
    )
    places = [_place(receiver, offsets, problem.finer) for receiver in graph.receivers]
    by_place: dict[Place, list[int]] = {}
    for edge, receiver in enumerate(graph.edges[:, 1].tolist()):
        by_place.setdefault(places[receiver][0], []).append(edge)
    columns = np.array([column for _, column in places])
    found = {}
    for place, numbers in by_place.items():
        rows = graph.edges[numbers]
        at = rows[:, 2] if graph.positions else np.zeros(len(rows), dtype=np.int32)
        found[place] = Arriving(np.array(numbers), rows[:, 0], columns[rows[:, 1]], at)
    return found


def _place(receiver: Address, offsets: dict[str, int], finer: Finer) -> tuple[Place, int]:
    layer = receiver.layer if isinstance(receiver.layer, int) else None
    if layer is not None and is_finer(receiver):
        return ("mlp", layer), 1 + finer[layer].nodes.index(parts_of(receiver, 1)[0])
    if receiver.name in offsets:
        assert isinstance(receiver.part, int)
        return ("heads", layer), offsets[receiver.name] + receiver.part
    return ("mlp" if layer is not None else "logits", layer), 0


class Contraction:
    """Sums of differences times slopes, edge by edge and example by example.

    Attributes:
        examples: float64 ``[example edge]``.
    """

    def __init__(self, problem: DiscoveryProblem) -> None:
        self.problem = problem
        self.arriving = arrivals(problem)
        self.examples = np.zeros((len(problem.task), problem.graph.n_edges))

    def add(
        self,
        chunk: Chunk,
        place: Place,
        slopes: Tensor,
        differences: Tensor,
        weight: float = 1.0,
        senders: slice = slice(None),
    ) -> None:
        """Add the edges that arrive at a place.

        Args:
            slopes: ``[input row pos d_model]``.
            differences: ``[sender row pos d_model]`` of all senders of the graph.
            weight: of these terms.
            senders: only edges that leave these.
        """
        arriving = self.arriving.get(place)
        if arriving is None:
            return
        low, high, _ = senders.indices(len(differences))
        chosen = (arriving.senders >= low) & (arriving.senders < high)
        if not chosen.any():
            return
        mine = arriving.senders[chosen]
        first, last = int(mine.min()), int(mine.max()) + 1
        sums = self._sums(chunk, differences[first:last], slopes.to(differences.dtype))
        at = (arriving.positions[chosen], slice(None), mine - first, arriving.columns[chosen])
        rows = np.arange(chunk.low, chunk.high)
        self.examples[np.ix_(rows, arriving.edges[chosen])] += weight * sums[at].T

    def back(
        self,
        chunk: Chunk,
        passed: Passed,
        slope: Tensor,
        differences: Tensor,
        weight: float = 1.0,
        senders: slice = slice(None),
    ) -> None:
        """Add every edge that these senders have into what a pass computed, from its end back.

        Args:
            slope: at the last stream, from the chunk's start on.
        """
        layers = len(passed.blocks)
        self.add(chunk, ("logits", None), slope[None], differences, weight, senders)
        for place, slopes, _ in passed.back(slope):
            self.add(chunk, place, slopes, differences, weight, senders)
        chunk.spent_back(layers)

    def _sums(self, chunk: Chunk, differences: Tensor, slopes: Tensor) -> np.ndarray:
        """``[position row sender input]``, float64."""
        if not self.problem.graph.positions:
            return _contracted(differences, slopes)[None]
        found = []
        for mask in self.problem.position_masks[:, chunk.low : chunk.high, chunk.start :]:
            mine = torch.as_tensor(mask, device=slopes.device)
            columns = mine.any(dim=0)
            masked = slopes[:, :, columns] * mine[:, columns, None]
            found.append(_contracted(differences[:, :, columns], masked))
        return np.stack(found)


def _contracted(differences: Tensor, slopes: Tensor) -> np.ndarray:
    """Sum over positions and width: ``[row sender input]``, float64."""
    one, other = (each.flatten(2).transpose(0, 1) for each in (differences, slopes))
    return torch.bmm(one, other.transpose(1, 2)).double().cpu().numpy()


@dataclass
class Measured:
    """What a gradient method found.

    Attributes:
        examples: float64 ``[example edge]``.
        full, empty: the metric by example, more being better; empty is None without a run of it.
    """

    examples: np.ndarray
    full: np.ndarray
    empty: np.ndarray | None


Method = Callable[[Chunk, Contraction], np.ndarray]


def measured(
    problem: DiscoveryProblem,
    work: Method,
    progress: Progress,
    name: str,
    *,
    held: float = 1.0,
    patterns: float = 0.0,
    explicit: bool = False,
) -> Measured:
    """Run a gradient method chunk by chunk.

    Args:
        work: adds a chunk's edges and returns its clean metric ``[row]``.
        held: tables of all senders' differences that it holds at once.
        patterns: attention patterns of a whole layer that it holds beside its blocks.
        explicit: whether attention is written out and its patterns kept.
    """
    need_gradient(problem.metric)
    total = Contraction(problem)
    keep, chunks = problem.divided(held, patterns)
    full, empty = np.full((2, len(problem.task)), np.nan)
    with problem.model.adapted.passing():
        for low, high in track(chunks, progress, name, len(chunks)):
            chunk = Chunk(problem, low, high, keep, explicit)
            full[low:high] = work(chunk, total)
            empty[low:high] = chunk.reference_metric()
    found = None if np.isnan(empty).any() else empty
    return Measured(total.examples, full, found)
