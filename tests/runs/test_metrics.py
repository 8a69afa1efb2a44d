"""Metrics against hand-computed numbers and laws; intervals against known values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from residuum.core import OptionError, ShapeError, TaskError
from residuum.runs.intervals import bootstrap_mean_interval, wilson_interval
from residuum.runs.metrics import (
    METRICS,
    accuracy,
    kl_bits,
    logit_diff,
    loss_nats,
    metric_named,
    prob,
    prob_diff,
)

D_VOCAB = 7


@dataclass(frozen=True)
class Labels:
    answers: Tensor
    wrong: Tensor


def some_logits(seed: int, batch: int = 3, scale: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, D_VOCAB, generator=generator, dtype=torch.float64) * scale


LABELS = Labels(
    torch.tensor([[0, -1], [1, 2], [6, -1]]), torch.tensor([[3, 4, 5], [0, -1, -1], [1, 2, -1]])
)
seeds = st.integers(0, 2**31)


def test_values_by_hand() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, 4.0]], dtype=torch.float64)
    answers, wrong = torch.tensor([[2, 3]]), torch.tensor([[0, -1]])
    weights = [math.exp(x) for x in (0, 1, 2, 4)]
    total = sum(weights)
    assert logit_diff(logits, answers, wrong).item() == pytest.approx(3.0)
    assert prob(logits, answers).item() == pytest.approx((weights[2] + weights[3]) / total)
    assert prob_diff(logits, answers, wrong).item() == pytest.approx(
        (weights[2] + weights[3] - weights[0]) / total
    )
    assert accuracy(logits, answers).item() == 1.0
    assert accuracy(logits, wrong).item() == 0.0
    assert loss_nats(logits, answers).item() == pytest.approx(
        -math.log((weights[2] + weights[3]) / total)
    )
    half = torch.tensor([[0.0, 0.0]], dtype=torch.float64)
    quarter = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    expected = 0.5 * math.log2(0.5 / 0.25) + 0.5 * math.log2(0.5 / 0.75)
    assert kl_bits(quarter, half).item() == pytest.approx(expected)


def test_loss_of_one_answer_is_cross_entropy() -> None:
    logits, answers = some_logits(0), torch.tensor([2, 5, 0])
    expected = torch.nn.functional.cross_entropy(logits, answers, reduction="none")
    torch.testing.assert_close(loss_nats(logits, answers[:, None]), expected)


@given(seeds)
def test_signs_flip_when_answers_and_wrong_are_swapped(seed: int) -> None:
    logits, swapped = some_logits(seed), Labels(LABELS.wrong, LABELS.answers)
    for name in ("logit_diff", "prob_diff"):
        here, there = METRICS[name](logits, LABELS), METRICS[name](logits, swapped)
        torch.testing.assert_close(here, -there)
        assert here.abs().max() > 0


@given(seeds, seeds, st.floats(0.01, 40))
def test_kl_is_never_negative_and_zero_on_itself(one: int, two: int, scale: float) -> None:
    a, b = some_logits(one, scale=scale), some_logits(two, scale=scale)
    assert (kl_bits(a, b) >= 0).all()
    assert (kl_bits(a, a) == 0).all()
    assert (kl_bits(a, a + 5.0) < 1e-9).all()
    if one != two:
        assert (kl_bits(a, b) > 0).any()


def test_kl_with_a_token_ruled_out_is_finite() -> None:
    reference = torch.tensor([[0.0, float("-inf"), 1.0]])
    assert torch.isfinite(kl_bits(torch.zeros(1, 3), reference)).all()


@given(seeds, st.floats(-5, 5))
def test_a_constant_added_to_the_logits_changes_nothing(seed: int, constant: float) -> None:
    logits = some_logits(seed)
    for metric in METRICS.values():
        before = metric(logits, LABELS, reference=some_logits(1))
        after = metric(logits + constant, LABELS, reference=some_logits(1))
        torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)


@settings(max_examples=20)
@given(seeds)
def test_probabilities_stay_in_range_and_agree_with_the_loss(seed: int) -> None:
    logits = some_logits(seed)
    mass = prob(logits, LABELS.answers)
    assert ((mass >= 0) & (mass <= 1 + 1e-12)).all()
    torch.testing.assert_close(loss_nats(logits, LABELS.answers), -mass.log())


@pytest.mark.parametrize("name", [name for name, m in METRICS.items() if m.differentiable])
def test_gradients_are_right(name: str) -> None:
    logits = some_logits(3).requires_grad_()
    reference = some_logits(4)
    assert torch.autograd.gradcheck(lambda x: METRICS[name](x, LABELS, reference=reference), logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", METRICS)
def test_one_value_per_example_in_the_logits_dtype(name: str, dtype: torch.dtype) -> None:
    logits = some_logits(5).to(dtype)
    values = METRICS[name](logits, LABELS, reference=some_logits(6).to(dtype))
    assert values.shape == (3,) and values.dtype == dtype


@pytest.mark.parametrize("rows", [[2, 0], torch.tensor([2, 0]), slice(1, 3)])
def test_rows_choose_the_examples(rows) -> None:
    logits = some_logits(7)
    index = list(range(3))[rows] if isinstance(rows, slice) else [int(r) for r in rows]
    for metric in METRICS.values():
        full = metric(logits, LABELS, reference=some_logits(8))
        part = metric(logits[index], LABELS, rows=rows, reference=some_logits(8)[index])
        torch.testing.assert_close(part, full[index])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(OptionError, match=r"no metric 'logitdiff'") as caught:
        metric_named("logitdiff")
    assert "one of: logit_diff, prob, prob_diff, kl_bits, accuracy, loss_nats" in str(caught.value)
    with pytest.raises(ShapeError, match="for 3 examples"):
        METRICS["prob"](some_logits(0, batch=2), LABELS)
    with pytest.raises(ShapeError, match="for 3 examples"):
        METRICS["prob"](some_logits(0)[:, None].expand(3, 2, D_VOCAB), LABELS)
    with pytest.raises(ShapeError, match="outside a vocabulary of 5"):
        METRICS["prob"](some_logits(0)[:, :5], LABELS)
    with pytest.raises(TaskError, match="compares with a reference run"):
        METRICS["kl_bits"](some_logits(0), LABELS)
    with pytest.raises(ShapeError, match="reference of shape"):
        METRICS["kl_bits"](some_logits(0), LABELS, reference=some_logits(0, batch=2))
    bare = Labels(LABELS.answers, torch.full((3, 1), -1))
    with pytest.raises(TaskError, match="compares with wrong answers"):
        METRICS["logit_diff"](some_logits(0), bare)
    assert METRICS["prob"](some_logits(0), bare).shape == (3,)


def test_wilson_interval_has_the_published_values() -> None:
    # Newcombe, Stat. Med. 17 (1998), table I, method 3
    for successes, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)
    assert all(math.isnan(end) for end in wilson_interval(0, 0))


@given(st.integers(1, 500), st.data())
def test_wilson_interval_laws(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    low, high = wilson_interval(k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert wilson_interval(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)
    wide = wilson_interval(k, n, level=0.99)
    assert wide[0] <= low and high <= wide[1]


def test_bootstrap_interval_of_many_values_is_the_normal_one() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(400, generator=generator, dtype=torch.float64)
    low, high = bootstrap_mean_interval(values.tolist(), resamples=8000)
    half = 1.96 * values.std().item() / 20
    assert low == pytest.approx(values.mean().item() - half, abs=0.01)
    assert high == pytest.approx(values.mean().item() + half, abs=0.01)


def test_bootstrap_interval_of_two_values_is_their_range() -> None:
    assert bootstrap_mean_interval([0.0, 1.0]) == (0.0, 1.0)
    assert bootstrap_mean_interval([2.0] * 9) == (2.0, 2.0)


def test_bootstrap_interval_is_seeded_and_nan_where_it_says_nothing() -> None:
    values = [0.1, 0.5, 0.9, 2.0, -1.0]
    assert bootstrap_mean_interval(values, seed=3) == bootstrap_mean_interval(values, seed=3)
    assert bootstrap_mean_interval(values, seed=3) != bootstrap_mean_interval(values, seed=4)
    for empty in ([], [1.0], [1.0, float("nan")]):
        assert all(math.isnan(end) for end in bootstrap_mean_interval(empty))


def test_bootstrap_over_clusters_is_wider_when_clusters_agree_within() -> None:
    values = [0.0] * 10 + [1.0] * 10 + [0.0] * 10 + [1.0] * 10
    labels = [name for name in "abcd" for _ in range(10)]
    alone = bootstrap_mean_interval(values)
    together = bootstrap_mean_interval(values, clusters=labels)
    assert together == (0.0, 1.0)
    assert alone[0] > 0.3 and alone[1] < 0.7
    assert all(math.isnan(end) for end in bootstrap_mean_interval(values, clusters=["a"] * 40))


def test_impossible_intervals_are_refused() -> None:
    with pytest.raises(OptionError, match="3 successes of 2"):
        wilson_interval(3, 2)
    with pytest.raises(OptionError, match="level=95"):
        bootstrap_mean_interval([1.0, 2.0], level=95)
    with pytest.raises(OptionError, match="0 resamples"):
        bootstrap_mean_interval([1.0, 2.0], resamples=0)
    with pytest.raises(OptionError, match="1 labels"):
        bootstrap_mean_interval([1.0, 2.0], clusters=["a"])


def test_shapes_in_annotations_are_checked_here() -> None:
    with pytest.raises(Exception, match="batch"):
        logit_diff(some_logits(0), LABELS.answers[:2], LABELS.wrong)
