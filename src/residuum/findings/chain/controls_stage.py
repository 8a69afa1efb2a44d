"""Stage: what do the same measurements say where there should be nothing?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from residuum.core import SILENT, Progress, ResiduumError, track
from residuum.findings.chain.attending import attending
from residuum.findings.chain.behaviour_stage import behaviour, choices, relabelled
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.lever import Lever
from residuum.findings.chain.null_models import null_model
from residuum.findings.chain.pushing import pushed
from residuum.findings.chain.replacement import share_of
from residuum.findings.record.budget import Budget
from residuum.findings.record.controls_evidence import (
    ControlsEvidence,
    LabelControl,
    WeightControl,
    Weights,
)
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.rules import ENOUGH, behaviour_rules, present

MOST_TESTED = 12
"""Heads that attend strikingly, tested at most."""
MOST_MODELS = 6
"""Models without a mechanism, at most."""
LARGEST = 2_000_000_000
"""Parameters up to which copies without a mechanism are made: each takes the model's memory."""
SHUFFLES = 200
"""Random labellings of each of them."""


def controls(
    bench: Bench, lever: Lever, spend: Budget, progress: Progress = SILENT
) -> ControlsEvidence:
    """Put the mechanism where nothing should be found: other weights, labels, pushes, heads.

    Args:
        bench: the measuring half.
        lever: what the claim names. Random pushes and heads that attend strikingly are asked of
            named parts alone.
        spend: what may be spent. At ``quick`` some 110 forward passes and three small loads.
        progress: told of models, draws and heads.
    """
    models, left_out = _models(bench, lever, spend, progress)
    labels = labels_at_random(bench, lever, spend.shuffles)
    if labels is None:
        left_out += ("labels at random: every prompt has the same answers",)
    if lever.kind != "components":
        left_out += ("random pushes, heads that attend strikingly: asked of named parts alone",)
        return ControlsEvidence(models, labels, None, (), 0, left_out, lever.kind)
    parts = lever.parts
    heads, more = attending(bench, parts, MOST_TESTED, progress)
    return ControlsEvidence(
        weights=models,
        labels=labels,
        pushes=pushed(bench, parts, spend.random_sets // 2, progress),
        attending=heads,
        more_attending=more,
        left_out=left_out,
    )


# -- models without a mechanism ----------------------------------------------------------------


def _models(
    bench: Bench, lever: Lever, spend: Budget, progress: Progress
) -> tuple[tuple[WeightControl, ...], tuple[str, ...]]:
    """Two permuted models for each fresh one, each with the measuring half's pairs."""
    size = sum(weight.numel() for weight in bench.model.hf.parameters())
    if size > LARGEST:
        return (), (f"models without a mechanism: copies of {size:,} weights are too large",)
    count = min(max(3, spend.random_sets // 10), MOST_MODELS)
    kinds: list[Weights] = ["fresh" if i % 3 == 2 else "permuted" for i in range(count)]
    found, left_out = [], []
    asked = list(enumerate(kinds, start=bench.seed))
    for seed, kind in track(asked, progress, "models without a mechanism", count):
        try:
            null = Bench(null_model(bench.model, kind, seed), bench.task, bench.seed)
            found.append(in_null_model(bench, null, lever, kind, seed))
        except ResiduumError as error:  # not to be made, or a part that reaches no logit in it
            left_out.append(f"{kind} weights: {error.what}")
    return tuple(found), tuple(dict.fromkeys(left_out))


def in_null_model(
    bench: Bench, null: Bench, lever: Lever, kind: Weights, seed: int
) -> WeightControl:
    """The behaviour and the mechanism in another model of the same shape.

    A few pairs may lean the right way by chance, and then the mechanism carries that, for in
    a small model it is much of all there is. So "found there too" also asks that the behaviour be
    at least half as far from chance as in the intact model.
    """
    seen = behaviour(null, shuffles=SHUFFLES)
    there = present(behaviour_rules(seen, null.metric.unit))
    half = (chosen_share(bench) + seen.shuffled.value) / 2
    gain, cost = lever.moves(null)
    distance = (bench.clean - bench.corrupt).tolist()
    recovered = share_of(null, gain) if there else None
    loss = share_of(null, cost) if there else None
    return WeightControl(
        kind=kind,
        seed=seed,
        choice=seen.choice,
        shuffled=seen.shuffled,
        contrast=seen.contrast,
        present=there,
        gained=Estimate.of_ratio(gain.tolist(), distance, clusters=bench.clusters),
        recovered=recovered,
        lost=loss,
        found=recovered is not None and loss is not None and seen.choice.value >= half
        and recovered.low > ENOUGH and loss.low > ENOUGH,
    )  # fmt: skip


def chosen_share(bench: Bench) -> float:
    """Share of clean prompts that rank the answer above the wrong one, or above every token."""
    task = bench.task
    return float(np.mean(choices(bench, bench.logits("clean"), task.answers, task.wrong)))


# -- labels at random --------------------------------------------------------------------------


def labels_at_random(bench: Bench, lever: Lever, shuffles: int) -> LabelControl | None:
    """What the mechanism restores for the right labels, and for random ones.

    None where shuffling changes nothing.
    """
    before, after = lever.logits(bench)
    own = bench.measure(after) - bench.measure(before)
    task, rng = bench.task, np.random.default_rng(bench.seed)
    gains = []
    for _ in range(shuffles):
        order = torch.as_tensor(rng.permutation(len(task)))
        coin = torch.as_tensor(rng.integers(0, 2, len(task))).bool()
        right, wrong = relabelled(
            task.answers, task.wrong, order, coin if bench.has_wrong else None
        )
        other = Bench(bench.model, replace(task, answers=right, wrong=wrong), bench.seed)
        gains.append(float((other.measure(after) - other.measure(before)).mean()))
    if np.ptp(gains) == 0:
        return None
    low, high = np.quantile(gains, [0.025, 0.975])
    return LabelControl(
        own=Estimate.of_mean(own.tolist(), clusters=bench.clusters),
        mean=float(np.mean(gains)),
        low=float(low),
        high=float(high),
        p=(1 + sum(each >= float(own.mean()) for each in gains)) / (1 + shuffles),
        shuffles=shuffles,
    )
