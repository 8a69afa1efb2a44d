"""A fitted probe: logits that are an affine map of the activations, with a temperature."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from residuum.core import ShapeError


@dataclass(frozen=True, eq=False)
class ProbeWeights:
    """An affine reader.

    Attributes:
        matrix: ``[row d]``, float64: one row for two classes (positive means class 1), else one for
            each class.
        bias: ``[row]``.
        temperature: divides the logits; fitted on validation examples.

    >>> probe = ProbeWeights(torch.tensor([[1.0, 0.0]]), torch.tensor([-1.0]))
    >>> probe.predict(torch.tensor([[3.0, 5.0], [0.0, 5.0]])).tolist()
    [1, 0]
    """

    matrix: Float[Tensor, "row d"]
    bias: Tensor
    temperature: float = 1.0

    @property
    def vectors(self) -> Tensor:
        """``[d]`` towards class 1; for several classes ``[class - 1, d]``, each from class 0."""
        return self.matrix[0] if len(self.matrix) == 1 else self.matrix[1:] - self.matrix[:1]

    @property
    def threshold(self) -> float:
        """Along the unit vector of two classes: above it class 1 is likelier."""
        return float(-self.bias[0] / self.matrix[0].norm())

    def logits(self, x: Float[Tensor, "m d"]) -> Float[Tensor, "m class"]:
        """Calibrated logits of every class; of two, the first is 0."""
        if x.ndim != 2 or x.shape[1] != self.matrix.shape[1]:
            raise ShapeError(
                f"the probe reads vectors of width {self.matrix.shape[1]}, got {list(x.shape)}",
                mend="give [m d] of the site that it was fitted at",
            )
        raw = (x.to(self.matrix) @ self.matrix.T + self.bias) / self.temperature
        return torch.cat([torch.zeros_like(raw), raw], dim=1) if raw.shape[1] == 1 else raw

    def probabilities(self, x: Float[Tensor, "m d"]) -> Float[Tensor, "m class"]:
        """Probability of each class, 0 to 1."""
        return self.logits(x).softmax(-1)

    def predict(self, x: Float[Tensor, "m d"]) -> Tensor:
        """The likeliest class of each, ``[m]``."""
        return self.logits(x).argmax(-1)

    def at_temperature(self, temperature: float) -> ProbeWeights:
        """The same with another temperature."""
        return replace(self, temperature=temperature)
