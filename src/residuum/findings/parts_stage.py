"""Stage 4: the chosen heads one by one and together, against random heads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from residuum.core import SILENT, Edit, Patch, Progress, Zero
from residuum.findings.bench import Bench
from residuum.findings.evidence import (
    Estimate,
    HeadEvidence,
    PartsEvidence,
    Picture,
    SetEvidence,
)
from residuum.runs import Run


def parts(
    bench: Bench, chosen: Sequence[str], random_sets: int, progress: Progress = SILENT
) -> PartsEvidence:
    """Patch, swap and silence the chosen heads; then as many random ones, again and again.

    Args:
        bench: the measuring half.
        chosen: addresses of heads, ``L2.z[H3]``.
        random_sets: how many random sets of as many other heads.
        progress: told of every forward pass.
    """
    return _Surgeon(bench, progress).operate(tuple(chosen), random_sets)


class _Surgeon:
    """Holds the two captured runs that every patch is taken from."""

    def __init__(self, bench: Bench, progress: Progress) -> None:
        self.bench = bench
        self.progress = progress
        self.clean_run: Run = bench.run("clean", capture=["z", "pattern"])
        self.corrupt_run: Run = bench.run("corrupt", capture=["z"])

    def operate(self, chosen: tuple[str, ...], random_sets: int) -> PartsEvidence:
        sets = random_heads(all_heads(self.bench), chosen, random_sets, self.bench.seed)
        self.progress.start("heads and controls", 3 * (len(chosen) + 1 + len(sets)) + 1)
        try:
            heads = tuple(self.head(at) for at in chosen)
            together = self.together(chosen, sets)
        finally:
            self.progress.finish()
        return PartsEvidence(heads, together, tuple(self.picture(at) for at in chosen))

    def head(self, at: str) -> HeadEvidence:
        patch, swap, zero = self.three((at,))
        return HeadEvidence(
            at=at,
            patch=Estimate.of_mean(patch.tolist()),
            recovered=self.share(patch),
            swap_drop=Estimate.of_mean(swap.tolist()),
            zero_drop=Estimate.of_mean(zero.tolist()),
            patch_values=tuple(patch.tolist()),
        )

    def together(self, chosen: tuple[str, ...], sets: list[tuple[str, ...]]) -> SetEvidence:
        recovered, swap, zero = (self.share(values) for values in self.three(chosen))
        random = [[self.share(values).value for values in self.three(each)] for each in sets]
        return SetEvidence(
            recovered=recovered,
            swap_drop=swap,
            zero_drop=zero,
            random_recovered=tuple(row[0] for row in random),
            random_swap_drop=tuple(row[1] for row in random),
            random_zero_drop=tuple(row[2] for row in random),
            all_heads_recovered=self.share(self.patched(all_heads(self.bench))),
        )

    def three(self, heads: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Effects of patching, swapping and silencing these heads, each ``[example]``."""
        swaps = [Patch(at, self.corrupt_run) for at in heads]
        return (
            self.patched(heads),
            self.drop(swaps),
            self.drop([Zero(at) for at in heads]),
        )

    def patched(self, heads: tuple[str, ...]) -> np.ndarray:
        """What the corrupt run gains when these heads take their clean values."""
        values = self.bench.values("corrupt", [Patch(at, self.clean_run) for at in heads])
        self.progress.advance()
        return values - self.bench.corrupt

    def drop(self, edits: Sequence[Edit]) -> np.ndarray:
        """What the clean run loses under these edits."""
        values = self.bench.values("clean", edits)
        self.progress.advance()
        return self.bench.clean - values

    def share(self, values: np.ndarray) -> Estimate:
        """Values as a share of the distance from corrupt to clean."""
        return Estimate.of_ratio(values.tolist(), (self.bench.clean - self.bench.corrupt).tolist())

    def picture(self, at: str, example: int = 0) -> Picture:
        """The head's attention on an example prompt, padding cut off."""
        layer, head = _numbers(at)
        size = int(self.bench.task.lengths[example])
        pattern = self.clean_run["pattern", layer][example, head, :size, :size]
        weights = tuple(tuple(round(float(w), 4) for w in row) for row in pattern)
        return Picture(at, self.bench.prompt("clean", example), weights)


def all_heads(bench: Bench) -> tuple[str, ...]:
    """Addresses of every head of the model."""
    layers, heads = bench.model.n_layers, bench.model.n_heads
    return tuple(f"L{layer}.z[H{head}]" for layer in range(layers) for head in range(heads))


def random_heads(
    everyone: Sequence[str], chosen: Sequence[str], count: int, seed: int
) -> list[tuple[str, ...]]:
    """Random sets of heads, as many as were chosen, none of them chosen; all different sets.

    Fewer than ``count`` where fewer are possible.
    """
    others = [at for at in everyone if at not in chosen]
    if len(others) < len(chosen):
        return []
    rng = np.random.default_rng(seed)
    found: dict[tuple[str, ...], None] = {}
    for _ in range(20 * count):
        if len(found) == count:
            break
        drawn = rng.choice(len(others), size=len(chosen), replace=False)
        found[tuple(others[index] for index in sorted(drawn))] = None
    return list(found)


def _numbers(at: str) -> tuple[int, int]:
    layer, head = at.removesuffix("]").split(".z[H")
    return int(layer.removeprefix("L")), int(head)
