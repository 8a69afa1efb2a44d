"""What calls cost: before they are made, while they are made, and afterwards."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

from residuum.core import OptionError
from residuum.runs.arguments import shown

_MILLION = 1e6


@dataclass(frozen=True)
class Price:
    """Of a million tokens.

    Attributes:
        input, output: sent, and received.
        currency: its name.

    Raises:
        OptionError: below zero.
    """

    input: float
    output: float
    currency: str = "USD"

    def __post_init__(self) -> None:
        for each in (self.input, self.output):
            number = isinstance(each, (int, float)) and not isinstance(each, bool)
            if not number or not 0 <= each < math.inf:
                raise OptionError(
                    f"a price of {shown(each)}", mend="give the price of a million tokens"
                )


@dataclass(frozen=True)
class Cost:
    """Of some calls.

    Attributes:
        calls: how many.
        tokens_in, tokens_out: sent and received.
        price: None if it is not known.

    >>> print(Cost(3, 12_000, 600, Price(1.0, 5.0)))
    3 calls, 12,000 tokens in, 600 out, 0.015 USD
    """

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    price: Price | None = None

    @property
    def money(self) -> float | None:
        """In the price's currency; None without a price."""
        if self.price is None:
            return None
        inward, outward = self.tokens_in * self.price.input, self.tokens_out * self.price.output
        return (inward + outward) / _MILLION

    def plus(self, other: Cost) -> Cost:
        """Of both, at this one's price."""
        return Cost(
            self.calls + other.calls, self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out, self.price,
        )  # fmt: skip

    def __str__(self) -> str:
        text = f"{self.calls} calls, {self.tokens_in:,} tokens in, {self.tokens_out:,} out"
        if self.price is None:
            return text
        return f"{text}, {self.money:.4g} {self.price.currency}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "calls": self.calls, "tokens_in": self.tokens_in, "tokens_out": self.tokens_out,
            "money": self.money, "currency": self.price.currency if self.price else None,
        }  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """What a labelling will cost.

    Attributes:
        about: at four bytes a token and answers of the usual length.
        most: a token a byte and answers as long as they may be.
    """

    about: Cost
    most: Cost

    def __str__(self) -> str:
        return f"about {self.about} (at most {self.most})"


class Budget:
    """What has been spent, and what may be; safe with threads.

    Args:
        spent: so far.
        most: money at most; None for no limit.
    """

    def __init__(self, spent: Cost, most: float | None) -> None:
        self.spent, self.most = spent, most
        self._reserved = Cost(price=spent.price)
        self._lock = threading.Lock()

    def reserve(self, bound: Cost) -> None:
        """Set aside what a call may cost.

        Raises:
            OptionError: there is not so much left.
        """
        with self._lock:
            after = self.spent.plus(self._reserved).plus(bound).money
            if self.most is not None and after is not None and after > self.most:
                raise OptionError(
                    f"the next call may take the cost beyond max_cost={self.most:g} "
                    f"(so far {self.spent})",
                    mend="call again with a larger max_cost; the answers so far are kept with "
                    "keep=",
                )
            self._reserved = self._reserved.plus(bound)

    def settle(self, bound: Cost, paid: Cost) -> None:
        """A call is over: give back what was set aside, count what it cost."""
        with self._lock:
            back = Cost(-bound.calls, -bound.tokens_in, -bound.tokens_out)
            self._reserved = self._reserved.plus(back)
            self.spent = self.spent.plus(paid)
