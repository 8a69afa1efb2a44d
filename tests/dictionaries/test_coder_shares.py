"""A batch in shares: losses and gradients of the shares add up to those of the whole batch."""

import pytest
import torch
from coder_plans import KINDS, N_LATENTS, WAYS, batch_of, filled, plan_of

from residuum.dictionaries.coding.batch_share import (
    BatchShare,
    counts_among_largest,
    row_ranges,
    whole_batch,
)
from residuum.dictionaries.coding.losses import SUMMED, added

WEIGHTS = {"penalty": 0.7, "auxiliary": 0.3}
DEAD = torch.arange(N_LATENTS) % 6 == 0


def gradients_of(coder):
    return {name: each.grad.clone() for name, each in coder.parameters().items()}


def whole(plan):
    coder = filled(plan)
    losses = coder.losses(*batch_of(plan), weights=WEIGHTS, dead=DEAD)
    losses.backward()
    return losses, gradients_of(coder), coder


def in_shares(plan, shares):
    """Twice: first each share tells its largest entries, then it learns how many are kept."""
    x, target = batch_of(plan)
    told: list[torch.Tensor] = []

    def listening(values):
        told.append(values)
        return 0

    ranges = row_ranges(len(x), shares)
    for rows in ranges:
        share = BatchShare(len(x), listening)
        filled(plan).losses(x[rows], target[rows], weights=WEIGHTS, dead=DEAD, share=share)
    counts = counts_among_largest(told, len(told[0])) if told else [0] * shares
    parts, found, coder = [], [], None
    for rows, count in zip(ranges, counts, strict=True):
        coder = filled(plan)
        share = BatchShare(len(x), lambda values, count=count: count)
        losses = coder.losses(x[rows], target[rows], weights=WEIGHTS, dead=DEAD, share=share)
        losses.backward()
        parts.append(losses)
        found.append(gradients_of(coder))
    sums = {name: torch.stack([each[name] for each in found]).sum(0) for name in found[0]}
    return added(parts), sums, coder


@pytest.mark.parametrize("shares", [2, 5])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_shares_add_up_to_the_whole_batch(kind, way, shares):
    check(plan_of(kind, way, aux_k=4), shares)


@pytest.mark.parametrize("way", WAYS)
def test_shares_of_a_matryoshka_coder_add_up(way):
    check(plan_of("sae", way, prefixes=(6, 20), aux_k=4), 3)


def check(plan, shares):
    one, wanted, coder = whole(plan)
    two, sums, other = in_shares(plan, shares)
    for name, each in wanted.items():
        assert float(each.norm()) > 0, name
        assert float((sums[name] - each).norm() / each.norm()) < 1e-12, name
    for name in SUMMED:
        torch.testing.assert_close(getattr(two, name), getattr(one, name), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(two.target_sum, one.target_sum, rtol=1e-12, atol=1e-12)
    assert (two.n, two.explained_variance) == (one.n, pytest.approx(one.explained_variance, 1e-12))
    assert torch.equal(two.fired, one.fired)
    coder.after_step()
    other.after_step(two)
    assert torch.equal(coder.silent, other.silent)
    asked = plan.activation.needs == ("b_enc", "threshold") and "log_threshold" not in wanted
    assert (two.least is not None) == (coder.threshold is not None) == asked
    if asked:
        assert two.least == pytest.approx(one.least, rel=1e-12)
        assert other.threshold == pytest.approx(coder.threshold, rel=1e-12)


def test_without_the_common_cut_shares_of_batch_topk_do_not_add_up():
    plan = plan_of("sae", "batch_topk", aux_k=4)
    x, target = batch_of(plan)
    _, wanted, _ = whole(plan)
    sums = {name: torch.zeros_like(each) for name, each in wanted.items()}
    for rows in row_ranges(len(x), 2):
        coder = filled(plan)
        n = len(x[rows])
        share = BatchShare(len(x), lambda values, n=n: len(values) * n // len(x))
        losses = coder.losses(x[rows], target[rows], weights=WEIGHTS, dead=DEAD, share=share)
        losses.backward()
        for name, each in gradients_of(coder).items():
            sums[name] += each
    off = [float((sums[name] - each).norm() / each.norm()) for name, each in wanted.items()]
    assert max(off) > 1e-3


def test_the_largest_of_all_parts_are_counted_once():
    drawn = torch.Generator().manual_seed(3)
    parts = [torch.randn(n, generator=drawn) for n in (40, 1, 25)]
    counts = counts_among_largest(parts, 20)
    least = torch.cat(parts).sort(descending=True).values[19]
    assert counts == [int((each >= least).sum()) for each in parts]
    assert sum(counts) == 20


@pytest.mark.parametrize(("n", "shares"), [(10, 3), (3, 3), (1024, 2), (7, 1)])
def test_rows_are_shared_out_evenly_and_all(n, shares):
    ranges = row_ranges(n, shares)
    lengths = [each.stop - each.start for each in ranges]
    assert [row for each in ranges for row in range(n)[each]] == list(range(n))
    assert max(lengths) - min(lengths) <= 1


def test_a_whole_batch_keeps_what_it_has():
    assert whole_batch(4).cut(torch.zeros(9)) == 9
