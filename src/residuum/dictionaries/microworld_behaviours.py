"""Which latents move a behaviour: found on training templates, measured once on held-out ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from residuum.dictionaries.dictionary import Dictionary
from residuum.dictionaries.feature_calibration import FeatureUnits, units_of
from residuum.dictionaries.feature_measuring import clusters_of
from residuum.dictionaries.feature_pairs import CLEAN, CORRUPT, LatentPairs, latent_pairs
from residuum.runs import Model, Task, bootstrap_mean_interval

MOST_LATENTS = 4
TIMES = (1.0, 2.0)
POSITIONS = (-1, None)
ENOUGH = 0.9
_CANDIDATES, _NEAREST = 10, 60
HALF, ALPHA = 0.5, 0.05


@dataclass(frozen=True)
class Handle:
    """An edit of one latent or a few.

    Attributes:
        latents: held together.
        times: of their 99th percentile; 0 ablates.
        pos: the token; None: all.
    """

    latents: tuple[int, ...]
    times: float
    pos: int | None

    @property
    def side(self) -> int:
        """Prompts that are edited: clean ones lose, corrupt ones gain."""
        return CORRUPT if self.times else CLEAN

    @property
    def sign(self) -> int:
        """Predicted sign of the answer's change."""
        return 1 if self.times else -1


@dataclass(frozen=True)
class HeldOut:
    """What a handle does to prompts that had no part in choosing it.

    Attributes:
        handle: the edit.
        gap_frac: predicted change, as a share of the gap between clean and corrupt answers.
        low, high: 95 % interval, whole templates drawn again (pairs where there is one template).
        flipped: share of the prompts whose answer changes sides, of those that were right.
        control_mean, control_high: mean and largest of the sets matched by activity.
        p: share of these sets, the found one counted among them, that do at least as much.
        n_pairs, n_templates: of the prompts.
    """

    handle: Handle
    gap_frac: float
    low: float
    high: float
    flipped: float
    control_mean: float
    control_high: float
    p: float
    n_pairs: int
    n_templates: int

    @property
    def as_predicted(self) -> bool:
        """Half the gap at least, the interval above zero, and above the matched sets."""
        return self.gap_frac >= HALF and self.low > 0 and self.p <= ALPHA


def find_handle(model: Model, dictionary: Dictionary, task: Task) -> tuple[Handle, float]:
    """The edit of up to four latents that moves these prompts' answers most.

    For each strength (ablation, one and two times the 99th percentile) and place (last token, all
    tokens) the ten latents with the largest predicted change are edited exactly, one by one; the
    best one, two, three and four are edited together. Taken is the fewest latents that reach 90 %
    of the largest change, whole gap at most.

    Args:
        task: training templates.

    Returns:
        The edit, and its share of the gap on these prompts.
    """
    found: list[tuple[float, Handle]] = []
    units = units_of(dictionary)
    for pos in POSITIONS:
        held = latent_pairs(model, dictionary, task, pos)
        for times in (0.0, *TIMES):
            found += _grown(held, units, times, pos)
    most = max(min(share, 1.0) for share, _ in found)
    enough = [each for each in found if min(each[0], 1.0) >= ENOUGH * most]
    share, handle = min(enough, key=lambda each: (len(each[1].latents), -min(each[0], 1.0)))
    return handle, share


def _grown(
    held: LatentPairs, units: FeatureUnits, times: float, pos: int | None
) -> list[tuple[float, Handle]]:
    alive = np.flatnonzero(units.p99 > 0).tolist()
    some = Handle(tuple(alive), times, pos)
    change = _change(held, units, some)[some.side]
    predicted = (held.slopes(some.side)[..., alive] * change).sum(1).mean(0) * some.sign
    first = [alive[i] for i in predicted.argsort(descending=True)[:_CANDIDATES].tolist()]
    alone = _shares(held, units, [Handle((each,), times, pos) for each in first]).mean(1)
    order = [first[i] for i in np.argsort(-alone, kind="stable")]
    grown = [Handle(tuple(order[:n]), times, pos) for n in range(1, MOST_LATENTS + 1)]
    return list(zip(_shares(held, units, grown).mean(1).tolist(), grown, strict=True))


def _change(held: LatentPairs, units: FeatureUnits, handle: Handle) -> Tensor:
    values = [handle.times * float(units.p99[each]) for each in handle.latents]
    return held.clamped(handle.latents, values)


def _after(held: LatentPairs, units: FeatureUnits, handles: Sequence[Handle]) -> np.ndarray:
    """Answers on the edited side, ``[handle pair]``; all handles edit the same side."""

    def moved(draw: int) -> Tensor:
        handle = handles[draw]
        return _change(held, units, handle) @ held.directions[list(handle.latents)]

    return held.after(moved, len(handles))[:, handles[0].side].numpy()


def _shares(held: LatentPairs, units: FeatureUnits, handles: Sequence[Handle]) -> np.ndarray:
    """Predicted changes as shares of the gap, ``[handle pair]``."""
    base = held.pairs.base[handles[0].side].numpy()
    return (_after(held, units, handles) - base) * handles[0].sign / held.pairs.gap


def measure_handle(
    model: Model, dictionary: Dictionary, task: Task, handle: Handle, draws: int = 99, seed: int = 0
) -> HeldOut:
    """What a handle does to held-out prompts, beside sets of latents matched by activity.

    Each latent of a control set is one of the sixty nearest in activity to the one that it stands
    for: in the mean size of the change that the same edit makes to the same prompts.

    Args:
        task: held-out templates.
        draws: control sets.
        seed: of these sets and of the interval.
    """
    units = units_of(dictionary)
    held = latent_pairs(model, dictionary, task, handle.pos)
    sets = _matched(held, units, handle, draws, seed)
    after = _after(held, units, [handle, *sets])
    base = held.pairs.base[handle.side].numpy()
    shares = (after - base) * handle.sign / held.pairs.gap
    low, high = bootstrap_mean_interval(shares[0].tolist(), clusters=clusters_of(task), seed=seed)
    means = shares.mean(1)
    was = base * -handle.sign > 0
    flipped = ((after[0] * handle.sign > 0) & was).sum() / max(1, was.sum())
    return HeldOut(
        handle, float(means[0]), low, high, float(flipped), float(means[1:].mean()),
        float(means[1:].max()), float((1 + (means[1:] >= means[0]).sum()) / (1 + len(sets))),
        len(task), len(set(task.templates)),
    )  # fmt: skip


def _matched(
    held: LatentPairs, units: FeatureUnits, handle: Handle, draws: int, seed: int
) -> list[Handle]:
    """Different sets of other latents whose change is about as large."""
    alive = np.flatnonzero(units.p99 > 0)
    every = Handle(tuple(alive.tolist()), handle.times, handle.pos)
    moves = _change(held, units, every)[handle.side].abs().mean((0, 1))
    sizes = (moves * held.directions[torch.from_numpy(alive)].norm(dim=1)).numpy()
    known = {each: size for each, size in zip(alive.tolist(), sizes, strict=True) if size > 0}
    pools = [_nearest(known, each, handle.latents) for each in handle.latents]
    rng, found = np.random.default_rng(seed), dict[tuple[int, ...], None]()
    for _ in range(20 * draws):
        drawn = tuple(sorted({int(rng.choice(pool)) for pool in pools}))
        if len(drawn) == len(handle.latents):
            found[drawn] = None
        if len(found) == draws:
            break
    return [Handle(each, handle.times, handle.pos) for each in found]


def _nearest(sizes: dict[int, float], own: int, spared: Sequence[int]) -> list[int]:
    others = [each for each in sizes if each not in spared]
    return sorted(others, key=lambda each: abs(sizes[each] - sizes.get(own, 0.0)))[:_NEAREST]
