"""Joint sign flips: enumerated by hand, error rates by simulation, laws."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from residuum.core import OptionError
from residuum.runs import sign_flip
from residuum.runs.sign_flip import clusters_needed, sign_flip_max_t


def by_hand(values: np.ndarray, labels: list[str] | None = None) -> list[float]:
    """p of each cell, every sign pattern written out, examples flipped with their cluster."""
    labels = labels or [str(row) for row in range(len(values))]
    names = sorted(set(labels))

    def statistic(table: np.ndarray, cell: int) -> float:
        sums = [table[[each == name for each in labels], cell].sum() for name in names]
        return abs(sum(sums)) / sum(each**2 for each in sums) ** 0.5

    cells = range(values.shape[1])
    reached = np.zeros(values.shape[1])
    for signs in product((1, -1), repeat=len(names)):
        sign = dict(zip(names, signs, strict=True))
        flipped = values * np.array([sign[label] for label in labels])[:, None]
        largest = max(statistic(flipped, cell) for cell in cells)
        reached += [largest >= statistic(values, cell) - 1e-9 for cell in cells]
    return (reached / 2 ** len(names)).tolist()


def test_four_examples_by_pencil() -> None:
    """Three equal values: 2 of 8 patterns reach √3; (1, 1, -1) has 1/√3, which all reach."""
    found = sign_flip_max_t([[1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    # Flipping the third example makes the second cell the extreme one: 4 of 8 patterns.
    assert found.p.tolist() == [0.5, 1.0]
    alone = sign_flip_max_t([[1.0], [1.0], [1.0]])
    assert alone.p.tolist() == [0.25] and alone.floor == 0.25 and alone.exact
    assert alone.flips == 4 and alone.clusters == 3


@pytest.mark.parametrize("seed", range(4))
def test_exact_p_equals_the_enumeration(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(7, 3))
    values += np.array([1.5, 0.4, 0.0])
    assert sign_flip_max_t(values).p.tolist() == pytest.approx(by_hand(values))
    labels = ["a", "b", "a", "c", "d", "e", "c"]
    clustered = sign_flip_max_t(values, labels)
    assert clustered.p.tolist() == pytest.approx(by_hand(values, labels))
    assert clustered.clusters == 5 and clustered.floor == 2 / 2**5


def test_drawn_flips_come_near_the_exact_p() -> None:
    values = np.random.default_rng(5).normal(size=(10, 6)) + 0.7
    exact = sign_flip_max_t(values)
    drawn = sign_flip_max_t(values, flips=500)
    assert exact.exact and not drawn.exact and drawn.floor == 1 / 501
    assert drawn.flips == 500
    assert np.abs(drawn.p - exact.p).max() < 0.07
    again = sign_flip_max_t(values, flips=500)
    other = sign_flip_max_t(values, flips=500, seed=1)
    assert (again.p == drawn.p).all() and (other.p != drawn.p).any()


def test_no_p_lies_below_the_floor() -> None:
    rising = np.ones((20, 2)) * [1.0, 1e-9]
    found = sign_flip_max_t(rising, flips=99)
    assert found.p.tolist() == [0.01, 0.01] and found.floor == 0.01
    small = sign_flip_max_t(np.ones((5, 2)))
    assert small.p.tolist() == [small.floor] * 2 == [1 / 16] * 2
    assert small.verdicts.tolist() == ["undecided", "undecided"]


def test_the_numbers_of_clusters_that_grids_need() -> None:
    assert [clusters_needed(cells) for cells in (1, 16, 144, 2160)] == [6, 10, 13, 17]
    for cells in (1, 2, 5, 144, 2160, 10**6):
        for alpha in (0.05, 0.01, 0.5, 0.025):
            n = clusters_needed(cells, alpha)
            assert cells * 2 / 2**n <= alpha
            assert n == 1 or cells * 2 / 2 ** (n - 1) > alpha
    rng = np.random.default_rng(0)
    for clusters, verdict in ((12, "undecided"), (13, "not shown")):
        found = sign_flip_max_t(rng.normal(size=(clusters, 144)))
        assert found.needed == 13 and found.p.min() > 0.05
        assert set(found.verdicts) == {verdict}


def test_a_planted_cell_is_shown_and_the_others_are_not() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(32, 144))
    values[:, 17] += 1.5
    found = sign_flip_max_t(values, flips=2000)
    assert found.verdicts[17] == "shown" and found.p[17] < 0.01
    assert (np.delete(found.verdicts, 17) == "not shown").all()
    few = sign_flip_max_t(values[:8])
    assert set(np.delete(few.verdicts, 17)) == {"undecided"}


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_family_wise_error_under_the_null(shared: float) -> None:
    """400 null sweeps of 30 cells, independent or correlated: some cell is shown in about 5 %."""
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(400):
        common = rng.normal(size=(10, 1))
        values = shared * common + (1 - shared**2) ** 0.5 * rng.standard_t(4, size=(10, 30))
        wrong += "shown" in sign_flip_max_t(values).verdicts
    assert wrong <= 34  # of Binomial(400, .05) above this in 0.1 %
    assert wrong >= 5  # and it is no test that never rejects


def test_clusters_keep_the_error_where_examples_would_not() -> None:
    """Ten examples of each of 6 templates share their effect, whose sign is a coin's."""
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(6), 10)
    wrong = {"clustered": 0, "as if independent": 0}
    for _ in range(100):
        values = rng.normal(size=(6, 4))[labels] + 0.1 * rng.normal(size=(60, 4))
        wrong["clustered"] += "shown" in sign_flip_max_t(values, labels).verdicts
        alone = sign_flip_max_t(values, flips=500)
        wrong["as if independent"] += "shown" in alone.verdicts
    assert wrong["clustered"] <= 12 and wrong["as if independent"] > 60


def test_order_scale_and_sign_do_not_matter() -> None:
    values = np.random.default_rng(4).normal(size=(9, 12)) + 0.8
    base = sign_flip_max_t(values).p
    order = np.random.default_rng(0).permutation(12)
    assert (sign_flip_max_t(values[:, order]).p == base[order]).all()
    assert (sign_flip_max_t(values[::-1]).p == base).all()
    assert (sign_flip_max_t(-values).p == base).all()
    assert (sign_flip_max_t(values * np.logspace(-200, 100, 12)).p == base).all()


def test_zero_and_impossible_cells_stay_out() -> None:
    values = np.random.default_rng(6).normal(size=(6, 4)) + 2.0
    values[:, 1] = 0.0
    values[2, 3] = np.nan
    found = sign_flip_max_t(values)
    alone = sign_flip_max_t(values[:, [0, 2]])
    assert found.p[[0, 2]].tolist() == alone.p.tolist()
    assert found.p[1] == 1.0 and np.isnan(found.p[3])
    assert found.verdicts.tolist()[1] == "not shown" and found.verdicts[3] == ""
    assert found.cells == 3
    nothing = sign_flip_max_t(np.zeros((3, 2)))
    assert nothing.p.tolist() == [1.0, 1.0]
    cancelled = sign_flip_max_t([[1.0], [-1.0], [2.0], [-2.0]], ["a", "a", "b", "b"])
    assert cancelled.p.tolist() == [1.0] and cancelled.verdicts.tolist() == ["undecided"]


def test_one_cluster_decides_nothing() -> None:
    found = sign_flip_max_t([[1.0, 2.0]] * 50, ["one"] * 50)
    assert found.floor == 1.0 and found.clusters == 1
    assert found.p.tolist() == [1.0, 1.0]
    assert found.verdicts.tolist() == ["undecided", "undecided"]


def test_pieces_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(7).normal(size=(30, 11)) + 0.4
    whole = sign_flip_max_t(values, flips=1000).p
    small = sign_flip_max_t(values[:8]).p
    monkeypatch.setattr(sign_flip, "_AT_ONCE", 77)
    assert (sign_flip_max_t(values, flips=1000).p == whole).all()
    assert (sign_flip_max_t(values[:8]).p == small).all()


@pytest.mark.parametrize(
    ("arguments", "options", "what"),
    [
        (([1.0, 2.0],), {}, "no \\[example, cell\\] table"),
        ((np.zeros((0, 3)),), {}, "no \\[example, cell\\] table"),
        (("abc",), {}, "no table of numbers"),
        (([[1.0], [2.0]], ["a"]), {}, "1 cluster labels for 2 examples"),
        (([[1.0], [2.0]],), {"flips": 0}, "flips=0"),
        (([[1.0], [2.0]],), {"alpha": 5}, "alpha=5"),
        (([[1.0], [2.0]],), {"seed": -1}, "seed=-1"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple, options: dict, what: str) -> None:
    with pytest.raises(OptionError, match=what):
        sign_flip_max_t(*arguments, **options)
