"""Information flow routes: which contributions make up each stream on the way to the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.discovery.chunk import Chunk, Passed, Place
from residuum.circuits.discovery.gradients import Arriving, arrivals
from residuum.circuits.discovery.opened import Opened
from residuum.circuits.discovery.problem import DiscoveryProblem
from residuum.circuits.graph.scores import EdgeScores
from residuum.core import SILENT, Address, Progress
from residuum.core.progress import track
from residuum.models.norms import frozen_scale
from residuum.models.weights import output_heads

_QUERIES_AT_ONCE = 16


@dataclass(frozen=True)
class InformationFlow:
    """How much of each stream is each sender's contribution, followed back from the answer.

    The importance of a contribution is how much nearer (in L1) it brings the sum, as a share of all
    contributions. From the last token's final stream back, an edge scores the largest threshold at
    which the search that follows only edges above it would still reach it: the smallest importance
    on its best way to the answer. Queries and keys carry nothing here: a head's importance is
    passed on to the values that it reads, by how much each position makes up of its output.

    Shows: from one run of the clean prompts, with no reference, where what is in the answer's
    stream came from. Does not show: any effect on a metric (scores are shares from 0 to 1 and have
    no sign), what decides where heads look, or what later layers undo.

    Source: Ferrando, Voita 2024, "Information flow routes: automatically interpreting language
    models at scale", §2 and §3 (importance after ALTI, Ferrando et al. 2022). Deviation: direct
    edges between parts, where they add up block by block and follow the stream.

    >>> InformationFlow().record
    {'name': 'InformationFlow'}
    """

    @property
    def record(self) -> dict[str, Any]:
        """Name and options, plain data."""
        return {"name": "InformationFlow"}

    def score(self, problem: DiscoveryProblem, progress: Progress = SILENT) -> EdgeScores:
        """For every edge a share from 0 to 1."""
        plain = replace(problem, reference="zero")  # what differs from nothing is what is sent
        arriving = arrivals(problem)
        examples = np.zeros((len(problem.task), problem.graph.n_edges))
        full = np.full(len(problem.task), np.nan)
        _, chunks = plain.divided(2.0, 4.0 * problem.model.n_layers)
        with problem.model.adapted.passing(), torch.no_grad():
            for low, high in track(chunks, progress, "information flow", len(chunks)):
                chunk = Chunk(plain, low, high, keep=True, explicit=True)
                sending = chunk.sending()
                passed = chunk.forward(chunk.embed, sending=sending)
                full[low:high] = chunk.clean_metric(passed)
                routes = _Routes(chunk, sending.values, arriving)
                routes.follow(passed)
                examples[low:high] = routes.scores
        problem.passes += plain.passes
        note = "scores are shares of information flow from 0 to 1, not effects, and have no sign"
        return problem.scores(self.record, examples, full=full, warnings=(note,))


class _Routes:
    """Widths of the routes that end at the answer.

    Attributes:
        widths: ``[sender row pos]``: the largest threshold at which a sender is still reached.
        scores: float64 ``[row edge]``.
    """

    def __init__(self, chunk: Chunk, sent: Tensor, arriving: dict[Place, Arriving]) -> None:
        self.chunk, self.sent, self.arriving = chunk, sent, arriving
        self.widths = torch.zeros(sent.shape[:3], dtype=sent.dtype, device=sent.device)
        graph = chunk.problem.graph
        self.scores = np.zeros((chunk.high - chunk.low, graph.n_edges))
        self.number = {sender: index for index, sender in enumerate(graph.senders)}
        self.masks: list[Tensor] = []
        if graph.positions:
            own = chunk.problem.position_masks[:, chunk.low : chunk.high]
            self.masks = [torch.as_tensor(mask, device=sent.device) for mask in own]

    def follow(self, passed: Passed) -> None:
        """From the answer to the embedding."""
        answer = torch.zeros_like(self.widths[0])
        ends = self.chunk.problem.ends[self.chunk.low : self.chunk.high]
        answer[torch.arange(len(answer)), ends] = 1.0
        self._arrive(("logits", None), passed.last, answer[None])
        for block in reversed(passed.blocks):
            assert isinstance(block, Opened)
            if block.read is not None:
                self._arrive(("mlp", block.layer), block.read, self._of_mlp(block))
            values = self._at_values(block)
            nothing = values.new_zeros(self._before_values(), *values.shape[1:])
            self._arrive(("heads", block.layer), block.stream, torch.cat([nothing, values]))

    def _before_values(self) -> int:
        dims = self.chunk.problem.model.dims
        return dims.n_heads + dims.n_kv_heads

    def _of_mlp(self, block: Opened) -> Tensor:
        """Widths of a layer's MLP and its finer parts, ``[n row pos]``; zero where none sends."""
        nodes = () if block.finer is None else block.finer.nodes
        at = [self.number.get(each) for each in (Address("mlp_out", block.layer), *nodes)]
        nothing = torch.zeros_like(self.widths[0])
        return torch.stack([nothing if each is None else self.widths[each] for each in at])

    def _arrive(self, place: Place, stream: Tensor, widths: Tensor) -> None:
        """Let the senders before a place have what its readers are reached with.

        Args:
            widths: ``[input row pos]``.
        """
        arriving = self.arriving.get(place)
        if arriving is None:
            return
        senders = np.unique(arriving.senders)
        share = importance(self.sent[senders], stream.detach())
        for column in np.unique(arriving.columns):
            routes = torch.minimum(share, widths[column])
            mine = arriving.columns == column
            for position in np.unique(arriving.positions[mine]):
                edges = mine & (arriving.positions == position)
                own = routes[np.searchsorted(senders, arriving.senders[edges])]
                own = own * self.masks[position] if self.masks else own
                best = own.amax(dim=2).double().cpu().numpy()
                self.scores[:, arriving.edges[edges]] = best.T
                to = arriving.senders[edges]
                self.widths[to] = torch.maximum(self.widths[to], own)

    def _at_values(self, block: Opened) -> Tensor:
        """Widths at the values that a layer's heads read, ``[kv_head row pos]``."""
        dims = self.chunk.problem.model.dims
        group = dims.n_heads // dims.n_kv_heads
        found = torch.zeros(
            dims.n_kv_heads,
            *self.widths.shape[1:],
            dtype=self.widths.dtype,
            device=self.sent.device,
        )
        heads = {
            a.part: i
            for a, i in self.number.items()
            if (a.name, a.layer) == ("head_out", block.layer)
        }
        for head, index in heads.items():
            assert isinstance(head, int)
            if bool(self.widths[index].any()):
                best = self._read_from(block, head, group, self.widths[index])
                found[head // group] = torch.maximum(found[head // group], best)
        return found

    def _read_from(self, block: Opened, head: int, group: int, width: Tensor) -> Tensor:
        """What the positions that a head reads are reached with, ``[row pos]``."""
        part = block.seam.parts.layers[block.layer]
        assert block.pattern is not None
        values = block.heads[2][:, :, head // group]
        written = values @ output_heads(part)[head].detach().to(values.dtype)
        scale: Tensor | None = None
        if part.attn_writer is not part.o_proj:
            raw = part.o_proj(block.z.flatten(-2))
            scale = frozen_scale(part.attn_writer, raw, block.added.detach() / part.scale)
        best = torch.zeros_like(width)
        for low in range(0, width.shape[1], _QUERIES_AT_ONCE):
            some = slice(low, low + _QUERIES_AT_ONCE)
            terms = torch.einsum("rqk,rkd->krqd", block.pattern[:, head, some].detach(), written)
            terms = terms if scale is None else terms * scale[:, some]
            share = importance(terms, terms.sum(dim=0))
            routes = torch.minimum(share, width[None, :, some].to(share.dtype))
            best = torch.maximum(best, routes.amax(dim=2).T.to(best.dtype))
        return best


def importance(parts: Tensor, total: Tensor) -> Tensor:
    """How much nearer to a sum each part brings it, in L1, as a share of all parts.

    Args:
        parts: ``[part ... d_model]``.
        total: what they sum to (with whatever else there is), ``[... d_model]``.

    Returns:
        ``[part ...]``, 0 to 1; all zero where no part brings the sum nearer.

    >>> importance(torch.tensor([[3.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), torch.tensor([2.0, 1.0]))
    tensor([0.5000, 0.5000, 0.0000])
    """
    total = total.to(parts.dtype)
    size = total.abs().sum(dim=-1)
    near = torch.stack([size - (total - part).abs().sum(dim=-1) for part in parts]).clamp_min(0)
    return near / near.sum(dim=0).clamp_min(torch.finfo(near.dtype).tiny)
