"""The palettes, once for every medium: page, paper and terminal.

Three scales, each with a light and a dark variant that end where their background is:

* ``diverging``: centred at zero. Positive is **blue**, negative is **orange**, zero takes the
  colour of the background. Blue and orange stay apart in the common forms of colour blindness.
* ``sequential``: background colour at the low end, lightness strictly monotonic.
* ``categorical``: names without an order. The first is "none of them" and takes the colour of the
  background; the others stay apart in the common forms of colour blindness, and come in two
  strengths: full where they are sure, a tint, to be hatched, where they are not.

NaN, an impossible cell, is grey in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Scale = Literal["diverging", "sequential"]
MapScale = Literal["diverging", "sequential", "categorical"]
Theme = Literal["light", "dark"]

SCALES: tuple[str, ...] = ("diverging", "sequential")
MAP_SCALES: tuple[str, ...] = (*SCALES, "categorical")

STOPS: dict[str, dict[str, tuple[str, ...]]] = {
    "diverging": {
        "light": ("#7f2d04", "#c2500d", "#ee8b3d", "#fbcd9f", "#f8f8f6",
                  "#b5d4eb", "#5fa1d1", "#2269aa", "#0a376b"),
        "dark": ("#ffd2a1", "#f79a4b", "#b8601f", "#66391c", "#20242b",
                 "#1d436a", "#2b72b0", "#5aa9e6", "#b5deff"),
    },
    "sequential": {
        "light": ("#f8f8f6", "#cfe8d6", "#8fcdb9", "#4aa7a8", "#2b7c9c",
                  "#2d5289", "#2c2c64", "#1b1236"),
        "dark": ("#20242b", "#2a3566", "#2b5a8c", "#2f84a3", "#4dadac",
                 "#8fd0b5", "#cdebcf", "#f6fbee"),
    },
}  # fmt: skip
NAN_COLOUR: dict[str, str] = {"light": "#d5d8dd", "dark": "#3b4049"}
CATEGORIES: dict[str, tuple[str, ...]] = {
    "light": ("#f8f8f6", "#2523e2", "#f59d00", "#730d75", "#45b1ce", "#116e5a", "#dabf72",
              "#bf3d0d", "#98b596"),
    "dark": ("#20242b", "#436bde", "#f3a91c", "#93539e", "#74dff0", "#6bc583", "#f3e883",
             "#ff4746", "#a399a5"),
}  # fmt: skip
TINT = 0.28
"""Share of its full colour that an unsure category keeps; the rest is the background's."""
SERIES: dict[str, tuple[str, ...]] = {
    "light": ("#0a66b0", "#c9510c", "#0b7a5c", "#a2437f", "#6b5bc2", "#8a6d00", "#555c66"),
    "dark": ("#5aa9e6", "#f79a4b", "#4cc2a0", "#e58fc3", "#a99cf0", "#d9bd4a", "#aab2bd"),
}
DASHES: tuple[tuple[int, ...], ...] = ((), (6, 3), (2, 2), (8, 3, 2, 3), (4, 2), (10, 4), (1, 2))
POSITIVE: dict[str, str] = {"light": "#2269aa", "dark": "#5aa9e6"}
NEGATIVE: dict[str, str] = {"light": "#c2500d", "dark": "#f79a4b"}


def rgb(colour: str) -> tuple[int, int, int]:
    """Read ``#rrggbb`` as three bytes."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def colour_range(
    values: np.ndarray, scale: str, limits: Sequence[float] | None = None
) -> tuple[float, float]:
    """Return the values at the two ends of the colour bar.

    A diverging range is symmetric about zero unless limits are given; values that are all
    NaN or all equal still get a range of non-zero width.
    """
    if limits is not None:
        return float(limits[0]), float(limits[1])
    finite = values[np.isfinite(values)]
    if scale == "diverging":
        top = float(np.abs(finite).max()) if finite.size else 1.0
        return (-top, top) if top > 0 else (-1.0, 1.0)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return (low, high) if high > low else (low, low + max(1.0, abs(low) * 1e-3))


def fractions(values: np.ndarray, scale: str, low: float, high: float) -> np.ndarray:
    """Place values on the palette: 0 at its first colour, 1 at its last, clipped.

    Zero sits in the middle of a diverging palette even where the limits are not symmetric.
    """
    if scale == "diverging":
        below, above = max(-low, 1e-300), max(high, 1e-300)
        signed = np.where(values < 0, values / below, values / above)
        return np.clip(0.5 + signed / 2, 0.0, 1.0)
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def colours(
    values: np.ndarray, scale: str, low: float, high: float, theme: Theme = "light"
) -> np.ndarray:
    """Return the colour of each value as bytes ``[..., 3]``; NaN gets the grey."""
    stops = np.array([rgb(stop) for stop in STOPS[scale][theme]], dtype=np.float64)
    finite = np.isfinite(values)
    place = fractions(np.where(finite, values, 0.0), scale, low, high) * (len(stops) - 1)
    lower = np.minimum(place.astype(int), len(stops) - 2)
    part = (place - lower)[..., None]
    mixed = stops[lower] * (1 - part) + stops[lower + 1] * part
    mixed[~finite] = rgb(NAN_COLOUR[theme])
    return np.rint(mixed).astype(np.uint8)


def category_colours(
    indices: np.ndarray, unsure: np.ndarray | None = None, theme: Theme = "light"
) -> np.ndarray:
    """Return the colour of each category as bytes ``[..., 3]``; NaN gets the grey.

    Args:
        indices: whole numbers, or NaN.
        unsure: True where the category gets its tint.
        theme: light or dark.
    """
    stops = np.array([rgb(stop) for stop in CATEGORIES[theme]], dtype=np.float64)
    finite = np.isfinite(indices)
    found = stops[np.where(finite, indices, 0).astype(int)]
    if unsure is not None:
        found[unsure] = TINT * found[unsure] + (1 - TINT) * stops[0]
    found[~finite] = rgb(NAN_COLOUR[theme])
    return np.rint(found).astype(np.uint8)


def ink_on(colour: Sequence[int] | np.ndarray) -> str:
    """Return black or white, whichever reads better on ``colour``."""
    linear = [(c / 255) ** 2.2 for c in (int(colour[0]), int(colour[1]), int(colour[2]))]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#15181c" if light > 0.19 else "#ffffff"


def hex_of(colour: Sequence[int] | np.ndarray) -> str:
    """Write three bytes as ``#rrggbb``.

    >>> hex_of(rgb("#2269aa"))
    '#2269aa'
    """
    return "#" + "".join(f"{int(part):02x}" for part in colour[:3])
