"""How features lie in the hidden space: dimensionality, angles, and the name of the figure."""

from __future__ import annotations

import math

import torch
from torch import Tensor

REPRESENTED = 0.5
"""A feature counts as represented from this norm on; learned norms lie near 0 or near 1."""

TOLERANCE = 15.0
"""Degrees by which a gap may miss that of the regular figure and still carry its name."""

_REGULAR = {3: "triangle", 5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon"}


def feature_dimensionality(weights: Tensor) -> Tensor:
    """The share of a dimension that each feature has for itself.

    Args:
        weights: ``[... dim feature]``; column i is the direction of feature i.

    Returns:
        ``[... feature]``: ``|Wᵢ|² / Σⱼ (Ŵᵢ·Wⱼ)²``; 0 for a feature whose column is 0. A feature
        alone has 1, one of an antipodal pair 1/2, one of a regular pentagon in the plane 2/5.

    Source: Elhage et al., Toy Models of Superposition (2022), "The Geometry of Superposition".

    >>> feature_dimensionality(torch.tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]])).tolist()
    [0.5, 0.5, 1.0]
    """
    squared = weights.square().sum(-2)
    overlap = (weights.transpose(-1, -2) @ weights).square().sum(-1)
    share = squared.square() / overlap.clamp_min(1e-30)
    return torch.where(squared > 1e-12, share, torch.zeros_like(share))


def represented(weights: Tensor) -> Tensor:
    """Which features have a direction of their own, ``[... feature]``."""
    return weights.norm(dim=-2) >= REPRESENTED


def gaps(weights: Tensor) -> list[float]:
    """Angles in degrees between neighbouring represented features around the plane.

    Args:
        weights: ``[2 feature]``.

    Returns:
        One angle for each represented feature, sorted; they sum to 360. Empty for fewer than two.
    """
    kept = weights[:, represented(weights)].double()
    if kept.shape[1] < 2:
        return []
    angles = torch.atan2(kept[1], kept[0]).sort().values
    turns = torch.cat([angles[1:], angles[:1] + 2 * math.pi]) - angles
    return sorted(math.degrees(turn) for turn in turns.tolist())


def geometry(weights: Tensor) -> str:
    """Name how the represented features of one model lie in the plane.

    Args:
        weights: ``[2 feature]``.

    Returns:
        ``"nothing"``, ``"one feature"``, ``"antipodal pair"`` (two, 180° apart), ``"orthogonal
        pair"`` (two, 90° apart), ``"antipodal pair and one"`` (three: a pair, and one across it),
        ``"two antipodal pairs"`` (four, 90° apart: a square),
        ``"triangle"``, ``"pentagon"``, ``"hexagon"`` … (all gaps within 15° of the regular
        figure's), else ``"irregular (k)"`` for k features. A square is named by its two pairs.

    >>> geometry(torch.eye(2))
    'orthogonal pair'
    """
    between = gaps(weights)
    count = int(represented(weights).sum())
    if count < 2:
        return ("nothing", "one feature")[count]
    if count == 2:
        for name, angle in (("antipodal pair", 180.0), ("orthogonal pair", 90.0)):
            if abs(between[0] - angle) <= TOLERANCE:
                return name
        return "irregular (2)"
    if count == 3 and all(
        abs(gap - right) <= TOLERANCE for gap, right in zip(between, (90, 90, 180), strict=True)
    ):
        return "antipodal pair and one"
    if all(abs(gap - 360 / count) <= TOLERANCE for gap in between):
        return "two antipodal pairs" if count == 4 else _REGULAR.get(count, f"{count}-gon")
    return f"irregular ({count})"
