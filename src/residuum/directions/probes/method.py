"""What every way of fitting a probe takes and gives."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

from torch import Tensor

from residuum.core import OptionError
from residuum.directions.probes.weights import ProbeWeights
from residuum.runs import shown

Blocks = Iterable[tuple[Tensor, Tensor]]
"""Vectors ``[m d]`` and labels ``[m]``; may be gone through more than once."""


class Moments(Protocol):
    """Means and covariances of training examples; see :class:`ClassMoments`."""

    @property
    def counts(self) -> Tensor:
        """Examples of each class, ``[class]``."""
        ...

    @property
    def n(self) -> float:
        """How many examples."""
        ...

    @property
    def means(self) -> Tensor:
        """Mean of each class, ``[class d]``."""
        ...

    @property
    def mean(self) -> Tensor:
        """Mean of all, ``[d]``."""
        ...

    @property
    def covariance(self) -> Tensor:
        """Total covariance ``[d d]``."""
        ...

    @property
    def within(self) -> Tensor:
        """Covariance within classes ``[d d]``."""
        ...

    def of_dims(self, chosen: Tensor) -> Moments:
        """The moments of some of the dimensions."""
        ...


class ProbeMethod(Protocol):
    """A way to fit a linear probe; its ``repr`` is its record."""

    def fit(self, blocks: Blocks, moments: Moments) -> ProbeWeights:
        """Fit on training examples.

        Args:
            blocks: the examples.
            moments: of the same ones.
        """
        ...


def positive(value: Any, name: str) -> float:
    """The number, if it is finite and above zero.

    Raises:
        OptionError: it is not.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise OptionError(f"{name}={shown(value)} is out of range", mend="give a number above 0")
    return float(value)


def need_probe_method(method: Any) -> ProbeMethod:
    """Refuse what is no way to fit a probe.

    Raises:
        OptionError: it is none.
    """
    if isinstance(method, type) or not hasattr(method, "fit"):
        made = f"{method.__name__}()" if isinstance(method, type) else "Logistic()"
        raise OptionError(f"method={shown(method)} is no way to fit a probe", mend=f"give {made}")
    return method


def need_two(moments: Moments, name: str) -> None:
    """Refuse a number of classes that a method cannot take.

    Raises:
        OptionError: other than two.
    """
    if len(moments.counts) != 2:
        raise OptionError(
            f"{name} tells two classes apart, the examples have {len(moments.counts)}",
            mend="use MultiClass(), Ridge() or MassMean()",
        )
