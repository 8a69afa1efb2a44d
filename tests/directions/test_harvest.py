"""Harvests: streamed to shards behind the passes, continued after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from functools import cache

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import residuum as rz
from residuum.core import StoreError
from residuum.directions import Examples, activation_writer, harvest_examples
from residuum.stores import ActivationShards

WORDS = 50


@cache
def tiny() -> rz.Model:
    torch.manual_seed(0)
    config = GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=WORDS, n_positions=8)
    return rz.load(GPT2LMHeadModel(config).eval(), check=False)


def labelled(n: int) -> Examples:
    rows = np.random.default_rng(0).integers(0, WORDS, (n, 4))
    return Examples.from_texts(tiny(), rows.tolist(), (rows[:, -1] % 2).tolist()).unique()


def test_harvest_goes_on_where_it_was_killed(tmp_path, monkeypatch) -> None:
    model, data = tiny(), labelled(300)
    monkeypatch.setattr(activation_writer, "SHARD_BYTES", 0)
    whole = harvest_examples(model, data, batch_size=64).cell(1).all()
    real, calls = ActivationShards.write, []

    def dying(self, index, values):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(index)
        real(self, index, values)

    monkeypatch.setattr(ActivationShards, "write", dying)
    with pytest.raises(KeyboardInterrupt):
        harvest_examples(model, data, batch_size=64, keep=tmp_path)
    monkeypatch.setattr(ActivationShards, "write", lambda s, i, v: (calls.append(i), real(s, i, v)))
    again = harvest_examples(model, data, batch_size=64, keep=tmp_path)
    assert again.store is not None
    assert sorted(calls) == list(range(len(again.store)))  # no shard twice
    assert torch.equal(again.cell(1).all(), whole)
    with pytest.raises(StoreError, match="another harvest"):
        harvest_examples(model, data.subset(range(100)), batch_size=64, keep=tmp_path)
    path = again.store.path(0)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(StoreError, match="damaged"):
        again.cell(1).all()


@pytest.mark.parametrize("shard_bytes", [0, 3000, 2**23])
def test_shards_of_any_size_hold_what_memory_holds(tmp_path, monkeypatch, shard_bytes) -> None:
    model, data = tiny(), labelled(100)
    whole = harvest_examples(model, data, batch_size=7)
    monkeypatch.setattr(activation_writer, "SHARD_BYTES", shard_bytes)
    kept = harvest_examples(model, data, batch_size=7, keep=tmp_path)
    assert whole.store is None and kept.store is not None
    assert kept.store.rows_per_shard % 7 == 0
    some = torch.tensor([0, 3, 50, 51, 99])
    for cell in range(len(whole.cells)):
        assert torch.equal(kept.cell(cell).all(), whole.cell(cell).all())
        assert torch.equal(kept.cell(cell, some).all(), whole.cell(cell).all()[some])
    assert np.allclose(kept.norms, whole.norms, rtol=1e-6)


def test_shards_are_written_behind_the_passes(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(activation_writer, "SHARD_BYTES", 0)
    real, by = ActivationShards.write, set()

    def noted(self, index, values):
        by.add(threading.current_thread().name)
        real(self, index, values)

    monkeypatch.setattr(ActivationShards, "write", noted)
    harvest_examples(tiny(), labelled(40), batch_size=10, keep=tmp_path)
    assert by and threading.current_thread().name not in by


def test_an_error_of_the_last_shard_is_told(tmp_path, monkeypatch) -> None:
    data = labelled(40)
    monkeypatch.setattr(activation_writer, "SHARD_BYTES", 0)
    real = ActivationShards.write

    def full(self, index, values):
        if index == len(self) - 1:
            raise StoreError("cannot write", mend="free some space")
        real(self, index, values)

    monkeypatch.setattr(ActivationShards, "write", full)
    with pytest.raises(StoreError, match="cannot write"):
        harvest_examples(tiny(), data, batch_size=10, keep=tmp_path)


def test_finished_shards_survive_a_kill_of_the_process(tmp_path) -> None:
    """The process ends without a chance to tidy up, in the middle of a pass."""
    code = f"""
        import os, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        import test_harvest as here
        from residuum.directions import activation_writer, harvesting
        activation_writer.SHARD_BYTES = 0
        real, passes = harvesting._read, []
        def dying(*args):
            passes.append(args)
            if len(passes) == 6:
                os._exit(9)
            return real(*args)
        harvesting._read = dying
        data = here.labelled(100)
        here.harvest_examples(here.tiny(), data, batch_size=10, keep={str(tmp_path)!r})
    """
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=env)
    assert done.returncode == 9
    there = len(list(tmp_path.glob("shard-*.safetensors")))
    assert 3 <= there <= 4  # the fifth batch is the passes' sixth; one may be on its way
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(activation_writer, "SHARD_BYTES", 0)
        again = harvest_examples(tiny(), labelled(100), batch_size=10, keep=tmp_path)
    assert torch.equal(again.cell(1).all(), harvest_examples(tiny(), labelled(100)).cell(1).all())
