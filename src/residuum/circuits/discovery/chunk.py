"""Some prompts of a problem: their reference, what differs from it, and passes with gradients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from residuum.circuits.discovery.opened import Opened, open_block
from residuum.circuits.discovery.problem import BACKWARD, FORWARD, DiscoveryProblem
from residuum.circuits.discovery.references import ConstantRows, ReferenceRows, RunRows
from residuum.circuits.discovery.sent import Recorded, Sending, heads_sent, record
from residuum.circuits.engine.finite import refuse_not_finite
from residuum.core import CheckFailed
from residuum.models import Batch
from residuum.runs import outer_bound

Place = tuple[str, int | None]
"""Where edges arrive together: ``("heads", layer)``, ``("mlp", layer)`` or ``("logits", None)``."""


@dataclass
class Passed:
    """A pass by the seam that can be differentiated back from its end.

    Attributes:
        blocks: opened ones, or (where memory is short) the streams that they read.
        first: layer of the first of them.
        last: the stream behind the last block, ``[row pos d_model]``, all positions.
        moved: layer -> what was added to what its attention adds.
        slopes: layer -> slope at what its block hands on, of the last way back that retained.
    """

    chunk: Chunk
    blocks: list[Opened | Tensor]
    first: int
    last: Tensor
    moved: dict[int, Tensor]
    slopes: dict[int, Tensor] = field(default_factory=dict)

    def back(
        self, slope: Tensor, *, below: int | None = None, retain: bool = False
    ) -> Iterator[tuple[Place, Tensor, Opened]]:
        """Slopes at every reader's own input, from the last place to the first.

        Args:
            slope: at the stream that the block of layer ``below - 1`` hands on,
                ``[row pos d_model]`` from the chunk's start on.
            below: only blocks of layers below this one; by default all.
            retain: leave the pass as it is, so that it can be gone back again.

        Yields:
            A place, slopes ``[input row pos d_model]`` (queries, then keys, then values of a
            layer's heads; of an MLP its own, then its finer parts'), and the opened block.
        """
        below = self.first + len(self.blocks) if below is None else below
        for layer in range(below - 1, self.first - 1, -1):
            block = self._block(layer, retain)
            if retain:
                self.slopes[layer] = slope
            read = block.through_mlp(slope, retain)
            if read is not None:
                yield ("mlp", layer), read, block
                read = read.sum(dim=0)
            at_heads = slope if read is None or block.parallel else slope + read
            heads = block.through_heads(at_heads, retain)
            yield ("heads", layer), heads, block
            slope = at_heads + heads.sum(dim=0)
            if read is not None and block.parallel:
                slope = slope + read

    def _block(self, layer: int, retain: bool) -> Opened:
        kept = self.blocks[-1 if not retain else layer - self.first]
        if not retain:
            self.blocks.pop()
        return kept if isinstance(kept, Opened) else self.again(layer, kept)

    def again(self, layer: int, stream: Tensor) -> Opened:
        """A block run once more, from what it reads."""
        call = self.chunk.calls[layer]
        moved = self.moved.get(layer)
        chunk = self.chunk
        return open_block(
            chunk.seam,
            layer,
            stream,
            call,
            start=chunk.start,
            moved=moved,
            explicit=chunk.explicit,
            finer=chunk.problem.finer.get(layer),
        )


@dataclass
class Chunk:
    """Rows ``low`` to ``high`` of a problem.

    Attributes:
        keep: whether a pass keeps its blocks for the way back, or runs each once more.
        explicit: whether attention is written out, and its patterns kept.
        start: first position at which a sender can differ from its reference. Where both are runs
            on prompts that agree up to there, positions before it are taken from the reference's
            run and nothing is computed for them.
        calls: how each layer's attention is called on these prompts.
        clean_logits: at the last tokens of the clean prompts, once they are known.
    """

    problem: DiscoveryProblem
    low: int
    high: int
    keep: bool = True
    explicit: bool = False
    start: int = field(init=False, default=0)
    reference: ReferenceRows = field(init=False)
    own: Recorded | None = field(init=False, default=None)
    clean_logits: Tensor | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        problem = self.problem
        adapted, prompts = problem.model.adapted, problem.carried.prompts
        self.share = (self.high - self.low) / len(problem.task)
        self.seam = adapted.seam
        problem.passes += self.share * FORWARD
        if prompts is not None:
            other = prompts.rows(self.low, self.high)
            recorded = record(adapted, other)
            self.reference = RunRows(adapted, recorded, problem.finer)
            self.start = self._agreeing(other)
        else:
            recorded = self.own = record(adapted, self.clean)
            spent = problem.carried.passes
            values, _ = problem.carried.values(range(self.low, self.high), 0)
            problem.passes += problem.carried.passes - spent
            self.reference = ConstantRows(values)
        self.calls, self._before = recorded.calls, recorded.streams
        self.embed = self._embedded()

    @property
    def clean(self) -> Batch:
        """The clean prompts of these rows."""
        return self.problem.clean.rows(self.low, self.high)

    def _agreeing(self, other: Batch) -> int:
        """First position at which any row's reference run may be another one."""
        if not self.problem.model.adapted.parts.causal:
            return 0
        unlike = (self.clean.ids != other.ids).any(dim=0)
        first = int(unlike.int().argmax()) if bool(unlike.any()) else len(unlike)
        return min(first, int(self.problem.ends[self.low : self.high].min()))

    def _embedded(self) -> Tensor:
        """The stream before the first block on the clean prompts."""
        if self.own is not None:
            return self.own.streams[0]
        run = self.problem.model.run(self.clean, capture=["L0.resid_pre"], logits=False)
        return run["L0.resid_pre"]

    def forward(
        self,
        stream: Tensor,
        first: int = 0,
        *,
        keep: bool | None = None,
        moved: dict[int, Tensor] | None = None,
        sending: Sending | None = None,
    ) -> Passed:
        """Run the blocks from ``first`` on, from what it reads.

        Args:
            stream: ``[row pos d_model]``, all positions.
            keep: instead of the chunk's own.
            moved: layer -> added to what its attention adds, from ``start`` on.
            sending: filled with clean less reference of every sender on the way.
        """
        keep = self.keep if keep is None else keep
        blocks: list[Opened | Tensor] = []
        moved = moved or {}
        for layer in range(first, len(self.calls)):
            block = open_block(
                self.seam,
                layer,
                stream,
                self.calls[layer],
                start=self.start,
                moved=moved.get(layer),
                explicit=self.explicit,
                finer=self.problem.finer.get(layer),
            )
            if sending is not None:
                self._put(sending, block)
            blocks.append(block if keep else stream)
            stream = torch.cat([self._before[layer + 1][:, : self.start], block.output], dim=1)
        self.problem.passes += self.share * FORWARD * (len(self.calls) - first) / len(self.calls)
        return Passed(self, blocks, first, stream, moved)

    def sending(self) -> Sending:
        """Room for every sender, the embedding's difference already in it."""
        sending = Sending.like(self.problem.graph.senders, self.embed[:, self.start :])
        if sending.has("embed"):
            change = self.embed - self.reference.embed()
            sending.put("embed", None, change[:, self.start :])
        return sending

    def _put(self, sending: Sending, block: Opened) -> None:
        layer, start = block.layer, self.start
        adapted = self.problem.model.adapted
        with torch.no_grad():
            if sending.has("head_out", layer):
                own = heads_sent(adapted, layer, block.z, block.added.detach())
                sending.put("head_out", layer, own - self.reference.heads(layer, start))
            if block.written is None:
                return
            own = block.written.detach()
            if block.finer is not None and block.numbers is not None:
                numbers = block.numbers.detach()
                each = block.finer.sent(numbers).movedim(-2, 0)
                sending.put_each(block.finer.nodes, each - self.reference.finer(layer, start))
                own = block.finer.rest(own, numbers)
            if sending.has("mlp_out", layer):
                sending.put("mlp_out", layer, own - self.reference.mlp(layer, start))

    def slope(self, passed: Passed) -> tuple[Tensor, Tensor]:
        """Slope of the metric at the last stream, from ``start`` on, and the metric ``[row]``."""
        problem, rows = self.problem, (self.low, self.high)
        with torch.enable_grad():
            leaf = passed.last.detach().requires_grad_()
            logits = problem.logits_at(leaf, *rows)
            if self.clean_logits is None:
                self.clean_logits = logits.detach()
            values = problem.measured(logits, *rows, self.clean_logits)
            slope = torch.autograd.grad(values.sum(), leaf)[0]
        return slope[:, self.start :], values.detach()

    def clean_metric(self, passed: Passed) -> Any:
        """The metric on the clean prompts ``[row]``, whose logits are kept to compare with."""
        with torch.no_grad():
            self.clean_logits = self.problem.logits_at(passed.last, self.low, self.high)
            values = self.problem.measured(
                self.clean_logits, self.low, self.high, self.clean_logits
            )
        return values.numpy()

    def reference_metric(self) -> Any:
        """The metric on the reference's prompts ``[row]``; NaN where it is no run."""
        recorded = self.reference.recorded
        if recorded is None:
            return float("nan")
        with torch.no_grad():
            rows = (self.low, self.high)
            return self.problem.measured(recorded.logits, *rows, self.clean_logits).numpy()

    def spent_back(self, layers: int) -> None:
        """Count a way back through so many blocks; where they were run once more, that too."""
        again = 0.0 if self.keep else FORWARD
        self.problem.passes += self.share * (BACKWARD + again) * layers / len(self.calls)

    def check(self, passed: Passed) -> None:
        """Compare a clean pass by the seam with the model's own, of all rows where there is one.

        Raises:
            CheckFailed: they differ: there is an adapter or a hook on the model; or they are not
                finite.
        """
        adapted = self.problem.model.adapted
        own = self.own or record(adapted, self.clean.rows(0, 1))
        rows = len(own.streams[-1])
        if self.own is None:
            self.problem.passes += FORWARD / len(self.problem.task)
        end = int(self.problem.ends[self.low])
        truth, found = own.streams[-1][:rows, : end + 1], passed.last[:rows, : end + 1]
        refuse_not_finite(adapted, truth, "the streams", self.problem.model.name)
        gap = float((truth - found).abs().max() / truth.abs().max().clamp_min(1e-30))
        if not gap <= outer_bound(self.problem.model.dtype):
            raise CheckFailed(
                f"the blocks rebuilt from their parts are off the model's own run by {gap:.1e}: "
                "there is an adapter or a hook on it",
                mend="merge the adapter, remove the hook, or use ExactEdges(engine='naive')",
            )
