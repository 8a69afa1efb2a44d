"""Known features: the world is as it says, the matching the best, the figures mean something."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

import residuum.dictionaries as rd
from residuum.core import OptionError, ShapeError
from residuum.dictionaries.judging.ground_truth_assignment import best_assignment

WORLD = rd.SparseWorld(n_features=40, width=24, active=3, seed=2)


@dataclass
class Known:
    """A dictionary that is told the samples' codes; each latent a feature, in another order."""

    W_dec: Tensor
    codes: Tensor
    order: Tensor
    place: int = 0

    def encode(self, x: Tensor) -> Tensor:
        part = self.codes[self.place : self.place + len(x)]
        self.place += len(x)
        return part[:, self.order]

    def decode(self, latents: Tensor) -> Tensor:
        return latents @ self.W_dec[:, 0]


def known(size: float = 1.0, extra: float = 0.0, samples: int = 8192) -> Known:
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    codes = WORLD.held_out(samples)[1] * size
    faint = torch.rand(codes.shape, generator=torch.Generator().manual_seed(1)) < extra
    return Known(WORLD.features[order][:, None], codes + 0.01 * (faint & (codes == 0)), order)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (5, 7), (7, 5), (6, 6)])
def test_no_assignment_is_better(shape: tuple[int, int]) -> None:
    for seed in range(30):
        scores = np.random.default_rng(seed).normal(size=shape).round(1)
        rows, columns = best_assignment(scores)
        table = scores if shape[0] <= shape[1] else scores.T
        best = max(
            sum(table[i, each] for i, each in enumerate(one))
            for one in permutations(range(table.shape[1]), len(table))
        )
        assert scores[rows, columns].sum() == pytest.approx(best)
        assert len(set(rows)) == len(set(columns)) == min(shape)
        assert list(rows) == sorted(rows)


def test_an_assignment_needs_finite_scores() -> None:
    with pytest.raises(ShapeError, match="finite scores"):
        best_assignment(np.array([[np.nan]]))


def test_the_world_has_the_frequencies_it_says() -> None:
    world = rd.SparseWorld(seed=3)
    x, codes = world.samples(0, 20_000)
    assert float((codes > 0).sum(1).double().mean()) == pytest.approx(8, abs=0.08)
    seen = (codes > 0).double().mean(0)
    spread = (world.frequencies * (1 - world.frequencies) / 20_000).sqrt()
    assert float(((seen - world.frequencies).abs() / spread).max()) < 5
    tail = world.frequencies[10:]
    ranks = torch.arange(11, 513, dtype=torch.float64)
    assert torch.allclose(tail * ranks, tail[0] * ranks[0])
    assert float(codes[codes > 0].min()) >= 0.1
    assert torch.allclose(x, codes @ world.features)


def test_samples_do_not_depend_on_how_they_are_cut_and_differ_by_seed() -> None:
    whole = WORLD.samples(4000, 300)[0]
    parts = torch.cat([WORLD.samples(4000 + 100 * i, 100)[0] for i in range(3)])
    assert torch.equal(whole, parts)
    other = rd.SparseWorld(n_features=40, width=24, active=3, seed=3)
    assert not torch.equal(other.samples(4000, 300)[0], whole)
    assert not torch.equal(WORLD.held_out(300)[0], whole)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"active": 30.0, "n_features": 40}, "cannot be reached"),
        ({"zipf": -1.0}, r"zipf=-1\.0"),
        ({"most_frequent": 1.0}, "no share"),
        ({"n_features": 1}, "n_features=1"),
    ],
)
def test_a_world_that_cannot_be_is_refused(given: dict, text: str) -> None:
    with pytest.raises(OptionError, match=text):
        rd.SparseWorld(**given)


def test_the_true_dictionary_gets_full_marks() -> None:
    found = rd.match_truth(known(), WORLD, samples=8192)
    assert found.mcc.value == pytest.approx(1, abs=1e-6)
    assert found.f1_any.value == 1
    assert found.f1.value > 0.99  # a threshold from other samples misses a few of the smallest
    assert found.explained_variance.value == pytest.approx(1, abs=1e-9)
    assert found.shrinkage.value == pytest.approx(0, abs=1e-6)
    assert found.l0.low < found.l0.value < found.l0.high
    assert found.l0.value == pytest.approx(3, abs=0.1)
    assert found.found_share() == 1


def test_shrinkage_is_the_share_that_is_missing() -> None:
    found = rd.match_truth(known(0.75), WORLD, samples=8192)
    assert found.shrinkage.value == pytest.approx(0.25, abs=1e-6)
    assert found.f1_any.value == 1
    assert 0.9 < found.explained_variance.value < 1


def test_the_threshold_forgives_faint_noise_and_zero_does_not() -> None:
    found = rd.match_truth(known(extra=0.2), WORLD, samples=8192)
    assert found.f1.value > 0.99
    assert found.f1_any.value < 0.6


def test_random_directions_match_poorly_and_dead_ones_are_counted() -> None:
    one = known()
    one.W_dec = torch.randn(40, 1, 24, generator=torch.Generator().manual_seed(9))
    one.codes[:, 5] = 0
    found = rd.match_truth(one, WORLD, samples=8192)
    assert found.mcc.value < 0.6
    assert found.f1.value < 0.5
    assert found.dead_share == 1 / 40


def test_the_record_has_table_figure_and_files(tmp_path) -> None:
    found = rd.match_truth(known(), WORLD, samples=8192)
    assert len(found.to_dataframe()) == 40
    assert "MCC" in found.figure().caption
    assert found.row()["mcc_low"] <= found.row()["mcc"] <= found.row()["mcc_high"]
    for suffix in ("json", "csv"):
        found.save(tmp_path / f"found.{suffix}")
        assert (tmp_path / f"found.{suffix}").stat().st_size > 100


def test_a_dictionary_of_another_width_is_refused() -> None:
    with pytest.raises(OptionError, match="width 24"):
        rd.match_truth(Known(torch.zeros(4, 1, 8), torch.zeros(1, 4), torch.arange(4)), WORLD)
