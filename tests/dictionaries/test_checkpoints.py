"""Kept trainings: resumed bit for bit, after a kill too; damaged and foreign ones refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import residuum.dictionaries as rd
from residuum.core import StoreError
from residuum.dictionaries.training import checkpoints, loop
from residuum.dictionaries.training.checkpoints import CHECKPOINT, read_checkpoint, write_checkpoint

WORLD = rd.SparseWorld(n_features=24, width=16, active=2, seed=1)
STEPS = 60


def plans() -> dict[str, rd.CoderPlan]:
    """One of each kind of state: plain, a running threshold, a controller, draws."""
    base = {"reads": ("L0.resid_post",), "width": 16, "n_latents": 24, "dead_after": 200}
    return {
        "topk": rd.CoderPlan(activation=rd.TopK(2), aux_k=4, **base),  # pyright: ignore
        "batch": rd.CoderPlan(activation=rd.BatchTopK(2), prefixes=(8,), **base),  # pyright: ignore
        "l1": rd.CoderPlan(activation=rd.ReLU(), penalty=rd.L1(), **base),  # pyright: ignore
        "gated": rd.CoderPlan(activation=rd.Gated(), penalty=rd.L1(), **base),  # pyright: ignore
    }


def train(keep: Path | None, **more: object) -> dict[str, rd.Training]:
    tensor = WORLD.samples(0, 700)[0]
    source = more.pop("source", None) or rd.TensorSource(tensor, "L0.resid_post", seed=4)
    given = {
        "steps": STEPS, "batch_size": 64, "keep_every": 7, "seed": 3, "log_every": 4,
        "target_l0": {"l1": 2.0, "gated": 3.0}, "resample": rd.Resampling(every=10, until=1.0),
    }  # fmt: skip
    return rd.train_dictionaries(source, plans(), keep=keep, **{**given, **more})  # pyright: ignore


def same(one: dict[str, rd.Training], two: dict[str, rd.Training]) -> None:
    for name, training in one.items():
        other = two[name].dictionary.tensors()
        for key, each in training.dictionary.tensors().items():
            assert torch.equal(each, other[key]), (name, key)
        assert training.dictionary.scale == two[name].dictionary.scale
        assert training.curve.to_json() == two[name].curve.to_json()


class Stop(Exception):
    pass


@pytest.mark.parametrize("at", [1, 13, 14, 41])
def test_a_training_that_was_stopped_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    whole = train(None)
    kept = loop.TrainingLoop._keep

    def stopping(self: loop.TrainingLoop) -> None:
        kept(self)
        if self.states[0].step >= at:
            raise Stop

    monkeypatch.setattr(loop.TrainingLoop, "_keep", stopping)
    with pytest.raises(Stop):
        train(tmp_path)
    monkeypatch.undo()
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert found[1]["dictionaries"]["topk"]["step"] == -(-at // 7) * 7
    same(whole, train(tmp_path))


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    first = train(tmp_path)

    class Empty(rd.TensorSource):
        def batches(self, size: int):
            raise AssertionError("no batch is needed")

    source = Empty(WORLD.samples(0, 700)[0], "L0.resid_post", seed=4)
    same(first, train(tmp_path, source=source))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seed": 9}, "dictionaries.batch.seed"),
        ({"steps": STEPS + 1}, "schedule.steps"),
        ({"source": rd.TensorSource(torch.ones(9, 16), "L0.resid_post")}, "stream.rows"),
    ],
)
def test_another_training_is_not_gone_on_with(tmp_path: Path, change: dict, text: str) -> None:
    train(tmp_path, steps=change.get("steps", STEPS) if "steps" not in change else STEPS)
    with pytest.raises(StoreError, match="another one") as caught:
        train(tmp_path, **change)
    assert text in str(caught.value)


def test_a_damaged_file_is_refused_and_half_a_file_is_never_read(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {"a": torch.arange(4)}, {"step": 1})
    half = (tmp_path / CHECKPOINT).read_bytes()[:-8]
    left = tmp_path / f".{CHECKPOINT}.0123"
    left.write_bytes(half)
    checkpoints.keep_folder(tmp_path)
    assert not left.exists()
    found = read_checkpoint(tmp_path)
    assert found is not None and found[0]["a"].tolist() == [0, 1, 2, 3]
    (tmp_path / CHECKPOINT).write_bytes(half)
    with pytest.raises(StoreError, match="cannot be read"):
        train(tmp_path)


@pytest.mark.parametrize(
    "name", ["topk/coder/W_dec", "l1/optimiser/exp_avg/W_enc", "batch/generator"]
)
def test_a_kept_tensor_that_was_changed_is_refused_by_name(tmp_path: Path, name: str) -> None:
    train(tmp_path, steps=7)
    path = tmp_path / CHECKPOINT
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    first, last = json.loads(data[8 : 8 + length])[name]["data_offsets"]
    data[8 + length + (first + last) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=f"damaged: {name} is not what was written") as caught:
        train(tmp_path, steps=7)
    assert str(path) in str(caught.value) and "start again" in caught.value.mend


def test_a_kept_record_that_was_changed_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {"a": torch.zeros(1)}, {"place": {"row": 1234}})
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes().replace(b"1234", b"1235"))
    with pytest.raises(StoreError, match="damaged: its record"):
        read_checkpoint(tmp_path)


def test_every_dtype_is_kept_as_it_is(tmp_path: Path) -> None:
    kept = {
        "bfloat16": torch.randn(3, 2).bfloat16(),
        "float64": torch.randn(2, dtype=torch.float64),
        "bool": torch.tensor([True, False]),
        "int64": torch.tensor(7),
        "turned": torch.randn(2, 3).T,
    }
    write_checkpoint(tmp_path, kept, {})
    found = read_checkpoint(tmp_path)
    assert found is not None
    for name, each in kept.items():
        assert found[0][name].dtype == each.dtype and torch.equal(found[0][name], each), name


def test_a_write_that_fails_leaves_the_earlier_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(tmp_path, {"a": torch.zeros(1)}, {"step": 1})

    def full(tensors: object, path: Path, header: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(StoreError, match="No space left"):
        write_checkpoint(tmp_path, {"a": torch.ones(1)}, {"step": 2})
    found = read_checkpoint(tmp_path)
    assert found is not None and found[1] == {"step": 1}
    assert [each.name for each in tmp_path.iterdir()] == [CHECKPOINT]


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="a file, not a folder"):
        train(tmp_path / "file")
    with pytest.raises(StoreError, match=r"keep=\[1\] is no folder"):
        train([1])  # pyright: ignore[reportArgumentType]


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
import test_checkpoints as own
class Listener:
    def start(self, stage, total): pass
    def advance(self, steps=1): print(steps, flush=True)
    def finish(self): pass
own.train(Path(sys.argv[1]), steps=int(sys.argv[2]), keep_every=25, progress=Listener())
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_a_random_moment_and_resumed_the_weights_are_the_same_bits(
    tmp_path: Path, seed: int
) -> None:
    _killed_and_resumed(tmp_path, seed, kills=3, steps=2000)


def test_killed_once_and_resumed_the_weights_are_the_same_bits(tmp_path: Path) -> None:
    _killed_and_resumed(tmp_path, int.from_bytes(os.urandom(2), "little"), kills=1, steps=300)


def _killed_and_resumed(folder: Path, seed: int, kills: int, steps: int) -> None:
    """The moment is drawn between the first checkpoint and the last; the seed is shown."""
    import random

    drawn, done = random.Random(seed), 0
    command = [sys.executable, "-c", CHILD.format(tests=str(Path(__file__).parent)), str(folder)]
    command.append(str(steps))
    for _ in range(kills):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            wanted = done + drawn.randint(30, steps // 5)
            at = 0
            for line in child.stdout:
                at += int(line)
                if at >= wanted:
                    break
            time.sleep(drawn.random() * 0.05)
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL, seed
        found = read_checkpoint(folder)
        assert found is not None, seed
        step = found[1]["dictionaries"]["topk"]["step"]
        assert done <= step < steps and step % 25 == 0 and step >= wanted - 25, (seed, step)
        done = step
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        options = {"steps": steps, "keep_every": 25}
        same(train(None, **options), train(folder, **options))
    finally:
        torch.set_num_threads(threads)
