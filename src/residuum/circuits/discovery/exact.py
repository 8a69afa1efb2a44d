"""Exact effects of edges: each one alone carries its reference value, all after it runs anew.

An edge's receiver reads the clean stream less (clean - reference) of its sender. By forks, one pass
through the layer's own projections gives what every head would read, and each edge is one fork of
the later layers; edges into the logits need no pass at all. ``engine="naive"`` makes one whole pass
an edge, with an edit of the receiver's input. Where neurons or latents are nodes, an edge is
measured by a masked run with all edges kept but this one, which is the same thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.discovery.chunk import Chunk
from residuum.circuits.discovery.exact_masked import Exact, by_masks
from residuum.circuits.discovery.problem import FORWARD, DiscoveryProblem
from residuum.circuits.graph.scores import EdgeScores
from residuum.circuits.graph.shape import is_finer
from residuum.core import SILENT, Add, Address, OptionError, Progress
from residuum.core.progress import track
from residuum.models import final_logits
from residuum.patching.paths.forked import why_not
from residuum.patching.paths.nodes import PathGrid, Receiver
from residuum.patching.paths.streams import Cell, PathStreams, base_sites
from residuum.runs import CannotFork, Forks, outer_bound, parts_proven, shown
from residuum.runs.sweeping.reader import FEW, AnswerReader

Engine = Literal["auto", "forked", "naive"]
_TOKENS = 512


@dataclass(frozen=True)
class ExactEdges:
    """Every edge measured: one fork of the later layers an edge, none for edges into the logits.

    Attributes:
        engine: ``"forked"`` computes only what an edge can change, ``"naive"`` one whole pass an
            edge; ``"auto"`` forks where that is proven equal on the model, and takes masked runs
            where neurons or latents are nodes.

    Raises:
        OptionError: another engine.

    Shows: what is lost (in the metric's unit) when this edge alone carries its reference value.
    Does not show: what edges do together: backups hide each other, and parts of a chain are each
    counted in full.

    Source: Goldowsky-Dill et al. 2023, "Localizing model behavior with path patching", §3, with a
    path of one edge.

    >>> ExactEdges().record
    {'name': 'ExactEdges', 'engine': 'auto'}
    """

    engine: Engine = "auto"

    def __post_init__(self) -> None:
        if self.engine not in ("auto", "forked", "naive"):
            raise OptionError(
                f"engine={shown(self.engine)} is unknown", mend="use 'auto', 'forked' or 'naive'"
            )

    @property
    def record(self) -> dict[str, Any]:
        """Name and options, plain data."""
        return {"name": "ExactEdges", "engine": self.engine}

    def score(self, problem: DiscoveryProblem, progress: Progress = SILENT) -> EdgeScores:
        """A score for every edge of the problem's graph."""
        every = np.arange(problem.graph.n_edges)
        found = measure_edges(problem, every, self.engine, progress)
        return problem.scores(self.record, found.examples, full=found.full, empty=found.empty)


def measure_edges(
    problem: DiscoveryProblem,
    edges: np.ndarray,
    engine: str = "auto",
    progress: Progress = SILENT,
) -> Exact:
    """Metric(clean) - metric(the edge carrying its reference value), for some edges.

    Args:
        edges: their numbers.

    Raises:
        OptionError: ``engine="forked"`` where forks are not proven equal.
    """
    if problem.finer:
        return by_masks(problem, edges, engine, progress)
    examples = np.zeros((len(problem.task), len(edges)))
    full, empty = np.full((2, len(problem.task)), np.nan)
    _, chunks = problem.divided(2.0)
    why = why_not_forked(problem) if engine != "naive" else ""
    with problem.model.adapted.passing(), torch.no_grad():
        for low, high in chunks:
            chunk = Chunk(problem, low, high, keep=False)
            sending = chunk.sending()
            chunk.clean_metric(chunk.forward(chunk.embed, sending=sending))
            worker: Any = None
            if engine != "naive" and not why:
                try:
                    worker = ForkedEdges(chunk, sending.values)
                except CannotFork as reason:
                    why = str(reason)
            if engine == "forked" and why:
                raise OptionError(f"these edges cannot be forked: {why}", mend="use engine='auto'")
            worker = worker or NaiveEdges(chunk, sending.values)
            full[low:high] = worker.full
            empty[low:high] = chunk.reference_metric()
            for at, lost in track(worker.lost(edges), progress, "exact edges", len(edges)):
                examples[low:high, at] = lost
            problem.passes += worker.spent * chunk.share
    if why:
        problem.warnings.append(f"not forked, so every edge took a whole pass: {why}")
    return Exact(examples, full, None if np.isnan(empty).any() else empty)


def why_not_forked(problem: DiscoveryProblem) -> str:
    """Why edges cannot be forked on this model; empty if nothing stands against."""
    model, graph = problem.model, problem.graph
    parallel = tuple(layer.wiring == "parallel" for layer in model.adapted.parts.layers)
    receivers = tuple(Receiver((each,)) for each in graph.receivers if not is_finer(each))
    senders = tuple(each for each in graph.senders if not is_finer(each))
    return why_not(model, PathGrid(senders, receivers, (), parallel), problem.clean)


class _Reader:
    """The metric, more being better, from last streams or logits of rows of a chunk."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk, self.problem = chunk, chunk.problem
        few = self.problem.metric.name in FEW
        self.answers = AnswerReader(chunk.problem.model, chunk.problem.task, chunk.problem.metric)
        self.few = few

    def streams(self, stream: Tensor, rows: Tensor) -> np.ndarray:
        """From last streams ``[n d_model]`` of rows (counted in the chunk) ``[n]``."""
        if self.few:
            return self.problem.sign * self.answers.values(stream, rows + self.chunk.low)
        return self.logits(final_logits(self.problem.model.adapted.parts, stream), rows)

    def logits(self, logits: Tensor, rows: Tensor) -> np.ndarray:
        """From logits ``[n d_vocab]``."""
        problem, clean = self.problem, self.chunk.clean_logits
        assert clean is not None
        against = clean[rows.to(clean.device)].double().cpu()
        wanted = (rows + self.chunk.low).tolist()
        values = problem.metric(logits.double().cpu(), problem.task, wanted, against)
        return problem.sign * values.numpy()


def _masked(chunk: Chunk, change: Tensor, edge: np.ndarray) -> Tensor:
    """The change at the edge's own position alone, ``[row pos d_model]``."""
    if len(edge) < 3:
        return change
    mask = chunk.problem.position_masks[edge[2], chunk.low : chunk.high, chunk.start :]
    return change * torch.as_tensor(mask, device=change.device)[..., None]


class ForkedEdges:
    """Edges by forks of the clean run.

    Attributes:
        full: the clean metric ``[row]``, more being better.
        spent: passes over the chunk's prompts.

    Raises:
        CannotFork: forks do not equal full passes on these prompts.
    """

    def __init__(self, chunk: Chunk, differences: Tensor) -> None:
        model = chunk.problem.model
        self.chunk, self.differences = chunk, differences
        self.forks = Forks(model.adapted, chunk.clean, base_sites(model))
        bound, layers = outer_bound(model.dtype), tuple(range(model.n_layers))
        why = self.forks.proven(bound, chunk.start) or parts_proven(self.forks, layers, bound)
        if why:
            raise CannotFork(why)
        self.rows = torch.arange(chunk.high - chunk.low)
        nobody = cast(Any, None)  # what is sent is given as it is, so there is no donor run
        self.streams = PathStreams(self.forks, nobody, self.rows, chunk.start)
        self.reader = _Reader(chunk)
        assert self.forks.base.logits is not None
        self.full = self.reader.logits(self.forks.base.logits, self.rows)

    @property
    def spent(self) -> float:
        """Forward-pass equivalents, the clean run's own among them."""
        return self.forks.work

    def lost(self, edges: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Index of an edge among those given, and what is lost with it ``[row]``."""
        graph = self.chunk.problem.graph
        places: dict[tuple[int, bool], dict[tuple[int, ...], list[int]]] = {}
        ends = []
        for at, number in enumerate(edges.tolist()):
            sender, receiver, *position = graph.edges[number].tolist()
            address = graph.receivers[receiver]
            if not isinstance(address.layer, int):
                ends.append(at)
                continue
            place = places.setdefault((address.layer, address.name == "mlp_in"), {})
            place.setdefault((sender, *position), []).append(at)
        for layer, mlp in sorted(places):
            cells = self._cells(layer, mlp, places[layer, mlp], edges)
            yield from self._finished(layer, cells)
        for at in ends:
            stream = self.streams.at_the_end(self._change(int(edges[at])))
            yield at, self.full - self.reader.streams(stream, self.rows)

    def _change(self, edge: int) -> Tensor:
        own = self.chunk.problem.graph.edges[edge]
        change = -self.differences[own[0]].to(self.forks.base.calls[0].stream.dtype)
        return _masked(self.chunk, change, own)

    def _cells(
        self, layer: int, mlp: bool, groups: dict[tuple[int, ...], list[int]], edges: np.ndarray
    ) -> Iterator[Cell]:
        """One cell for each edge; ``receiver`` of a cell is the edge's index."""
        graph = self.chunk.problem.graph
        for members in groups.values():
            change = self._change(edges[members[0]])
            if mlp:
                yield from (Cell(0, at, change, "mlp") for at in members)
                continue
            names = {at: graph.receivers[graph.edges[edges[at], 1]] for at in members}
            receivers = {at: Receiver((name,)) for at, name in names.items()}
            yield from self.streams.into_heads(layer, 0, change, receivers)

    def _finished(self, layer: int, cells: Iterator[Cell]) -> Iterator[tuple[int, np.ndarray]]:
        tokens = len(self.rows) * (self.forks.width - self.streams.start)
        at_once, waiting = max(1, _TOKENS // tokens), []
        for cell in cells:
            waiting.append(cell)
            if len(waiting) == at_once:
                yield from self._finish(layer, waiting)
                waiting = []
        if waiting:
            yield from self._finish(layer, waiting)

    def _finish(self, layer: int, cells: list[Cell]) -> Iterator[tuple[int, np.ndarray]]:
        change = self.streams.after(layer, cells)
        found = self.reader.streams(self.forks.finish(change), change.rows)
        for cell, values in zip(cells, found.reshape(len(cells), -1), strict=True):
            yield cell.receiver, self.full - values


class NaiveEdges:
    """Edges by whole passes of the model, with an edit of the receiver's own input."""

    def __init__(self, chunk: Chunk, differences: Tensor) -> None:
        self.chunk, self.differences = chunk, differences
        self.reader, self.spent = _Reader(chunk), FORWARD
        self.rows = torch.arange(chunk.high - chunk.low)
        self.full = self.reader.logits(self._run([]), self.rows)

    def lost(self, edges: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Index of an edge among those given, and what is lost with it ``[row]``."""
        problem = self.chunk.problem
        last = Address("resid_post", problem.model.n_layers - 1)
        for at, number in enumerate(edges.tolist()):
            edge = problem.graph.edges[number]
            receiver = problem.graph.receivers[edge[1]]
            change = -_masked(self.chunk, self.differences[edge[0]], edge)
            whole = torch.nn.functional.pad(change, (0, 0, self.chunk.start, 0))
            site = last if receiver.name == "logits" else receiver
            self.spent += FORWARD
            logits = self._run([Add(site, whole.to(problem.model.dtype))])
            yield at, self.full - self.reader.logits(logits, self.rows)

    def _run(self, edits: list[Any]) -> Tensor:
        return self.chunk.problem.model.run(self.chunk.clean, edits=edits).last
