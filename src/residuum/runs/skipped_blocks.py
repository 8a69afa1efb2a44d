"""Blocks that a pass leaves out: what enters the first block after them is known already.

The model's own forward runs, so that masks, positions and everything else that it hands its blocks
are what they are in a whole pass. The blocks left out hand their input on, and the last of them
hands on the known stream. ``forward`` of those blocks is replaced on the instance for the pass, and
put back however the pass ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from residuum.core import OptionError

BASE_MEND = 'run the base again: base = model.run(prompts, capture=["resid_pre"])'


@dataclass(frozen=True)
class SkippedBlocks:
    """The first blocks of a model, left out of one pass.

    Attributes:
        blocks: those left out, at least one.
        tuples: for each, the length of the tuple it returns the stream in; 0 for a bare tensor.
        stream: ``[batch pos d_model]``, what enters the block after them.
        first: what must enter the first of them, where that is known.
    """

    blocks: Sequence[nn.Module]
    tuples: Sequence[int]
    stream: Tensor
    first: Tensor | None = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Replace the blocks' forward, and put it back whatever happens."""
        last = len(self.blocks) - 1
        before = [(block, block.__dict__.get("forward")) for block in self.blocks]
        try:
            for index, block in enumerate(self.blocks):
                step = self._hands_on if index < last else self._hands_over
                check = self._checked if index == 0 else None
                block.forward = _forward(step, check, self.tuples[index])
            yield
        finally:
            for block, forward in before:
                if forward is not None:
                    block.forward = forward
                elif "forward" in block.__dict__:
                    del block.forward

    def _checked(self, given: Tensor) -> None:
        """The pass must begin as the base run did."""
        if self.first is None:
            return
        same = given.shape == self.first.shape and given.dtype == self.first.dtype
        if not same or not torch.equal(given, self.first.to(given.device)):
            raise OptionError(
                "the stream that enters the first block is not the base run's: the model has "
                "changed since",
                mend=BASE_MEND,
            )

    def _hands_on(self, given: Tensor) -> Tensor:
        return given

    def _hands_over(self, given: Tensor) -> Tensor:
        """A copy: some families add into the stream in place."""
        return self.stream.to(given.device, copy=True)


def _forward(
    step: Callable[[Tensor], Tensor], check: Callable[[Tensor], None] | None, length: int
) -> Callable[..., Any]:
    def forward(*args: Any, **kwargs: Any) -> Any:
        given = args[0] if args else kwargs["hidden_states"]
        if check is not None:
            check(given)
        out = step(given)
        return (out, *[None] * (length - 1)) if length else out

    return forward
