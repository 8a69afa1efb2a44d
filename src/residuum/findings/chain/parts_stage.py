"""Stage 4: the named parts one by one and together, against random ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from residuum.core import SILENT, Patch, Progress, track
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.pushing import pushed
from residuum.findings.chain.removing import knocked_out, removal, removed
from residuum.findings.chain.replacement import gained, lost, other_side, share_of
from residuum.findings.record.controls_evidence import PushControl
from residuum.findings.record.evidence import Estimate, WhereEvidence
from residuum.findings.record.part_evidence import (
    SWAP,
    ZERO,
    PartEvidence,
    PartsEvidence,
    RivalEvidence,
    SetEvidence,
)
from residuum.findings.record.rules import FEWEST_SETS
from residuum.patching import Knockout, SwapAblation


def parts(
    bench: Bench,
    chosen: Sequence[str],
    random_sets: int,
    places: WhereEvidence,
    progress: Progress = SILENT,
) -> PartsEvidence:
    """Patch the named parts and take them out; then as many random ones, again and again.

    Where the model has too few other parts of the kinds, the same parts are also moved as far in
    random directions.

    Args:
        bench: the measuring half.
        chosen: addresses of heads, ``L2.z[H3]``, and MLPs, ``L3.mlp_out``.
        random_sets: how many random sets of as many other parts of the same kinds.
        places: the sweeps on the measuring half: each part's p and verdict.
        progress: told of every forward pass.
    """
    patched = removed(bench, chosen, SwapAblation(), random_sets, progress, backwards=True)
    taken_out, left_out = knocked_out(bench, chosen, random_sets, progress)
    missing = random_sets - len(patched.random_sets)
    few = len(patched.random_sets) < FEWEST_SETS
    others = tuple(places.chosen[: len(chosen)])
    pushes = pushed(bench, chosen, missing, progress) if few else None
    swapped = taken_out[SWAP]
    both = zip(chosen, patched.singles, -swapped.singles, strict=True)
    whole = (patched.joint[-1], -swapped.joint[-1])
    beside = _Beside(bench, chosen, whole)
    told = track(both, progress, "parts left out one by one", len(chosen))
    return PartsEvidence(
        named=tuple(_part(beside, at, into, out, places) for at, into, out in told),
        together=_together(bench, patched, taken_out, pushes),
        removals=tuple(removal(name, out, bench) for name, out in taken_out.items()),
        left_out=left_out,
        floor=places.heads.floor,
        rival=None if set(others) <= set(chosen) else _rival(bench, others, patched, taken_out),
    )


def _rival(
    bench: Bench, others: tuple[str, ...], patched: Knockout, taken_out: dict[str, Knockout]
) -> RivalEvidence:
    """Parts that the search names, beside the stated ones, on the measuring half."""
    gains = removed(bench, others, SwapAblation(), 0, backwards=True).joint[-1]
    costs = -removed(bench, others, SwapAblation(), 0).joint[-1]
    return RivalEvidence(
        parts=others,
        recovered=share_of(bench, gains),
        lost=share_of(bench, costs),
        more_recovered=share_of(bench, gains - patched.joint[-1]),
        more_lost=share_of(bench, costs + taken_out[SWAP].joint[-1]),
    )


@dataclass(frozen=True)
class _Beside:
    """All named parts: what they recover and lose together, example by example."""

    bench: Bench
    chosen: Sequence[str]
    together: tuple[np.ndarray, np.ndarray]

    def without(self, at: str) -> tuple[np.ndarray, np.ndarray]:
        """What is recovered and lost less when this one is left out."""
        rest = [each for each in self.chosen if each != at]
        if not rest:
            return self.together
        recovers = gained(self.bench, other_side(self.bench, rest, "corrupt"))
        loses = lost(self.bench, other_side(self.bench, rest, "clean"))
        return self.together[0] - recovers, self.together[1] - loses


def _part(
    beside: _Beside, at: str, into: np.ndarray, out: np.ndarray, places: WhereEvidence
) -> PartEvidence:
    """One part from what its clean value gains and its corrupt value costs."""
    bench, (row, col, grid) = beside.bench, places.cell(at)
    recovers, loses = beside.without(at)
    return PartEvidence(
        at=at,
        patch=Estimate.of_mean(into.tolist(), clusters=bench.clusters),
        recovered=share_of(bench, into),
        lost=share_of(bench, out),
        more_recovered=share_of(bench, recovers),
        more_lost=share_of(bench, loses),
        does=_most(bench, (into, out, recovers, loses)),
        p=grid.p[row][col],
        verdict=grid.verdict[row][col],
        patch_values=tuple(into.tolist()),
    )


def _most(bench: Bench, measured: Sequence[np.ndarray]) -> Estimate:
    """The largest in size as a share, with an interval by pair; first those that are not 0."""
    distances = (bench.clean - bench.corrupt).tolist()
    shares = [Estimate.of_ratio(each.tolist(), distances) for each in measured]
    return max(shares, key=lambda each: (each.low * each.high > 0, abs(each.value)))


def _together(
    bench: Bench, patched: Knockout, taken_out: dict[str, Knockout], pushes: PushControl | None
) -> SetEvidence:
    swap, zero = taken_out[SWAP], taken_out[ZERO]
    return SetEvidence(
        recovered=share_of(bench, patched.joint[-1]),
        swap_drop=share_of(bench, -swap.joint[-1]),
        zero_drop=share_of(bench, -zero.joint[-1]),
        random_recovered=_shares(bench, patched.random_joint),
        random_swap_drop=_shares(bench, -swap.random_joint),
        random_zero_drop=_shares(bench, -zero.random_joint),
        pushed_recovered=pushes.random_recovered if pushes else (),
        pushed_swap_drop=pushes.random_lost if pushes else (),
        all_heads_recovered=share_of(bench, _all_patched(bench)),
    )


def _shares(bench: Bench, sets: np.ndarray) -> tuple[float, ...]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return tuple((sets.mean(axis=1) / bench.distance).tolist())


def _all_patched(bench: Bench) -> np.ndarray:
    """What the corrupt run gains when every head takes its clean value."""
    clean = bench.run("clean", capture=["z"])
    edits = [Patch(f"L{layer}.z", clean) for layer in range(bench.model.n_layers)]
    return bench.values("corrupt", edits) - bench.corrupt


def numbers(at: str) -> tuple[int, int]:
    """Layer and head of an address.

    >>> numbers("L2.z[H3]")
    (2, 3)
    """
    layer, head = at.removesuffix("]").split(".z[H")
    return int(layer.removeprefix("L")), int(head)
