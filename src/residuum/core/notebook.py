"""Results in a notebook: a cell that ends with one shows its figure."""

from __future__ import annotations

from typing import Any, Protocol

from residuum.core.errors import AddressError

_MOST_ENTRIES = 2**26
"""Entries of a matrix that are looked through just to show it."""


class Drawable(Protocol):
    """A result with a figure."""

    def figure(self) -> Any:
        """A figure."""
        ...


def html_of(result: Drawable, entries: int = 0) -> str | None:
    """The result's figure as HTML; None, for which a notebook shows the text, where it has none.

    Args:
        entries: of the matrix that the figure looks through; too many are not, only for showing.
    """
    if entries > _MOST_ENTRIES:
        return None
    try:
        return result.figure().html()
    except AddressError:  # an encoder's circuit: no tokens to read its directions off
        return None
