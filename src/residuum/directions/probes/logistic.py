"""Logistic regression for two classes, softmax regression for several."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.directions.probes.method import Blocks, Moments, need_two, positive
from residuum.directions.probes.softmax_fit import fit_softmax
from residuum.directions.probes.weights import ProbeWeights


@dataclass(frozen=True)
class Logistic:
    """Logistic regression of two classes.

    Attributes:
        l2: penalty: the mean loss in nats plus ``l2 / 2`` times the squared weights of centred and
            scaled dimensions. (scikit-learn's ``C`` after a StandardScaler is ``1 / (n l2)``.)
    """

    l2: float = 0.01

    def __post_init__(self) -> None:
        positive(self.l2, "l2")

    def fit(self, blocks: Blocks, moments: Moments) -> ProbeWeights:
        """See :class:`ProbeMethod`."""
        need_two(moments, "Logistic")
        return fit_softmax(blocks, moments, self.l2, 1)


@dataclass(frozen=True)
class MultiClass:
    """Softmax regression of two classes or more; ``l2`` as in :class:`Logistic`."""

    l2: float = 0.01

    def __post_init__(self) -> None:
        positive(self.l2, "l2")

    def fit(self, blocks: Blocks, moments: Moments) -> ProbeWeights:
        """See :class:`ProbeMethod`."""
        return fit_softmax(blocks, moments, self.l2, len(moments.counts))
