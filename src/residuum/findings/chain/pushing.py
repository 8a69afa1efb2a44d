"""The control of random directions: parts moved as far as they are apart, but elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from residuum.core import SILENT, Patch, Progress, track
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.replacement import from_run, gained, lost, share_of, sites_of
from residuum.findings.record.controls_evidence import PushControl


def pushed(
    bench: Bench, parts: Sequence[str], draws: int, progress: Progress = SILENT
) -> PushControl | None:
    """The parts moved as far as the other side's values lie, in random directions.

    None where the parts have the same values on both sides.
    """
    sites = sites_of(parts)
    clean, corrupt = bench.run("clean", capture=sites), bench.run("corrupt", capture=sites)
    if all(torch.equal(clean[at], corrupt[at]) for at in parts):
        return None
    random = np.random.default_rng(bench.seed)
    recovered, drops = [], []
    for _ in track(range(draws), progress, "random directions", draws):
        seed = int(random.integers(2**31))
        into, out = (_moved(run, other, parts, seed) for run, other in
                     ((corrupt, clean), (clean, corrupt)))  # fmt: skip
        recovered.append(share_of(bench, gained(bench, into)).value)
        drops.append(share_of(bench, lost(bench, out)).value)
    return PushControl(
        recovered=share_of(bench, gained(bench, from_run(parts, clean))),
        lost=share_of(bench, lost(bench, from_run(parts, corrupt))),
        random_recovered=tuple(recovered),
        random_lost=tuple(drops),
    )


def _moved(run: object, other: object, parts: Sequence[str], seed: int) -> list[Patch]:
    """Each part's values in a run, moved along one random direction as far as in the other run."""
    generator = torch.Generator().manual_seed(seed)
    edits = []
    for at in parts:
        here, there = run[at], other[at]  # type: ignore[index]
        unit = torch.randn(here.shape[-1], generator=generator, dtype=torch.float64)
        unit = (unit / unit.norm()).to(here)
        edits.append(Patch(at, here + (there - here).norm(dim=-1, keepdim=True) * unit))
    return edits
