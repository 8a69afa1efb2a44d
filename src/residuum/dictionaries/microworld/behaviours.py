"""Which latents move a behaviour: found on training templates, measured once on held-out ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from residuum.dictionaries.record.dictionary import Dictionary
from residuum.dictionaries.use.calibration import FeatureUnits, units_of
from residuum.dictionaries.use.measuring import clusters_of
from residuum.dictionaries.use.pairs import CLEAN, CORRUPT, LatentPairs, latent_pairs
from residuum.runs import Model, Task, bootstrap_mean_interval

MOST_LATENTS = 4
TIMES = (0.0, 1.0, 2.0)
POSITIONS = (-1, None)
ENOUGH = 0.9
_CANDIDATES, _POOL, _NEAREST = 8, 11, 60
HALF, ALPHA = 0.5, 0.05


@dataclass(frozen=True)
class Handle:
    """An edit of one latent or a few.

    Attributes:
        latents: held together, each at
        times: its 99th percentile; 0 ablates.
        pos: the token; None: all.
        side: prompts that are edited: corrupt ones (1) are to gain the clean answer, clean ones
            (0) to lose it.
    """

    latents: tuple[int, ...]
    times: tuple[float, ...]
    pos: int | None
    side: int

    @property
    def sign(self) -> int:
        """Predicted sign of the answer's change."""
        return 1 if self.side == CORRUPT else -1

    def __str__(self) -> str:
        moves = zip(self.latents, self.times, strict=True)
        told = [f"{'ablate' if not times else f'{times:g} p99:'} F{i}" for i, times in moves]
        return f"{', '.join(told)}; {'all tokens' if self.pos is None else 'last token'}"


@dataclass(frozen=True)
class HeldOut:
    """What a handle does to prompts that had no part in choosing it.

    Attributes:
        handle: the edit.
        gap_frac: predicted change of the clean answers' probability, as a share of the gap between
            clean and corrupt prompts.
        low, high: 95 % interval, whole templates drawn again (pairs where there is one template).
        said_before, said: share of the edited prompts after which a clean answer is the most likely
            token, without the edit and with it.
        control_mean, control_high: mean and largest ``gap_frac`` of sets matched by activity.
        p: share of these sets, the found one counted among them, that do at least as much.
        n_pairs, n_templates: of the prompts.
    """

    handle: Handle
    gap_frac: float
    low: float
    high: float
    said_before: float
    said: float
    control_mean: float
    control_high: float
    p: float
    n_pairs: int
    n_templates: int

    @property
    def as_predicted(self) -> bool:
        """Half the gap; clean answers said by half (or no longer); above zero and matched sets."""
        said = self.said if self.handle.side == CORRUPT else 1 - self.said
        return self.gap_frac >= HALF and said >= HALF and self.low > 0 and self.p <= ALPHA


def find_handle(model: Model, dictionary: Dictionary, task: Task) -> tuple[Handle, float]:
    """The edit of up to four latents that moves these prompts' answers most.

    Corrupt prompts have latents ablated or held at one or two times their 99th percentile, so that
    the clean answers' probability rises; or clean prompts lose latents, so that it falls. At the
    last token and at all tokens, the eight latents with the largest predicted change for each
    strength are edited exactly; the best is joined, one at a time, by the best of ten others.
    Where corrupt prompts can be moved by half the gap, only these edits count. Taken is the fewest
    latents that reach 90 % of the largest change (the whole gap at most).

    Args:
        task: training templates.

    Returns:
        The edit, and its share of the gap on these prompts.
    """
    units, told = units_of(dictionary), replace(task, metric="prob")
    found: list[tuple[float, Handle]] = []
    for pos in POSITIONS:
        slopes = latent_pairs(model, dictionary, task, pos)
        held = latent_pairs(model, dictionary, told, pos)
        for side, times in ((CLEAN, (0.0,)), (CORRUPT, TIMES)):
            found += _grown(held, units, _singles(slopes, units, side, times, pos))
    gained = [each for each in found if each[1].side == CORRUPT]
    if max(share for share, _ in gained) >= HALF:
        found = gained
    most = max(min(share, 1.0) for share, _ in found)
    enough = [each for each in found if min(each[0], 1.0) >= ENOUGH * most]
    share, handle = min(enough, key=lambda each: (len(each[1].latents), -min(each[0], 1.0)))
    return handle, share


def _singles(
    held: LatentPairs, units: FeatureUnits, side: int, times: Sequence[float], pos: int | None
) -> list[Handle]:
    """Edits of one latent with the largest predicted change, some for each strength."""
    alive = np.flatnonzero(units.p99 > 0).tolist()
    slopes = held.slopes(side)[..., alive]
    found: list[Handle] = []
    for strength in times:
        every = Handle(tuple(alive), (strength,) * len(alive), pos, side)
        predicted = (slopes * _change(held, units, every)[side]).sum(1).mean(0) * every.sign
        first = predicted.argsort(descending=True)[:_CANDIDATES].tolist()
        found += [Handle((alive[i],), (strength,), pos, side) for i in first]
    return found


def _grown(
    held: LatentPairs, units: FeatureUnits, singles: Sequence[Handle]
) -> list[tuple[float, Handle]]:
    """The best single edit, joined by the best other one, and so on."""
    shares = _shares(held, units, singles).mean(1)
    pool = [singles[at] for at in np.argsort(-shares, kind="stable")][:_POOL]
    found = [(float(shares.max()), pool[0])]
    while len(found) < MOST_LATENTS:
        last = found[-1][1]
        wider = [_joined(last, each) for each in pool if each.latents[0] not in last.latents]
        if not wider:
            break
        shares = _shares(held, units, wider).mean(1)
        found.append((float(shares.max()), wider[int(shares.argmax())]))
    return found


def _joined(one: Handle, other: Handle) -> Handle:
    latents, times = one.latents + other.latents, one.times + other.times
    return Handle(latents, times, one.pos, one.side)


def _change(held: LatentPairs, units: FeatureUnits, handle: Handle) -> Tensor:
    moves = zip(handle.latents, handle.times, strict=True)
    values = [times * float(units.p99[each]) for each, times in moves]
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
    units, told = units_of(dictionary), replace(task, metric="prob")
    held = latent_pairs(model, dictionary, told, handle.pos)
    sets = _matched(held, units, handle, draws, seed)
    shares = _shares(held, units, [handle, *sets])
    low, high = bootstrap_mean_interval(shares[0].tolist(), clusters=clusters_of(task), seed=seed)
    means = shares.mean(1)
    right = latent_pairs(model, dictionary, replace(task, metric="accuracy"), handle.pos)
    return HeldOut(
        handle, float(means[0]), low, high, float(right.pairs.base[handle.side].mean()),
        float(_after(right, units, [handle]).mean()), float(means[1:].mean()),
        float(means[1:].max()), float((1 + (means[1:] >= means[0]).sum()) / (1 + len(sets))),
        len(task), len(set(task.templates)),
    )  # fmt: skip


def _matched(
    held: LatentPairs, units: FeatureUnits, handle: Handle, draws: int, seed: int
) -> list[Handle]:
    """Different sets of other latents whose change, by the same edit, is about as large."""
    pools = [
        _nearest(held, units, Handle((latent,), (times,), handle.pos, handle.side), handle.latents)
        for latent, times in zip(handle.latents, handle.times, strict=True)
    ]
    rng, found = np.random.default_rng(seed), dict[tuple[int, ...], None]()
    for _ in range(20 * draws):
        drawn = tuple(int(rng.choice(pool)) for pool in pools)
        if len(set(drawn)) == len(drawn):
            found[drawn] = None
        if len(found) == draws:
            break
    return [Handle(each, handle.times, handle.pos, handle.side) for each in found]


def _nearest(
    held: LatentPairs, units: FeatureUnits, handle: Handle, spared: Sequence[int]
) -> list[int]:
    """The latents that the edit would change about as far as the handle's one."""
    alive = np.flatnonzero(units.p99 > 0)
    every = Handle(tuple(alive.tolist()), handle.times * len(alive), handle.pos, handle.side)
    moves = _change(held, units, every)[handle.side].abs().mean((0, 1))
    sizes = (moves * held.directions[torch.from_numpy(alive)].norm(dim=1)).tolist()
    known = {int(latent): size for latent, size in zip(alive, sizes, strict=True) if size > 0}
    own = known.get(handle.latents[0], 0.0)
    others = [latent for latent in known if latent not in spared]
    return sorted(others, key=lambda each: abs(known[each] - own))[:_NEAREST]
