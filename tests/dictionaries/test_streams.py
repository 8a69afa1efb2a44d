"""Streams over a harvest and from the model: every token once, an exact place, no buffer's work."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.core import OptionError, StoreError, TokenError
from residuum.dictionaries import ActivationSource, LiveSource, ShardSource, harvest, live_source
from residuum.dictionaries.harvests.harvest_result import Harvest
from residuum.stores import TokenRows, TokenShards
from residuum.worlds import microworld_text

SITES = ["L1.resid_post", "L2.mlp_out"]


@pytest.fixture(scope="module")
def model() -> rz.Model:
    return rz.load("microworld", check=False)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return list(itertools.islice(microworld_text(0), 60))


@pytest.fixture(scope="module")
def made(model: rz.Model, texts: list[str]) -> Harvest:
    return harvest(model, texts, SITES, rows_per_shard=100, dtype="float32")


@pytest.fixture(params=["shards", "live"])
def opened(request: Any, model: rz.Model, texts: list[str], made: Harvest) -> Any:
    def shards(seed: int = 0, epochs: int | None = None) -> ShardSource:
        return made.source(seed, epochs)

    def live(seed: int = 0, epochs: int | None = None) -> LiveSource:
        return live_source(model, texts, SITES, seed=seed, epochs=epochs, pool=150, batch_size=4)

    return {"shards": shards, "live": live}[request.param]


def taken(source: Any, size: int, count: int | None = None) -> torch.Tensor:
    batches: Iterator[Any] = itertools.islice(source.batches(size), count)
    return torch.cat([batch.values for batch in batches])


def in_order(values: torch.Tensor) -> np.ndarray:
    flat = values.flatten(1).double().numpy().round(3)
    return flat[np.lexsort(flat.T[::-1])]


def test_an_epoch_holds_every_token_once(opened: Any, made: Harvest) -> None:
    source = opened(epochs=1)
    assert isinstance(source, ActivationSource)
    got = taken(source, 64)
    assert got.dtype == torch.float32 and got.shape == (len(made), 2, 128)
    wanted = taken(made.source(None, 1), 64)
    assert not torch.equal(got, wanted)
    assert np.allclose(in_order(got)[:, 0], in_order(wanted)[:, 0], atol=2e-3)
    assert torch.allclose(got.double().sum(0), wanted.double().sum(0), atol=1e-2)
    assert list(source.batches(64)) == []


def test_orders_differ_between_epochs_and_seeds_and_are_kept_by_the_seed(
    opened: Any, made: Harvest
) -> None:
    n = len(made)
    two, other = taken(opened(0, 2), 50), taken(opened(1, 1), 50)
    assert len(two) == 2 * n
    assert torch.equal(two, taken(opened(0, 2), 50))
    assert torch.equal(two[:n], taken(opened(0, 1), 37))  # whatever the size of a batch
    assert not torch.equal(two[:n], two[n:]) and not torch.equal(two[:n], other)


@pytest.mark.parametrize("after", [0, 1, 3, 17, 40])
def test_a_place_is_found_again_to_the_last_bit(opened: Any, after: int) -> None:
    source = opened(epochs=3)
    batches = source.batches(33)
    for _ in range(after):
        next(batches)
    place = source.state()
    wanted = [next(batches).values for _ in range(5)]
    other = opened(epochs=3)
    other.restore(place)
    assert other.state() == place
    again = other.batches(33)
    assert all(torch.equal(each, next(again).values) for each in wanted)
    source.restore(place)
    assert torch.equal(next(source.batches(33)).values, wanted[0])


def test_a_place_in_another_stream_is_refused(opened: Any, model: rz.Model) -> None:
    source = opened(seed=0)
    next(source.batches(5))
    place = source.state()
    with pytest.raises(StoreError, match="in another stream: seed differ") as error:
        opened(seed=1).restore(place)
    assert "the same harvest or text and seed" in error.value.mend
    other = live_source(model, ["Mary went ."], SITES)
    with pytest.raises(StoreError, match="in another stream"):
        other.restore(place)


def test_a_stream_says_where_it_is_from(opened: Any, model: rz.Model) -> None:
    source = opened()
    assert source.weight_hash == model.adapted.weight_hash
    assert [str(at) for at in source.sites] == SITES and source.widths == (128, 128)
    assert source.record["model_name"] == "microworld" and source.record["seed"] == 0
    assert source.record["text_hash"]


def test_bad_options_are_refused(opened: Any) -> None:
    with pytest.raises(OptionError, match="seed=-1"):
        opened(seed=-1)
    with pytest.raises(OptionError, match="epochs=0"):
        opened(epochs=0)
    with pytest.raises(OptionError, match="size=0"):
        next(opened().batches(0))


def test_a_live_stream_holds_one_pool_and_runs_it_once(
    model: rz.Model, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = live_source(model, texts, SITES, pool=150, batch_size=4, epochs=1, skip=("bos",))
    rows: list[int] = []
    real = rz.Model.run
    monkeypatch.setattr(
        rz.Model, "run", lambda self, b, **more: (rows.append(len(b.ids)), real(self, b, **more))[1]
    )
    got = taken(source, 10)
    assert sum(rows) == len(texts) and len(rows) > 4
    pools = -(-len(texts) // source.pool_rows)
    assert pools > 3 and len(got) > 150


def test_a_live_stream_over_nothing_ends_with_a_word(model: rz.Model) -> None:
    source = live_source(model, [[1], [1]], SITES, skip=("bos",))
    with pytest.raises(TokenError, match="every token of the text was left out"):
        next(source.batches(4))


def test_a_batch_costs_the_same_from_a_hundred_times_more_tokens(tmp_path: Path) -> None:
    """The peers' shuffle buffers did work in proportion to the buffer for each batch."""

    def filled(n: int) -> ShardSource:
        work = {"model": "m", "n": n}
        shards = TokenShards.open(tmp_path / str(n), work, ["L0.embed"], 4, count=1)
        column = np.zeros(n, "i4")
        rows = TokenRows(column, column, column, np.ones((n, 1), "f4"), np.ones((n, 1, 4), "f2"))
        shards.write(0, rows)
        return ShardSource(shards, [n], {}, 0, None)

    def seconds(source: ShardSource) -> float:
        batches = source.batches(256)
        next(batches)
        start = process_time()
        for _ in range(50):
            next(batches)
        return process_time() - start

    small, large = filled(10**4), filled(10**6)
    assert min(seconds(large) for _ in range(3)) < 4 * min(seconds(small) for _ in range(3))
