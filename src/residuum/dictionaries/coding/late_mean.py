"""A running mean of the later values, which a long-past start does not hold back."""

from __future__ import annotations

_MOST = 100
_PART = 10


class LateMean:
    """The mean over about the last tenth of the values so far, and over a hundred at most.

    A value that still changes, such as a threshold in a short training, is followed; once it is
    settled, the mean is as smooth as an exponential one with memory .99.

    Attributes:
        value: the mean; None before the first value.
        count: values so far.

    Source: Shamir and Zhang 2013, "Stochastic Gradient Descent for Non-smooth Optimization"
    (polynomial-decay averaging). Deviation: a new value's weight never falls below a hundredth.

    >>> mean = LateMean()
    >>> for value in range(50):
    ...     mean.add(value)
    >>> round(mean.value, 1)
    44.5
    """

    def __init__(self) -> None:
        self.value: float | None = None
        self.count = 0

    def add(self, value: float) -> None:
        """Take one more."""
        self.count += 1
        weight = max(1 / _MOST, _PART / (_PART - 1 + self.count))
        before = 0.0 if self.value is None else self.value
        self.value = before + weight * (value - before)

    def restore(self, value: float | None, count: int) -> None:
        """Go on from a value and a count."""
        self.value, self.count = value, count
