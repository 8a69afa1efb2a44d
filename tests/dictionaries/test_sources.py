"""Streams: every row once a round, and an exact place."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

import residuum as rz
import residuum.dictionaries as rd
from residuum.core import OptionError, ShapeError
from residuum.dictionaries.training.loop import endless


def rows(n: int = 10) -> torch.Tensor:
    return torch.arange(float(n))[:, None]


def taken(source: rd.ActivationSource, size: int, count: int) -> list[list[float]]:
    return [each.values.flatten().tolist() for each in islice(source.batches(size), count)]


def test_each_round_holds_every_row_once_in_a_new_order() -> None:
    source = rd.TensorSource(rows(), "L0.resid_post", seed=3)
    found = [value for batch in taken(source, 4, 5) for value in batch]
    assert sorted(found[:10]) == sorted(found[10:]) == list(map(float, range(10)))
    assert found[:10] != found[10:]
    assert found[:10] != sorted(found[:10])


@pytest.mark.parametrize("kind", ["tensor", "world"])
def test_a_stream_taken_up_again_gives_the_very_batches_that_followed(kind: str) -> None:
    def fresh() -> rd.ActivationSource:
        world = rd.SparseWorld(n_features=12, width=6, active=2)
        return world.source() if kind == "world" else rd.TensorSource(rows(), "L0.resid_post")

    whole, source = taken(fresh(), 3, 9), fresh()
    taken(source, 3, 4)
    other = fresh()
    other.restore(source.state())
    assert taken(other, 3, 5) == whole[4:]


def test_half_precision_is_handed_out_as_float32_at_its_sites() -> None:
    source = rd.TensorSource(torch.ones(4, 2, 3).half(), ("L0.resid_post", "L1.resid_post"))
    batch = next(source.batches(2))
    assert batch.values.dtype == torch.float32
    assert batch.values.shape == (2, 2, 3)
    assert source.widths == (3, 3)


def test_the_record_tells_two_tensors_apart() -> None:
    one, two = (rd.TensorSource(rows() + i, "L0.resid_post").record for i in range(2))
    assert one["tensor"] != two["tensor"]
    assert rd.TensorSource(rows().bfloat16(), "L0.resid_post").record["tensor"] != one["tensor"]


@pytest.mark.parametrize(
    ("values", "sites", "text"),
    [
        (torch.zeros(4, 2, 3), "L0.resid_post", "for 1 sites"),
        (torch.zeros(4).long(), "L0.resid_post", "floating-point"),
        (torch.full((4, 3), float("nan")), "L0.resid_post", "NaN"),
    ],
)
def test_what_is_no_activation_is_refused(values: torch.Tensor, sites: str, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        rd.TensorSource(values, sites)
    with pytest.raises(OptionError, match="names no site"):
        rd.TensorSource(torch.zeros(4, 3), ())


class Ending:
    """A stream that ends after each round, its last batch short."""

    sites, widths, weight_hash, record = (), (1,), None, {}

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds

    def batches(self, size: int):
        self.rounds -= 1
        if self.rounds >= 0:
            yield rd.Batch(torch.zeros(size, 1, 1))
            yield rd.Batch(torch.zeros(size - 1, 1, 1))

    def state(self) -> dict:
        return {}

    def restore(self, state: dict) -> None:
        return None


def test_a_stream_that_ends_is_asked_for_its_next_round_and_short_batches_are_left_out() -> None:
    found = list(islice(endless(Ending(9), 4), 5))
    assert [len(each.values) for each in found] == [4] * 5


def test_a_stream_that_has_ended_says_so_and_how_far_it_went() -> None:
    with pytest.raises(OptionError, match=r"(?s)ended after 2 steps of 4 rows.*more epochs"):
        list(endless(Ending(2), 4))
    with pytest.raises(OptionError, match=r"(?s)ended after 9 of 12 steps.*train 9 steps at most"):
        list(endless(Ending(2), 4, done=7, steps=12))
    with pytest.raises(OptionError, match=r"(?s)no batch of 4 rows.*at least 4 rows"):
        list(endless(Ending(0), 4))


def test_training_over_one_epoch_for_longer_than_it_lasts_says_where_it_ended() -> None:
    model = rz.load("microworld", check=False)
    texts = ["Mary went to the store .", "John gave a drink ."] * 4
    source = rz.live_source(model, texts, "L1.resid_post", epochs=1)
    with pytest.raises(OptionError, match="ended after 5 of 7 steps of 8 rows"):
        rz.train_dictionary(source, n_latents=16, activation=rd.TopK(2), batch_size=8, samples=50)
