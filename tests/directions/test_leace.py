"""LEACE against its theorem: what is gone, what is kept, and that no smaller edit does it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from residuum.core import OptionError, ShapeError
from residuum.directions.erasure_probe import LinearProbe
from residuum.directions.leace import Eraser, LeaceFitter


def data(
    n: int = 400, width: int = 6, classes: int = 2, seed: int = 0, rank: int | None = None
) -> tuple[Tensor, Tensor]:
    """Correlated vectors whose mean depends on the class; of a lower rank, if asked."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    inner = rank or width
    means = 2 * torch.randn(classes, inner, dtype=torch.float64, generator=generator)
    x = torch.randn(n, inner, dtype=torch.float64, generator=generator)
    mix = torch.randn(inner, width, dtype=torch.float64, generator=generator)
    return (x + means[labels]) @ mix + 7, labels


def fitted(x: Tensor, labels: Tensor, block: int = 10**6) -> Eraser:
    fitter = LeaceFitter(x.shape[1], int(labels.max()) + 1)
    for start in range(0, len(x), block):
        fitter.update(x[start : start + block], labels[start : start + block])
    return fitter.eraser


def cross(x: Tensor, labels: Tensor) -> Tensor:
    onehot = torch.nn.functional.one_hot(labels).double()
    return (x - x.mean(0)).T @ (onehot - onehot.mean(0)) / len(x)


def least_squares(x: Tensor, labels: Tensor) -> Tensor:
    """``A [d d]``, the smallest edit with no covariance left, by its KKT equations, row by row.

    Minimise the mean of ``|(A - I)(x - mean)|²`` under ``A Σxz = 0``; no whitening is used.
    """
    centred = x - x.mean(0)
    spread, guard = centred.T @ centred / len(x), cross(x, labels)
    zero = torch.zeros(guard.shape[1], guard.shape[1], dtype=torch.float64)
    system = torch.cat([torch.cat([2 * spread, guard], 1), torch.cat([guard.T, zero], 1)])
    right = torch.cat([torch.zeros_like(spread), guard.T])
    moved = torch.linalg.pinv(system, rtol=1e-12) @ right
    return torch.eye(x.shape[1], dtype=torch.float64) - moved[: x.shape[1]].T


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("rank", [None, 4])
def test_no_covariance_is_left_and_class_means_are_equal(classes: int, rank: int | None) -> None:
    x, labels = data(classes=classes, rank=rank)
    erased = fitted(x, labels)(x)
    assert cross(x, labels).abs().max() > 0.1
    assert cross(erased, labels).abs().max() < 1e-10
    means = torch.stack([erased[labels == each].mean(0) for each in range(classes)])
    assert (means - means[0]).abs().max() < 1e-9


@pytest.mark.parametrize(("classes", "rank"), [(2, None), (3, None), (2, 4), (4, 5)])
def test_it_is_the_smallest_edit_in_the_least_squares_sense(classes: int, rank: int | None) -> None:
    x, labels = data(classes=classes, rank=rank, seed=1)
    eraser, brute = fitted(x, labels), least_squares(x, labels)
    centred = x - x.mean(0)
    assert torch.allclose(centred @ eraser.matrix.T, centred @ brute.T, atol=1e-7)
    cost = (eraser(x) - x).square().sum(1).mean()
    generator = torch.Generator().manual_seed(3)
    away, _ = torch.linalg.qr(cross(x, labels))
    for _ in range(20):  # other maps that leave no covariance either
        step = torch.randn(*eraser.matrix.shape, dtype=torch.float64, generator=generator)
        other = eraser.matrix + 0.1 * (step - (step @ away) @ away.T)
        assert cross(centred @ other.T, labels).abs().max() < 1e-9
        assert (centred @ other.T - centred).square().sum(1).mean() > cost


def test_the_orthogonal_projection_of_the_mean_difference_costs_more() -> None:
    x, labels = data()
    step = x[labels == 1].mean(0) - x[labels == 0].mean(0)
    step = step / step.norm()
    projected = x - torch.outer((x - x.mean(0)) @ step, step)
    assert cross(projected, labels).abs().max() < 1e-9
    dearer = (projected - x).square().sum(1).mean()
    assert dearer > 1.01 * (fitted(x, labels)(x) - x).square().sum(1).mean()


def test_the_mean_stays_and_the_map_is_idempotent() -> None:
    x, labels = data(classes=3)
    eraser = fitted(x, labels)
    assert torch.allclose(eraser(x).mean(0), x.mean(0), atol=1e-10)
    assert torch.allclose(eraser(eraser(x)), eraser(x), atol=1e-9)
    assert eraser.rank == 2


def test_a_fresh_probe_finds_it_before_and_the_majority_after() -> None:
    x, labels = data(classes=2, seed=4)
    labels[:60] = 1  # unequal classes: a majority that is none of a half
    eraser = fitted(x, labels)
    majority = float(labels.double().mean().clamp_min(1 - labels.double().mean()))
    before = LinearProbe.fit(x, labels).accuracy(x, labels)
    after = LinearProbe.fit(eraser(x), labels).accuracy(eraser(x), labels)
    assert before > majority + 0.1
    assert after == pytest.approx(majority, abs=1e-12)


@pytest.mark.parametrize("block", [1, 7, 64])
def test_blocks_give_what_all_at_once_gives(block: int) -> None:
    x, labels = data(n=130, classes=3)
    once, streamed = fitted(x, labels), fitted(x, labels, block)
    assert torch.allclose(once.matrix, streamed.matrix, atol=1e-10)
    assert torch.allclose(once.bias, streamed.bias, atol=1e-9)


def test_fewer_examples_than_dimensions() -> None:
    x, labels = data(n=20, width=50)
    eraser = fitted(x, labels)
    assert cross(eraser(x), labels).abs().max() < 1e-8
    generator = torch.Generator().manual_seed(0)
    other = torch.randn(5, 50, dtype=torch.float64, generator=generator)
    assert eraser(other).norm() < 10 * other.norm()  # unseen directions are not blown up


def test_a_concept_that_is_not_there_needs_no_edit() -> None:
    x = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    both, labels = torch.cat([x, x]), torch.tensor([0] * 50 + [1] * 50)
    eraser = fitted(both, labels)
    assert eraser.rank == 0 and torch.equal(eraser(both), both)


def test_bad_input_is_refused() -> None:
    x, labels = data(n=10, width=3)
    with pytest.raises(OptionError, match="all 10 examples are of one class"):
        _ = LeaceFitter(3, 2).update(x, torch.zeros_like(labels)).eraser
    with pytest.raises(OptionError, match="all the same"):
        _ = LeaceFitter(3, 2).update(x[:1].expand(10, 3), labels).eraser
    with pytest.raises(ShapeError, match="NaN"):
        LeaceFitter(3, 2).update(x * float("nan"), labels)
    with pytest.raises(ShapeError, match=r"\[n 3\] and \[n\]"):
        LeaceFitter(3, 2).update(x[:, :2], labels)
    with pytest.raises(ShapeError, match="of 2 classes"):
        LeaceFitter(3, 2).update(x, labels + 2)
    with pytest.raises(OptionError, match="1 class leaves nothing"):
        LeaceFitter(3, 1)
    with pytest.raises(ShapeError, match="vectors of width 3"):
        fitted(x, labels)(torch.zeros(2, 4))
