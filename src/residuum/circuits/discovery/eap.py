"""EAP and EAP-IG: edge attribution patching, and its gradients averaged on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from residuum.circuits.discovery.chunk import Chunk
from residuum.circuits.discovery.gradients import Contraction, measured
from residuum.circuits.discovery.problem import DiscoveryProblem, need_slope, need_slope_at_clean
from residuum.circuits.graph.scores import EdgeScores
from residuum.core import SILENT, OptionError, Progress
from residuum.runs import shown, whole_number

AT = ("inputs", "activations")


@dataclass(frozen=True)
class EAP:
    """Edge attribution patching: every edge's effect to first order, from one pass and its slopes.

    An edge scores (clean - reference) of what its sender adds, times the slope of the metric at its
    receiver's own input in the clean run, summed over positions.

    Shows: which edges are worth measuring, for the price of two passes and one backward pass. Does
    not show: what large changes do: where a softmax, a norm or an activation behind the receiver is
    saturated the slope is near zero and the effect is missed.

    Source: Syed, Rager, Conmy 2023, "Attribution patching outperforms automated circuit discovery",
    §2. Deviation: slopes at the clean run, since the clean run is what a circuit stands in; there
    (and in TransformerLens 4.3) at the corrupt run, with the opposite sign of the difference.

    >>> EAP().record
    {'name': 'EAP'}
    """

    @property
    def record(self) -> dict[str, Any]:
        """Name and options, plain data."""
        return {"name": "EAP"}

    def score(self, problem: DiscoveryProblem, progress: Progress = SILENT) -> EdgeScores:
        """A score for every edge of the problem's graph."""
        need_slope_at_clean(problem.metric)
        found = measured(problem, _first_order, progress, "EAP")
        return problem.scores(self.record, found.examples, full=found.full, empty=found.empty)


def _first_order(chunk: Chunk, total: Contraction) -> np.ndarray:
    sending = chunk.sending()
    passed = chunk.forward(chunk.embed, sending=sending)
    if chunk.low == 0:
        chunk.check(passed)
    slope, values = chunk.slope(passed)
    need_slope(chunk.problem.metric, slope)
    total.back(chunk, passed, slope, sending.values)
    return values.numpy()


@dataclass(frozen=True)
class EAPIG:
    """Edge attribution with integrated gradients: slopes averaged on the way to the reference.

    Attributes:
        steps: points on the way, at the middles of as many equal pieces.
        at: ``"inputs"`` moves the embedding from its reference to its clean value, all else live;
            ``"activations"`` moves what one layer's heads (or its MLP, or the embedding) add, one
            after the other, for the edges that leave them: as many passes for each of these.

    Raises:
        OptionError: ``steps`` that is no whole number from 1, or another ``at``.

    Shows: as EAP, and also edges whose slope vanishes at the clean run alone. Does not show: an
    edge's own effect: on the way everything moves together.

    Source: Hanna, Pezzelle, Belinkov 2024, "Have faith in faithfulness", §3; for activations Marks
    et al. 2024, "Sparse feature circuits", §2. Deviation: the midpoint rule. The published code is
    a left sum, which counts the corrupt end and leaves out the clean one.

    >>> EAPIG(steps=5).record
    {'name': 'EAPIG', 'steps': 5, 'at': 'inputs'}
    """

    steps: int = 5
    at: Literal["inputs", "activations"] = "inputs"

    def __post_init__(self) -> None:
        whole_number(self.steps, "steps", 1)
        if self.at not in AT:
            raise OptionError(f"at={shown(self.at)} is unknown", mend=f"use {' or '.join(AT)}")

    @property
    def record(self) -> dict[str, Any]:
        """Name and options, plain data."""
        return {"name": "EAPIG", "steps": self.steps, "at": self.at}

    def score(self, problem: DiscoveryProblem, progress: Progress = SILENT) -> EdgeScores:
        """A score for every edge of the problem's graph."""
        work = self._inputs if self.at == "inputs" else self._activations
        found = measured(problem, work, progress, "EAP-IG")
        return problem.scores(self.record, found.examples, full=found.full, empty=found.empty)

    def _shares(self) -> Iterator[float]:
        """How far each point is from clean: 0 there, 1 at the reference."""
        return ((step + 0.5) / self.steps for step in range(self.steps))

    def _inputs(self, chunk: Chunk, total: Contraction) -> np.ndarray:
        sending, values = _clean_run(chunk)
        change = chunk.embed - chunk.reference.embed()
        slopes = []
        for share in self._shares():
            passed = chunk.forward(chunk.embed - (share * change).to(chunk.embed.dtype))
            slope, _ = chunk.slope(passed)
            slopes.append(slope.abs().amax())
            total.back(chunk, passed, slope, sending.values, 1 / self.steps)
        need_slope(chunk.problem.metric, torch.stack(slopes))
        return values

    def _activations(self, chunk: Chunk, total: Contraction) -> np.ndarray:
        streams: list[Tensor] = []
        sending, values = _clean_run(chunk, streams)
        senders = chunk.problem.graph.senders
        slopes = []
        for (name, layer), own in groups_of(senders).items():
            change = sending.values[own].sum(dim=0)
            for share in self._shares():
                passed = _moved(chunk, streams, name, layer, -share * change)
                slope, _ = chunk.slope(passed)
                slopes.append(slope.abs().amax())
                total.back(chunk, passed, slope, sending.values, 1 / self.steps, own)
        need_slope(chunk.problem.metric, torch.stack(slopes))
        return values


def _clean_run(chunk: Chunk, streams: list[Tensor] | None = None) -> Any:
    """What differs from the reference, and the clean metric; fills ``streams`` where given."""
    sending = chunk.sending()
    passed = chunk.forward(chunk.embed, sending=sending, keep=False)
    if chunk.low == 0:
        chunk.check(passed)
    if streams is not None:
        streams += [*passed.blocks, passed.last]  # not kept, so these are streams
    return sending, chunk.clean_metric(passed)


def groups_of(senders: Any) -> dict[tuple[str, int | None], slice]:
    """Senders that write at the same place, by name and layer; they follow one another."""
    found: dict[tuple[str, int | None], slice] = {}
    for index, sender in enumerate(senders):
        key = (sender.name, sender.layer)
        first = found[key].start if key in found else index
        found[key] = slice(first, index + 1)
    return found


def _moved(chunk: Chunk, streams: list[Tensor], name: str, layer: int | None, by: Tensor) -> Any:
    """A pass in which what one place adds is moved, from the first reader of it on."""

    def shifted(stream: Tensor) -> Tensor:
        out = stream.clone()
        out[:, chunk.start :] += by.to(out.dtype)
        return out

    if layer is None:
        return chunk.forward(shifted(streams[0]))
    if name in ("mlp_out", "mlp_act"):
        return chunk.forward(shifted(streams[layer + 1]), layer + 1)
    return chunk.forward(streams[layer], layer, moved={layer: by.to(streams[layer].dtype)})
