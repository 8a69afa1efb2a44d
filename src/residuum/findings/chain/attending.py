"""Heads that attend strikingly, each put to the test: does the answer depend on it?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from residuum.core import SILENT, Progress, TaskError, track
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.looking import Look, looks
from residuum.findings.chain.replacement import (
    ablated,
    from_run,
    gained,
    lost,
    share_of,
    sites_of,
)
from residuum.findings.record.controls_evidence import AttendingHead, Use
from residuum.findings.record.evidence import Estimate
from residuum.patching import MeanAblation

IDLE = 0.05
"""Share of the distance below which a head's effect counts as none: as in choosing heads."""


def attending(
    bench: Bench, parts: Sequence[str], most: int, progress: Progress = SILENT
) -> tuple[tuple[AttendingHead, ...], int]:
    """The heads that attend strikingly, tested one by one, and how many more there are.

    Args:
        bench: the measuring half.
        parts: what the claim names.
        most: how many are tested at most, by their attention.
        progress: told of each.
    """
    found = looks(bench)
    tested = found[:most]
    if not tested:
        return (), 0
    sites = sites_of([*(look.at for look in tested), *parts])
    clean, corrupt = bench.run("clean", capture=sites), bench.run("corrupt", capture=sites)
    without = from_run(parts, corrupt)
    base = lost(bench, without)
    heads = []
    for look in track(tested, progress, "heads that attend", len(tested)):
        own = from_run([look.at], corrupt)
        beyond = None if look.at in parts else lost(bench, [*without, *own]) - base
        heads.append(
            _tested(
                bench,
                look,
                gained(bench, from_run([look.at], clean)),
                lost(bench, own),
                _averaged(bench, look.at),
                beyond,
            )
        )
    return tuple(heads), len(found) - len(tested)


def _averaged(bench: Bench, at: str) -> np.ndarray | None:
    try:
        return lost(bench, ablated(bench, [at], MeanAblation()))
    except TaskError:
        return None


def _tested(
    bench: Bench,
    look: Look,
    patched: np.ndarray,
    swapped: np.ndarray,
    averaged: np.ndarray | None,
    beyond: np.ndarray | None,
) -> AttendingHead:
    effects = [None if each is None else share_of(bench, each)
               for each in (patched, swapped, averaged, beyond)]  # fmt: skip
    recovered, swap, mean, more = effects
    assert recovered is not None and swap is not None
    return AttendingHead(
        at=look.at,
        place=look.place,
        attention=look.attention,
        recovered=recovered,
        swapped=swap,
        averaged=mean,
        beyond=more,
        use=use_of([each for each in effects if each is not None]),
    )


def use_of(effects: Sequence[Estimate]) -> Use:
    """Whether a head is used, by its effects as shares of the distance, interval and all.

    >>> none, some = Estimate(0.0, -0.01, 0.01, 8), Estimate(0.2, 0.1, 0.3, 8)
    >>> use_of([none, none]), use_of([none, some]), use_of([Estimate(0.04, -0.1, 0.2, 8)])
    ('not causal', 'causal', 'unclear')
    """
    if any(each.low >= IDLE or each.high <= -IDLE for each in effects):
        return "causal"
    if all(each.low > -IDLE and each.high < IDLE for each in effects):
        return "not causal"
    return "unclear"
