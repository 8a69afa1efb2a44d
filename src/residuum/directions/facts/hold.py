"""What an edit holds of a model while it is applied: the tensors that it wrote over."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from residuum.core import OptionError
from residuum.directions.facts.matrices import OutMatrix, out_matrices
from residuum.directions.facts.methods import Factors
from residuum.runs import Model


@dataclass
class Hold:
    """The model that an edit is bound to, and what it wrote over; empty when it is not applied."""

    model: Model | None = None
    matrices: tuple[OutMatrix, ...] = ()
    originals: list[Tensor] = field(default_factory=list)
    hash_after: str = ""

    def write(self, model: Model, factors: dict[int, Factors]) -> None:
        """Add the factors' products to the model's matrices, and keep what stood there.

        Raises:
            CheckFailed: an adapter or a hook on the matrices.
        """
        self.model, self.matrices = model, out_matrices(model, tuple(factors))
        originals = [each.parameter.detach().clone() for each in self.matrices]
        for matrix, original in zip(self.matrices, originals, strict=True):
            left, right = factors[matrix.layer]
            matrix.add(original, left @ right)
        self.originals = originals
        self.hash_after = model.adapted.rehash()

    def put_back(self) -> None:
        """Write the kept tensors back, bit for bit.

        Raises:
            OptionError: the weights were changed since.
        """
        assert self.model is not None
        with self.model.adapted.lock:
            if self.model.adapted.rehash() != self.hash_after:
                raise OptionError(
                    "the weights were changed after this edit was applied",
                    mend="undo the later edits first, in turn; or load the model again",
                )
            for matrix, original in zip(self.matrices, self.originals, strict=True):
                matrix.put(original)
            self.originals = []
