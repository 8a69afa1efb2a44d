"""Records of detectors: a score with its interval and null, and what removing each head costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from residuum.runs import bootstrap_mean_intervals

ABOUT: dict[str, tuple[str, str, str]] = {
    "previous_token": (
        "share", "attention to the token before", "uniform attention"),
    "duplicate_token": (
        "share", "attention to earlier occurrences of the same token",
        "the same places, repeats exchanged for other tokens"),
    "induction": (
        "share", "attention to what followed earlier occurrences (prefix matching)",
        "the same places, repeats exchanged for other tokens"),
    "direct": (
        "logits", "direct effect on the logit of the token that followed the earlier occurrence",
        "another prompt's token"),
    "copying": (
        "logits", "effect, through OV, on the logits of the tokens attended to, weighed by "
        "attention", "another prompt's tokens"),
    "skip_trigram": (
        "share", "attention, beyond what position explains, to tokens further back that are no "
        "repeat", "position alone"),
    "first_token": (
        "share", "attention to the first position, or to nothing (a learned sink)",
        "uniform attention"),
    "entropy": ("nats", "entropy of attention", "uniform attention"),
    "positional_share": (
        "share", "variance of the pattern that the mean pattern over prompts explains; the rest "
        "is content", "places shuffled"),
    "name_mover": (
        "share", "attention from the last token to the answer", "other tokens of the prompt"),
    "s_inhibition": (
        "share", "attention from the last token to a repeated wrong answer",
        "other tokens of the prompt"),
    "task_direct": (
        "logits", "direct effect on answer minus wrong answer", "another prompt's answers"),
}  # fmt: skip
"""Detector -> unit, what it measures, and what its null is."""


@dataclass(frozen=True, eq=False)
class HeadScore:
    """One detector's numbers.

    Attributes:
        name: of the detector, with ``text.`` in front where it is measured on one's own prompts.
        values: ``[layer head]`` mean over prompts, in ``unit``.
        low, high: ``[layer head]`` bootstrap interval over prompts.
        null, null_low, null_high: the same numbers for the null.
        prompts: how many prompts had a place to look at.
    """

    name: str
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    null: np.ndarray
    null_low: np.ndarray
    null_high: np.ndarray
    prompts: int

    @property
    def detector(self) -> str:
        """Name of the detector."""
        return self.name.removeprefix("text.")

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return ABOUT[self.detector][0]

    @property
    def about(self) -> str:
        """What is measured."""
        return ABOUT[self.detector][1]

    @property
    def null_about(self) -> str:
        """What the null is."""
        return ABOUT[self.detector][2]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        arrays = ("values", "low", "high", "null", "null_low", "null_high")
        return {
            "unit": self.unit,
            "about": self.about,
            "null_is": self.null_about,
            "prompts": self.prompts,
            **{name: plain(getattr(self, name)) for name in arrays},
        }


@dataclass(frozen=True, eq=False)
class RemovalCost:
    """What the model loses when each head is removed by itself.

    Attributes:
        on: ``"repeats"``, ``"text"`` or the task's name.
        unit: ``"nats"`` of loss, or the task metric's unit.
        values, low, high: ``[layer head]`` mean and bootstrap interval over prompts; positive where
            the head helps, negative where it hinders.
        rounding: costs as small as this count as zero.
        prompts: how many were used.
    """

    on: str
    unit: str
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rounding: float
    prompts: int

    @property
    def matters(self) -> np.ndarray:
        """``[layer head]`` whether the interval excludes zero."""
        big = np.abs(self.values) > self.rounding
        return ((self.low > 0) | (self.high < 0)) & big

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "on": self.on,
            "unit": self.unit,
            "prompts": self.prompts,
            "rounding": self.rounding,
            "values": plain(self.values),
            "low": plain(self.low),
            "high": plain(self.high),
            "matters": self.matters.tolist(),
        }


def score_of(
    name: str, values: np.ndarray, null: np.ndarray, level: float, resamples: int, seed: int
) -> HeadScore:
    """A score from numbers ``[layer head prompt]``; prompts with NaN are left out."""
    kept = np.isfinite(values).all((0, 1))
    middle, low, high = mean_with_interval(values[..., kept], level, resamples, seed)
    known = np.isfinite(null).all((0, 1))
    null_ends = mean_with_interval(null[..., known], level, resamples, seed)
    return HeadScore(name, middle, low, high, *null_ends, prompts=int(kept.sum()))


def mean_with_interval(
    values: np.ndarray, level: float, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the last axis and its bootstrap interval; NaN where there is nothing."""
    if not values.shape[-1]:
        none = np.full(values.shape[:-1], np.nan)
        return none, none, none
    low, high = bootstrap_mean_intervals(values, level, resamples, seed)
    return values.mean(-1), low, high


def plain(values: np.ndarray) -> Any:
    """Nested lists, NaN as None."""
    flat = values.astype(object)
    flat[~np.isfinite(values.astype(float))] = None
    return flat.tolist()
