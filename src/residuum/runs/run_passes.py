"""The passes of one run: which blocks run, over which prompts, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from residuum.core import Address, Freeze
from residuum.models import Adapted, Batch
from residuum.runs.apply import Planned
from residuum.runs.base_run import check_base, why_whole
from residuum.runs.capture import Capture, Kept
from residuum.runs.continuation import Continuation
from residuum.runs.forward import one_pass
from residuum.runs.run import Run
from residuum.runs.run_trace import Ground, Reuse, Trace, version, written, written_out
from residuum.runs.session import Live


@dataclass
class Passes:
    """The passes of one run.

    Attributes:
        planned, kept: all edits and captures.
        size: prompts in a pass.
        following: the base that is gone on from, and from which block on.
        spent: blocks run so far, once for each prompt.
    """

    adapted: Adapted
    batch: Batch
    planned: list[Planned]
    kept: list[Kept]
    size: int
    logits: bool
    grad: bool
    following: Continuation | None = None
    reuse: Reuse | None = None
    spent: int = 0
    live: dict[Address, Live] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """The first block that is run."""
        return 0 if self.reuse is None else self.reuse.layer

    def follow(self, base: Run, ground: Ground) -> None:
        """Find the block to start at after a base run.

        Raises:
            OptionError: a base of something else.
        """
        check_base(base, self.batch, ground)
        asked = bool(self.planned or self.kept)
        reason = why_whole(self.adapted, base, ground, self.size, asked=asked, grad=self.grad)
        if reason or base.trace is None:
            self.reuse = Reuse(0, reason)
            return
        self.following = Continuation(self.adapted, base, base.trace)
        self.reuse = self.following.start(self.planned, self.kept)

    def _runs(self, address: Address) -> bool:
        return not isinstance(address.layer, int) or address.layer >= self.first

    def chunk(self, start: int) -> Tensor | None:
        """One pass over some prompts; its logits, or None."""
        chunk = self.batch.rows(start, start + self.size)
        for each in self.planned:
            each.first_row, each.chunk = start, len(chunk.ids)
        edits = [each for each in self.planned if self._runs(each.address)]
        fresh = [each for each in self.kept if self._runs(each.address)]
        self._freeze(chunk, edits, start)
        skip = None
        if self.following is not None:
            for each in self.kept:
                if not self._runs(each.address):
                    self.following.take(each, chunk, start)
            skip = self.following.skipped(self.first, start, len(chunk.ids))
        if not (self.logits or edits or fresh):
            return None
        self._spend(chunk, self.first, [e.address for e in (*edits, *fresh)], self.logits)
        out, self.live = one_pass(
            self.adapted,
            chunk,
            edits,
            fresh,
            first_row=start,
            logits=self.logits,
            grad=self.grad,
            own_cache=not self.planned and not self.kept,
            skip=skip,
        )
        return out

    def _freeze(self, chunk: Batch, edits: list[Planned], start: int) -> None:
        """Fill in what frozen sites are in the unedited run."""
        frozen = [each for each in edits if isinstance(each.edit, Freeze)]
        if not frozen:
            return
        kept = {e.address: Kept(Capture(e.address), e.address, e.coder) for e in frozen}
        layer, skip = 0, None
        if self.following is not None:
            layer = self.following.start_unedited(list(kept))
            skip = self.following.skipped(layer, start, len(chunk.ids))
        self._spend(chunk, layer, list(kept), False)
        one_pass(
            self.adapted,
            chunk,
            [],
            list(kept.values()),
            logits=False,
            first_row=start,
            skip=skip,
        )
        for each in frozen:
            value = kept[each.address].result()
            assert isinstance(value, Tensor)
            each.frozen = value

    def _spend(self, chunk: Batch, first: int, sites: list[Address], to_the_end: bool) -> None:
        """Count the blocks that a pass runs, from the first on to the last that is needed."""
        n_layers = len(self.adapted.parts.layers)
        ends = [n_layers if to_the_end else 0, *(_end(site, n_layers) for site in sites)]
        self.spent += len(chunk.ids) * max(0, max(ends) - first)

    @property
    def cost(self) -> float:
        """Forward-pass equivalents spent so far."""
        return self.spent / (len(self.batch.ids) * len(self.adapted.parts.layers))

    def captured(self) -> dict[Address, Any]:
        """Everything that was kept, in the order of the request."""
        following = self.following
        return {
            each.address: each.result()
            if following is None or self._runs(each.address)
            else following.result(each)
            for each in self.kept
        }

    def count_skipped_edits(self) -> None:
        """Edits in blocks that were not run fired where they did in the base run."""
        for each in self.planned:
            if self.following is not None and not self._runs(each.address):
                each.fired = int(self.following.fired(each))

    def trace(self, ground: Ground, captured: dict[Address, Any]) -> Trace:
        """What a later run must know to go on from this one, once it is finished."""
        mask = None if self.batch.mask is None else self.batch.mask.clone()
        sites = [each.address for each in (*self.planned, *self.kept)]
        return Trace(
            ground=ground,
            batch=Batch(self.batch.ids.clone(), mask),
            edits=written(self.planned),
            requests={each.address: each.request for each in self.kept},
            versions={at: version(v) for at, v in captured.items() if isinstance(v, Tensor)},
            kernels=written_out(self.adapted, sites),
            size=self.size,
            grad=self.grad,
        )


def _end(site: Address, n_layers: int) -> int:
    """How many blocks a pass runs that stops at a site."""
    if isinstance(site.layer, int):
        return site.layer + (site.name != "resid_pre")
    return 0 if site.name in ("embed", "pos_embed") else n_layers
