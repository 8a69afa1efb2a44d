"""What one step of a sparse coder costs, and how it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

SUMMED = (
    "total", "reconstruction", "penalty", "auxiliary", "extra", "l0", "squared_error",
    "target_squares",
)  # fmt: skip
"""Numbers that add up over the shares of a batch."""


@dataclass(frozen=True, eq=False, repr=False)
class Losses:
    """The losses of one batch, in the coder's own (scaled) units.

    Of a share of a batch: its part of each; the parts add up (:func:`added`). Means are over the
    whole batch's inputs then.

    Attributes:
        total: what is minimised; its gradients come by :meth:`backward`.
        reconstruction: squared error summed over the output's entries, mean over inputs; of a
            Matryoshka coder with all latents.
        penalty: before its coefficient; 0 without one.
        auxiliary: of dead latents, before its coefficient; 0 where none is dead.
        extra: further terms of ``total``: a gated coder's frozen-decoder term, a Matryoshka
            coder's shorter prefixes.
        l0: active latents of an input, mean.
        fired: ``[latent]``, active for some input of the batch.
        n: inputs, of the share alone.
        squared_error: summed over inputs and entries.
        target_sum: ``[write d_out]`` sum of the targets.
        target_squares: sum of their squares.
        least: smallest active latent, where BatchTopK asks for it; None: it does not, or none is.
        run_backward: puts the gradients into the coder's parameters.
    """

    total: Tensor
    reconstruction: Tensor
    penalty: Tensor
    auxiliary: Tensor
    extra: Tensor
    l0: Tensor
    fired: Tensor
    n: int
    squared_error: Tensor
    target_sum: Tensor
    target_squares: Tensor
    least: float | None
    run_backward: Callable[[], None]

    def backward(self) -> None:
        """Add the gradients of ``total`` to the parameters' ``.grad``; once for each batch.

        Where decoder rows are kept at length 1, without what would change their lengths.
        """
        self.run_backward()

    @property
    def explained_variance(self) -> float:
        """Share of the batch's variance, about its mean, that is rebuilt; at most 1."""
        spread = self.target_squares - self.target_sum.square().sum() / self.n
        return float(1 - self.squared_error / spread)


def added(parts: Sequence[Losses]) -> Losses:
    """The losses of a batch from those of its shares; gradients are not added here."""
    sums = {
        name: torch.stack([getattr(each, name).double() for each in parts]).sum() for name in SUMMED
    }
    found = [each.least for each in parts if each.least is not None]
    return Losses(
        **sums,
        fired=reduce(torch.logical_or, [each.fired for each in parts]),
        n=sum(each.n for each in parts),
        target_sum=torch.stack([each.target_sum for each in parts]).sum(0),
        least=min(found, default=None),
        run_backward=no_backward,
    )


def no_backward() -> None:
    """Of losses that were added up or came from another process.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError("gradients are of the shares, each in its own process")
