"""Orders worked out place by place: one-to-one, spread evenly, cheap at any size."""

from __future__ import annotations

from time import process_time

import numpy as np
import pytest

from residuum.dictionaries.harvests.permutation import Permutation


@pytest.mark.parametrize("n", [1, 2, 3, 7, 16, 17, 1000, 4097])
def test_an_order_holds_everything_once(n: int) -> None:
    found = Permutation(n, 3).at(np.arange(n))
    assert sorted(found.tolist()) == list(range(n))


def test_any_part_of_an_order_is_the_same_part() -> None:
    order = Permutation(1000, 5)
    assert (order.at(np.arange(400, 450)) == order.at(np.arange(1000))[400:450]).all()


def test_seeds_and_streams_have_their_own_orders() -> None:
    places = np.arange(500)
    orders = [Permutation(500, seed, stream).at(places) for seed in (0, 1) for stream in (0, 1)]
    same = [(a == b).mean() for i, a in enumerate(orders) for b in orders[:i]]
    assert max(same) < 0.02  # one in 500 by chance


def test_every_thing_comes_everywhere_equally_often() -> None:
    """Chi-square of place by thing over many seeds, and of neighbours staying neighbours."""
    n, seeds = 9, 4000
    orders = np.stack([Permutation(n, seed).at(np.arange(n)) for seed in range(seeds)])
    count = np.stack([(orders == thing).sum(0) for thing in range(n)])
    chi2 = ((count - seeds / n) ** 2 / (seeds / n)).sum()
    assert chi2 < 110  # (n-1)² = 64 degrees of freedom; P(> 110) = 0.0003
    neighbours = (np.diff(orders, axis=1) == 1).mean()
    assert abs(neighbours - 1 / n) < 0.01  # (n-1) / (n (n-1)) for a uniform order


def test_long_orders_are_mixed_through() -> None:
    n = 20_000
    found = Permutation(n, 1).at(np.arange(n))
    assert abs(np.corrcoef(found, np.arange(n))[0, 1]) < 0.03
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 0.03
    halves = found[: n // 2] < n // 2
    assert abs(halves.mean() - 0.5) < 0.02


def test_a_place_costs_the_same_in_a_thousand_times_longer_order() -> None:
    def seconds(n: int) -> float:
        order, places = Permutation(n, 0), np.arange(4096) + n // 3
        start = process_time()
        for _ in range(20):
            order.at(places)
        return process_time() - start

    seconds(10**6)
    assert min(seconds(10**10) for _ in range(3)) < 3 * min(seconds(10**7) for _ in range(3))
