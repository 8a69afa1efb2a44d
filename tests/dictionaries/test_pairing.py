"""Directions are paired by the best assignment, above a size by mutual nearness; both say so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import residuum.dictionaries as rd
from residuum.dictionaries import dictionary_stability
from residuum.dictionaries.judging.pairing import MOST_EXACT, pair_directions

AT: Any = ("L1.resid_post",)


def directions(n: int, seed: int, width: int = 24) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((n, width))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize("sizes", [(50, 50), (30, 50), (50, 30), (1, 7), (1500, 1300)])
def test_mutual_nearest_neighbours_are_those_of_the_whole_table(sizes: tuple[int, int]) -> None:
    first, second = directions(sizes[0], 0), directions(sizes[1], 1)
    found = pair_directions(first, second, most_exact=0)
    cosines = first @ second.T
    wanted = [
        (i, int(row.argmax())) for i, row in enumerate(cosines)
        if cosines[:, row.argmax()].argmax() == i
    ]  # fmt: skip
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == wanted
    assert np.allclose(found.cosines, cosines[found.first, found.second])
    assert found.matching == "mutual_nearest" and 0 < len(wanted) <= min(sizes)


def test_directions_that_are_there_again_are_found_by_both_and_only_one_pairs_the_rest() -> None:
    first, order = directions(60, 0), np.random.default_rng(2).permutation(60)
    second = first[order] + 0.05 * directions(60, 3)
    second[:10] = directions(10, 4)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    exact, near = (pair_directions(first, second, most_exact=most) for most in (60, 59))
    assert (exact.matching, near.matching) == ("hungarian", "mutual_nearest")
    for found in (exact, near):
        kept = found.cosines > 0.9
        assert (order[found.second[kept]] == found.first[kept]).all() and kept.sum() == 50
    assert len(exact.first) == 60 > len(near.first)
    assert exact.cosines.sum() > near.cosines.sum()


def large(seed: int, n: int) -> rd.Dictionary:
    rows = torch.from_numpy(directions(n, seed, 8)).float()
    return rd.Dictionary(
        AT, AT, W_enc=rows.T[None].clone(), W_dec=rows[:, None].clone(),
        b_dec=torch.zeros(1, 8), activation=rd.TopK(4), b_enc=torch.zeros(n),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("n", "way"), [(64, "hungarian"), (MOST_EXACT + 1, "mutual_nearest")]
)  # fmt: skip
def test_a_comparison_says_how_its_latents_were_paired(n: int, way: str) -> None:
    one, order = large(0, n), torch.randperm(n, generator=torch.manual_seed(1))
    assert one.b_enc is not None
    other = replace(one, W_enc=one.W_enc[..., order], W_dec=one.W_dec[order])
    found = dictionary_stability([one, other])
    assert found.matching == (way,) == tuple(found.to_json()["matching"])
    assert way in found.provenance.strategy and way in found.figure().caption
    assert ("mutual_nearest" in repr(found)) == (way == "mutual_nearest")
    assert found.found_share.value == pytest.approx(1, abs=2e-3)


def test_a_world_of_many_features_says_so_too() -> None:
    n = MOST_EXACT + 4
    world = rd.SparseWorld(n_features=n, width=64, active=2.0, seed=0)
    rows = world.features[:, None]
    eye = rd.Dictionary(
        AT, AT, W_enc=rows[:, 0].T[None].clone(), W_dec=rows.clone(), b_dec=torch.zeros(1, 64),
        activation=rd.TopK(2), b_enc=torch.zeros(n),
    )  # fmt: skip
    found = rd.match_truth(eye, world, samples=256)
    assert found.matching == "mutual_nearest" and "mutual_nearest" in repr(found)
    assert found.mcc.value == pytest.approx(1, abs=1e-5)
