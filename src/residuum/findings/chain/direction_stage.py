"""Whether one direction of the stream carries the behaviour: difference of means, and its proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from residuum.core import SILENT, Address, Progress, ResiduumError, TaskError, track
from residuum.directions import Examples, Proof, direction, oriented, prove
from residuum.directions.causal_effects import FEWEST, as_given
from residuum.directions.causal_test import CausalTest
from residuum.directions.interventions import effects, read_pairs
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.joining import unshared
from residuum.findings.record.budget import Budget
from residuum.findings.record.direction_evidence import (
    DirectionEvidence,
    DirectionSite,
    DirectionTest,
)
from residuum.findings.record.evidence import Estimate
from residuum.runs import Task

FEWEST_PAIRS = 8
"""Pairs of the choosing half, apart from all of the measuring half, that a direction takes."""
_LEAST_DRAWS = 50


def stream_direction(
    choose: Bench, bench: Bench, spend: Budget, progress: Progress = SILENT
) -> DirectionEvidence:
    """Take the difference of means where it does most on the choosing half; prove it on the other.

    Places are the stream after every layer but the last (behind which stand only the logits),
    edited at the last token or at every token. Pairs are turned, where their answers allow it, so
    that clean means one class. Of the choosing half's pairs that share no prompt with the measuring
    half, every other one finds a direction at each place and the rest say what swapping and adding
    it does; where the smaller of the two is largest, the direction of all of them is taken. On the
    measuring half it is added, erased and swapped, beside random directions of the same norm.

    Args:
        choose: the choosing half.
        bench: the measuring half.
        spend: random directions: as many as random sets, but 50 at least.
        progress: told of the places and of the proof.

    Cost: two passes over the choosing half a layer and four a place; then four edits of each random
    direction over the measuring half, from the place on.

    Shows: whether the answers follow one direction more than directions like it. Does not show:
    that the model computes it as one direction, or other places in the sentence.
    """
    (given, proven), turned = one_class(choose.task, bench.task)
    apart = unshared(given, proven)
    if len(apart) < FEWEST_PAIRS:
        return none_found(
            f"only {len(apart)} of {len(given)} pairs share no prompt with the measuring half"
        )
    pairs = given.subset(apart)
    try:
        sites = tried(choose, pairs, progress)
        best = max(sites, key=lambda site: site.strength)
        found = direction(
            choose.model, Examples.from_task(pairs), at=best.at, prove=False, seed=choose.seed
        )
        draws = max(_LEAST_DRAWS, FEWEST, spend.random_sets)
        proof = prove(
            found, bench.model, proven, n_random=draws, seed=bench.seed, progress=progress
        )
    except ResiduumError as error:
        return none_found(error.what)
    aside = len(given) - len(pairs)
    return replace(_evidence(proof, sites, best.at, len(pairs)), left_aside=aside, turned=turned)


def none_found(*left_out: str) -> DirectionEvidence:
    """The evidence where nothing could be tested, and why."""
    nan = float("nan")
    unknown = Estimate(nan, nan, nan, 0)
    return DirectionEvidence(
        "", (), 0, 0, 0, (), unknown, nan, nan, None, None, 0, 0, nan, "", left_out
    )  # fmt: skip


def one_class(choose: Task, bench: Task) -> tuple[tuple[Task, Task], int]:
    """Both halves turned so that every clean prompt has answers of one set, where there are two.

    Returns:
        The halves, as they are where the answers do not fall into two sets; and how many pairs
        were turned.
    """
    try:
        turned = oriented(choose), oriented(bench)
    except TaskError:
        return (choose, bench), 0
    first, other = ({*half.answers[:, 0].tolist()} for half in turned)
    wrong = {*turned[1].wrong[:, 0].tolist()}
    if first & wrong or not first & other:
        return (choose, bench), 0
    both = zip((choose, bench), turned, strict=True)
    return turned, sum(int((a.clean != b.clean).any(dim=1).sum()) for a, b in both)


def places(n_layers: int) -> list[str]:
    """The stream after every layer but the last; of a model with one layer, after that."""
    return [f"L{layer}.resid_post" for layer in range(max(1, n_layers - 1))]


def tried(choose: Bench, pairs: Task, progress: Progress = SILENT) -> tuple[DirectionSite, ...]:
    """What the direction of every other pair does on the rest, place by place."""
    halves = pairs[0::2], pairs[1::2]
    sites = places(choose.model.n_layers)
    found: list[DirectionSite] = []
    for at in track(sites, progress, "trying directions", len(sites)):
        one = direction(
            choose.model, Examples.from_task(halves[0]), at=at, prove=False, seed=choose.seed
        )
        for address in (replace(one.at, pos=-1), one.at):
            found.append(_site(choose, address, one.vector, halves[1]))
    return tuple(found)


def _site(choose: Bench, at: Address, vector: object, task: Task) -> DirectionSite:
    pairs = read_pairs(choose.model, at, task)
    if not pairs.gap > 0:
        raise TaskError(
            "the choosing half's answers do not differ between clean and corrupt prompts",
            mend="use pairs that the model tells apart",
        )
    given = as_given(pairs, vector)  # type: ignore[arg-type]
    swapped, added = (
        float(effects(choose.model, pairs, kind, [given.basis], [given.shift]).mean()) / pairs.gap
        for kind in ("swap", "add")
    )
    return DirectionSite(str(at), swapped, added)


def _evidence(
    proof: Proof, sites: Sequence[DirectionSite], at: str, n_fit: int
) -> DirectionEvidence:
    read = proof.decodability
    verdict = proof.verdict
    return DirectionEvidence(
        at=at,
        sites=tuple(sites),
        n_fit=n_fit,
        left_aside=0,
        turned=0,
        tests=tuple(_test(each, proof) for each in proof.tests),
        accuracy=Estimate(read.accuracy, *read.interval, 2 * proof.n_pairs),
        majority=read.majority,
        control=read.control_high,
        readable=verdict["decodable"],
        causal=verdict["causal"],
        n_random=proof.n_random,
        n_templates=proof.n_templates,
        strength=proof.strength_typical,
        split=proof.split,
        left_out=(),
    )


def _test(test: CausalTest, proof: Proof) -> DirectionTest:
    gap = proof.clean - proof.corrupt
    low, high = (end / gap for end in test.interval)
    return DirectionTest(
        kind=test.kind,
        closed=Estimate(test.recovered_frac, low, high, proof.n_pairs),
        p=test.p_adjusted,
        random_mean=test.random_mean / gap,
        random_high=test.random_high / gap,
        isotropic_high=test.isotropic_high / gap,
        decides=test.decides,
    )
