"""Which parts are named: chosen on the choosing half alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from residuum.core import SILENT, Patch, Progress
from residuum.findings.chain.bench import Bench
from residuum.findings.record.budget import Budget
from residuum.patching import Sweep
from residuum.runs import Run

SMALLEST_SHARE = 0.05
"""A head is named if it alone recovers at least this share of the distance."""
SUFFICIENT = 0.7
"""Heads that together carry this share of the distance, both ways, need no MLP beside them."""
SMALLEST_GAIN = 0.1
"""An MLP is named if it adds at least this share to what is recovered, and to what is lost."""

Chosen = list[tuple[str, float]]
"""Addresses with the share that each recovers alone, as chosen."""


def choose_parts(
    choose: Bench, heads: Sweep, mlps: Sweep | None, spend: Budget, progress: Progress = SILENT
) -> Chosen:
    """Heads that move the answer most, and MLPs that add to what these do.

    Heads: those that alone recover :data:`SMALLEST_SHARE`, largest first. MLPs, one at a time,
    while the named parts carry less than :data:`SUFFICIENT`: the one that adds most to what these
    recover, and to what is lost without them, if that is :data:`SMALLEST_GAIN` at least both ways.
    (An MLP that stands before or after all of the named heads carries what they carry, and adds
    nothing to the claim.) If nothing is named so, the strongest part alone.

    Args:
        choose: the choosing half.
        heads: the sweep over ``z`` by layer and head, on that half.
        mlps: the sweep over ``mlp_out`` by layer; None for a model without MLPs.
        spend: how many of each at most.
        progress: told of the passes with MLPs.
    """
    found = choose_heads(heads, spend.max_heads)
    alone = {} if mlps is None else _shares(mlps)
    if not alone:
        return found or [_strongest(heads, alone)]
    joint = _Joint(choose, [*(at for at, _ in found), *alone], progress)
    named = [at for at, _ in found]
    for at in joint.added(named, list(alone), min(spend.max_mlps, len(alone) // 2)):
        found.append((at, alone[at]))
    return found or [_strongest(heads, alone)]


def choose_heads(sweep: Sweep, max_heads: int) -> Chosen:
    """Heads that move the answer towards clean most, with the share that each recovers.

    Those above :data:`SMALLEST_SHARE`, at most ``max_heads``, largest first.
    """
    shares = np.nan_to_num(sweep.recovered_frac.values)
    order = np.argsort(-shares.ravel(), kind="stable")[:max_heads]
    cells = [np.unravel_index(flat, shares.shape) for flat in order]
    return [
        (f"L{layer}.z[H{head}]", float(shares[layer, head]))
        for layer, head in cells
        if shares[layer, head] >= SMALLEST_SHARE
    ]


def _shares(sweep: Sweep) -> dict[str, float]:
    values = np.nan_to_num(sweep.recovered_frac.values)
    layers = sweep.effects.coords["layer"].values
    return {f"L{layer}.mlp_out": float(v) for layer, v in zip(layers, values, strict=True)}


def _strongest(heads: Sweep, mlps: dict[str, float]) -> tuple[str, float]:
    shares = np.nan_to_num(heads.recovered_frac.values)
    layer, head = np.unravel_index(int(shares.argmax()), shares.shape)
    every = {f"L{layer}.z[H{head}]": float(shares[layer, head]), **mlps}
    return max(every.items(), key=lambda item: item[1])


class _Joint:
    """Parts patched together in both directions, as shares of the distance."""

    def __init__(self, bench: Bench, parts: Sequence[str], progress: Progress) -> None:
        self.bench, self.progress = bench, progress
        sites = sorted({at.split("[")[0] for at in parts})
        self.clean = bench.run("clean", capture=sites)
        self.corrupt = bench.run("corrupt", capture=sites)

    def added(self, named: Sequence[str], candidates: list[str], most: int) -> list[str]:
        """Candidates that add enough, the best first, each beside all named before it."""
        found: list[str] = []
        base = self.both(named)
        if min(base) >= SUFFICIENT:
            return found
        self.progress.start("choosing MLPs", most * len(candidates))
        for _ in range(most):
            if min(base) >= SUFFICIENT:
                break
            left = [at for at in candidates if at not in found]
            together = {at: self.both([*named, *found, at]) for at in left}
            gains = {at: min(new[i] - base[i] for i in (0, 1)) for at, new in together.items()}
            best = max(left, key=lambda at: gains[at])
            self.progress.advance(len(candidates))
            if not gains[best] >= SMALLEST_GAIN:
                break
            found.append(best)
            base = together[best]
        self.progress.finish()
        return found

    def both(self, parts: Sequence[str]) -> tuple[float, float]:
        """What is recovered with the clean values of these parts, and lost with corrupt ones."""
        bench, distance = self.bench, self.bench.distance
        if not parts or not distance:
            return 0.0, 0.0
        gained = bench.values("corrupt", _patches(parts, self.clean)) - bench.corrupt
        lost = bench.clean - bench.values("clean", _patches(parts, self.corrupt))
        return float(gained.mean()) / distance, float(lost.mean()) / distance


def _patches(parts: Sequence[str], donor: Run) -> list[Patch]:
    return [Patch(at, donor) for at in parts]
