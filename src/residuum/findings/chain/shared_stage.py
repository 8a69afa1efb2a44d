"""Stage: which heads does the answer need that both prompts of a pair use alike?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from residuum.core import SILENT, Progress, TaskError
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.parts_stage import numbers
from residuum.findings.chain.replacement import share_of
from residuum.findings.record.budget import Budget
from residuum.findings.record.evidence import WhereEvidence
from residuum.findings.record.mechanism import is_head
from residuum.findings.record.shared_evidence import LEAST_LOST, SharedEvidence, SharedHead
from residuum.patching import Sweep, ablate

_TRIED = 0.5
"""Share of the least loss from which a head of the choosing half is measured on the other."""


def shared(
    choose: Bench,
    bench: Bench,
    named: Sequence[str],
    places: WhereEvidence,
    spend: Budget,
    progress: Progress = SILENT,
) -> SharedEvidence:
    """Hold every head at its mean over both sides' prompts, one at a time.

    A head that does the same on clean and corrupt prompts, such as one that looks at the token
    before, recovers nothing when patched between them; held at its mean, it is missed.

    Args:
        choose: the choosing half: heads are chosen on it.
        bench: the measuring half.
        named: what the claim names.
        places: the sweeps: what each head recovers.
        spend: heads reported at most (``max_heads``).
        progress: told of both sweeps.

    Cost: two ablation sweeps over all heads, forked.

    Shows: that the answer needs the head's own value in each prompt. Does not show: what it does
    there, or heads that others can stand in for.
    """
    try:
        first, second = (_means(each, progress) for each in (choose, bench))
    except TaskError as error:
        return SharedEvidence((), 0, (error.what,))
    heads = [at for at in named if is_head(at)]
    costs = -first.effects.values / (choose.distance or float("nan"))
    order = [np.unravel_index(int(i), costs.shape) for i in np.argsort(-costs, axis=None)]
    tried = [
        at
        for layer, head in order
        if (at := f"L{layer}.z[H{head}]") not in heads and costs[layer, head] >= _TRIED * LEAST_LOST
    ]
    found = [_measured(bench, second, places, at) for at in tried[: spend.max_heads]]
    return SharedEvidence(
        heads=tuple(sorted(found, key=lambda each: -each.lost.value)),
        tested=costs.size - len(heads),
        left_out=(),
    )


def _means(bench: Bench, progress: Progress) -> Sweep:
    return ablate(bench.model, bench.task, "z", ("layer", "head"), how="mean", progress=progress)


def _measured(bench: Bench, sweep: Sweep, places: WhereEvidence, at: str) -> SharedHead:
    layer, head = numbers(at)
    lost = share_of(bench, -sweep.per_example.values[layer, head])
    return SharedHead(
        at=at,
        lost=lost,
        recovered=places.heads.recovered[layer][head],
        p=float(sweep.statistics().p.values[layer, head]),
        needed=bool(lost.low >= LEAST_LOST),
    )
