"""Going on from an earlier run: which blocks need not run again, and what is taken from that run.

Up to the first block at which two runs' edits differ, the same kernels work on the same inputs; so
the later run starts at that block, on the stream that the earlier one kept, and its numbers are
those of a whole run, to the last bit. Where that cannot be said, it runs whole, and ``Run.reuse``
says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from residuum.core import Address
from residuum.models import Adapted, Batch
from residuum.runs.apply import Planned
from residuum.runs.base_run import proof
from residuum.runs.capture import Kept, TopK
from residuum.runs.forward import model_device
from residuum.runs.places import columns_of
from residuum.runs.run import Run
from residuum.runs.run_trace import Reuse, Trace, Written, is_raw, written_out
from residuum.runs.skipped_blocks import SkippedBlocks

_FRONT = ("embed", "pos_embed")


@dataclass(frozen=True)
class Continuation:
    """A base run that a later run on the same prompts takes what it can from."""

    adapted: Adapted
    base: Run
    trace: Trace

    @property
    def _n_layers(self) -> int:
        return len(self.adapted.parts.layers)

    # -- where to start ----------------------------------------------------------------------

    def start(self, planned: Sequence[Planned], kept: Sequence[Kept]) -> Reuse:
        """The first block to run for these edits and captures."""
        missing = [
            (each.address.layer, f"the base run did not keep {each.address}")
            for each in kept
            if isinstance(each.address.layer, int) and not self._has(each)
        ]
        return self._start(planned, [each.address for each in (*planned, *kept)], missing)

    def start_unedited(self, sites: Sequence[Address]) -> int:
        """The first block to run so that these sites are met in a run without edits."""
        needed = [(each.layer if isinstance(each.layer, int) else 0, "") for each in sites]
        return self._start([], sites, needed).layer

    def _start(
        self,
        planned: Sequence[Planned],
        sites: Iterable[Address],
        limits: list[tuple[int, str]],
    ) -> Reuse:
        limits = [(self._first_difference(planned), ""), *limits]
        other = written_out(self.adapted, sites) ^ self.trace.kernels
        if other:
            why = f"attention of layer {min(other)} is written out in one of the two runs alone"
            limits.append((min(other), why))
        bound, reason = min(limits, key=lambda each: each[0])
        for layer in range(bound, 0, -1):
            if self.stream(layer) is not None:
                lower = "" if layer == bound else f"the base run kept no stream into block {bound}"
                return Reuse(layer, lower or reason)
        return Reuse(0, f"the base run kept no stream into block {bound}" if bound else reason)

    def _first_difference(self, planned: Sequence[Planned]) -> int:
        """The first block at which the edits are not those of the base run."""
        mine = [Written(e.edit, e.address, False, e.coder is not None) for e in planned]
        sites = {each.address.base for each in (*mine, *self.trace.edits)}
        depths = [self._depth(at) for at in sites if _at(at, mine) != _at(at, self.trace.edits)]
        depths += [self._depth(e.address) for e in (*mine, *self.trace.edits) if e.coded]
        return min(depths, default=self._n_layers)

    def _depth(self, address: Address) -> int:
        """The block that a site is in; 0 for the embedding, the number of blocks for the end."""
        if isinstance(address.layer, int):
            return address.layer
        return 0 if address.name in _FRONT else self._n_layers

    # -- what is taken -----------------------------------------------------------------------

    def stream(self, layer: int) -> Tensor | None:
        """What enters a block, before the edits there: ``[batch pos d_model]``, or None."""
        after = self._kept_whole(Address("resid_post", layer - 1)) if layer else None
        if after is not None or layer == self._n_layers:
            return after
        before = Address("resid_pre", layer)
        return None if self.trace.edited(before) else self._kept_whole(before)

    def value(self, site: Address) -> Tensor | None:
        """A whole site of a block before the first that is run, or None."""
        found = self._kept_whole(site)
        if found is not None or not isinstance(site.layer, int):
            return found
        if site.name == "resid_post":
            return self.stream(site.layer + 1)
        unedited = site.name == "resid_pre" and not self.trace.edited(site)
        return self.stream(site.layer) if unedited else None

    def _kept_whole(self, site: Address) -> Tensor | None:
        request = self.trace.requests.get(site)
        value = self.base.captured.get(site)
        raw = request is not None and is_raw(request, site)
        return value if raw and isinstance(value, Tensor) else None

    def _has(self, kept: Kept) -> bool:
        return self.value(kept.address.base) is not None or self._has_as_asked(kept)

    def _has_as_asked(self, kept: Kept) -> bool:
        return kept.coder is None and self.trace.requests.get(kept.address) == kept.request

    def skipped(self, layer: int, first_row: int, rows: int) -> SkippedBlocks | None:
        """The blocks before ``layer``, left out for some prompts; None where all are run."""
        if not layer:
            return None
        stream, first = self.stream(layer), self.stream(0)
        assert stream is not None
        part = slice(first_row, first_row + rows)
        blocks = [each.block for each in self.adapted.parts.layers[:layer]]
        before = None if first is None else first[part]
        return SkippedBlocks(blocks, proof(self.adapted)[0], stream[part], before)

    def take(self, kept: Kept, chunk: Batch, first_row: int) -> None:
        """Keep a site of the base run as if the pass had come by."""
        value = self.value(kept.address.base)
        if value is None or not isinstance(kept.address.layer, int):
            return
        block = self.adapted.parts.layers[kept.address.layer].block
        device = next((each.device for each in block.parameters()), model_device(self.adapted))
        part = value[first_row : first_row + len(chunk.ids)].to(device)
        kept.take(part, columns_of(chunk), chunk.mask, first_row)

    def result(self, kept: Kept) -> Tensor | TopK:
        """What was kept of a site of the base run: a copy."""
        if self.value(kept.address.base) is not None:
            return kept.result()
        value = self.base.captured[kept.address]
        if isinstance(value, Tensor):
            return value.clone()
        return TopK(value.values.clone(), value.prompts.clone(), value.positions.clone())

    def fired(self, planned: Planned) -> bool:
        """Whether an edit before the first block that is run wrote something in the base run."""
        return any(
            each.fired and (each.edit, each.address) == (planned.edit, planned.address)
            for each in self.trace.edits
        )


def _at(site: Address, edits: Sequence[Written]) -> list[tuple[Any, Address]]:
    return [(each.edit, each.address) for each in edits if each.address.base == site]
