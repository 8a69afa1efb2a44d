"""Worker processes that share batches: the training of one process, whoever is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import residuum.dictionaries as rd
from residuum.core import OptionError, ShapeError
from residuum.dictionaries.training import crew, worker_processes
from residuum.dictionaries.training.checkpoints import read_checkpoint
from residuum.dictionaries.training.shared_tensors import (
    SharedTensors,
    open_memory,
    shared_places,
)

WIDTH, LATENTS, BATCH = 12, 24, 50
SITES = ("L0.ln2", "L1.ln2", "L0.mlp_out", "L1.mlp_out")
KINDS = {
    "sae": {"reads": SITES[:1]},
    "transcoder": {"reads": SITES[:1], "writes": SITES[2:3]},
    "skip": {"reads": SITES[:1], "writes": SITES[2:3], "skip": True},
    "crosscoder": {"reads": SITES[:2]},
    "cross_layer": {"reads": SITES[:2], "writes": SITES[2:]},
}
WAYS = {
    "l1": {"activation": rd.ReLU(), "penalty": rd.L1()},
    "topk": {"activation": rd.TopK(3), "aux_k": 4},
    "batch_topk": {"activation": rd.BatchTopK(3), "aux_k": 4},
    "jump": {"activation": rd.JumpReLU(), "penalty": rd.L0Step()},
    "gated": {"activation": rd.Gated(), "penalty": rd.L1()},
}
MATRYOSHKA = {"reads": SITES[:1], "activation": rd.BatchTopK(3), "prefixes": (6,)}
SAES = ("sae.topk", "sae.batch_topk", "sae.jump", "matryoshka")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """In every process: bits depend on it, and small steps do not gain by more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def plans(*names: str) -> dict[str, rd.CoderPlan]:
    shared = {"width": WIDTH, "n_latents": LATENTS, "dead_after": 120}
    found = {
        f"{kind}.{way}": rd.CoderPlan(**shared, **KINDS[kind], **WAYS[way])  # pyright: ignore
        for kind in KINDS
        for way in WAYS
    }
    found["matryoshka"] = rd.CoderPlan(**shared, **MATRYOSHKA)  # pyright: ignore
    return {name: found[name] for name in names or found}


def stream(dtype: torch.dtype = torch.float32) -> rd.TensorSource:
    world = rd.SparseWorld(n_features=LATENTS, width=WIDTH, active=2, seed=1)
    rows = torch.stack([world.samples(i * 400, 400)[0] for i in range(4)], 1)
    return rd.TensorSource(rows.to(dtype), SITES, seed=4)


def train(wanted: dict[str, rd.CoderPlan], **more: object) -> dict[str, rd.Training]:
    goals = {name: 3.0 for name, each in wanted.items() if each.penalty is not None}
    given = {"steps": 20, "batch_size": BATCH, "seed": 3, "target_l0": goals or None, **more}
    return rd.train_dictionaries(stream(), wanted, **given)  # pyright: ignore


def difference(one: rd.Training, two: rd.Training) -> float:
    """The greatest of all tensors, relative to the tensor's norm."""
    other = two.dictionary.tensors()
    pairs = ((each, other[name]) for name, each in one.dictionary.tensors().items())
    return max(float((a - b).norm() / a.norm().clamp(min=1e-30)) for a, b in pairs)


def same(one: dict[str, rd.Training], two: dict[str, rd.Training]) -> None:
    for name, training in one.items():
        assert difference(training, two[name]) == 0, name
        assert training.curve.to_json() == two[name].curve.to_json(), name


def test_every_architecture_is_trained_as_by_one_process() -> None:
    wanted = plans()
    # where a gradient is zero, Adam divides rounding by eps: at 1e-8 it would be seen
    options = {"dtype": torch.float64, "clip": 2.0, "optimiser": rd.Adam(eps=1e-4)}
    alone, shared = train(wanted, **options), train(wanted, workers=2, **options)
    for name in wanted:
        assert difference(alone[name], shared[name]) < 1e-9, name
        for key, figure in alone[name].curve.last().items():
            wanted_figure = pytest.approx(figure, rel=1e-9, abs=1e-12)
            assert shared[name].curve.last()[key] == wanted_figure, (name, key)
    assert "2 workers" in shared["sae.topk"].provenance.strategy
    assert "workers" not in alone["sae.topk"].provenance.strategy
    assert alone["sae.topk"].record == shared["sae.topk"].record


def test_float32_differs_by_rounding_alone_and_resampling_is_of_the_whole_batch() -> None:
    wanted = {name: replace(each, n_latents=96) for name, each in plans(*SAES).items()}
    options = {"resample": rd.Resampling(every=5, until=1.0), "steps": 30}
    alone, shared = train(wanted, **options), train(wanted, workers=2, **options)
    for name in wanted:
        assert difference(alone[name], shared[name]) < 1e-3, name
    unlike = train(wanted, **{**options, "resample": None})
    assert max(difference(alone[name], unlike[name]) for name in wanted) > 1e-2


def test_as_many_workers_give_the_same_bits_even_if_rows_do_not_divide() -> None:
    wanted = plans(*SAES)
    same(train(wanted, workers=3), train(wanted, workers=3))


def test_what_one_process_began_two_may_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = plans(*SAES)
    options = {"dtype": torch.float64, "keep_every": 8, "optimiser": rd.Adam(eps=1e-4)}

    class Stop:
        def start(self, stage: str, total: int) -> None:
            self.left = 12

        def advance(self, steps: int = 1) -> None:
            self.left -= steps
            if not self.left:
                raise KeyboardInterrupt

        def finish(self) -> None:
            pass

    with pytest.raises(KeyboardInterrupt):
        train(wanted, keep=tmp_path, progress=Stop(), **options)
    found = read_checkpoint(tmp_path)
    assert found is not None and found[1]["dictionaries"]["matryoshka"]["step"] == 8
    ended = train(wanted, keep=tmp_path, workers=2, **options)
    alone = train(wanted, **options)
    for name in wanted:
        assert difference(alone[name], ended[name]) < 1e-9, name
    monkeypatch.setattr(crew.Crew, "__enter__", None)  # nothing is left to do: nobody is hired
    same(ended, train(wanted, keep=tmp_path, workers=2, **options))


# -- processes that are killed -----------------------------------------------------------------


def test_a_killed_worker_is_named_and_costs_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hired: list[subprocess.Popen[bytes]] = []
    begin = worker_processes.WorkerProcess.start

    def start(self: worker_processes.WorkerProcess, *given: object) -> None:
        begin(self, *given)  # pyright: ignore[reportArgumentType]
        assert self._process is not None
        hired.append(self._process)

    class Killer:
        done = 0

        def start(self, stage: str, total: int) -> None:
            pass

        def advance(self, steps: int = 1) -> None:
            self.done += steps
            if self.done == 13:
                hired[0].kill()

        def finish(self) -> None:
            pass

    monkeypatch.setattr(worker_processes.WorkerProcess, "start", start)
    wanted, options = plans(*SAES), {"keep_every": 5, "workers": 2}
    with pytest.raises(OptionError) as caught:
        train(wanted, keep=tmp_path, progress=Killer(), **options)
    assert f"worker 2 of 2 (process {hired[0].pid}) was lost: killed by signal 9" in str(
        caught.value
    )
    assert "goes on from the last checkpoint" in caught.value.mend
    assert all(each.poll() is not None for each in hired)
    found = read_checkpoint(tmp_path)
    assert found is not None and found[1]["dictionaries"]["matryoshka"]["step"] == 10
    same(train(wanted, **options), train(wanted, keep=tmp_path, **options))


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
import test_training_shares as own
class Listener:
    def start(self, stage, total): pass
    def advance(self, steps=1): print(steps, flush=True)
    def finish(self): pass
own.train(own.plans(*own.SAES), keep=Path(sys.argv[1]), steps=80, keep_every=10, workers=2,
          progress=Listener())
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are read from /proc")
def test_a_killed_training_leaves_no_workers_and_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD.format(tests=str(Path(__file__).parent)), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        done = 0
        for line in child.stdout:
            done += int(line)
            if done >= 25:
                break
        workers = children(child.pid)
        assert len(workers) == 1
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while any(map(running, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(running, workers))
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert 20 <= found[1]["dictionaries"]["matryoshka"]["step"] < 80
    options = {"steps": 80, "keep_every": 10, "workers": 2}
    wanted = plans(*SAES)
    same(train(wanted, **options), train(wanted, keep=tmp_path, **options))


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(each) for task in tasks for each in (task / "children").read_text().split()]


def running(pid: int) -> bool:
    """Whether it has not ended; what nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text", "mend"),
    [
        ({"workers": 0}, "workers=0 is out of range", "1 or more"),
        ({"workers": "2"}, "workers='2' is out of range", "1 or more"),
        ({"workers": 51}, "workers=51 cannot share a batch of 50 rows", "50 workers at most"),
        ({"workers": 2, "device": "cuda"}, "to be on cuda", 'device="cpu"'),
    ],
)
def test_workers_that_cannot_be(given: dict, text: str, mend: str) -> None:
    with pytest.raises(OptionError, match=text) as caught:
        train(plans("sae.topk"), **given)
    assert mend in caught.value.mend


def test_what_a_worker_refuses_is_said_as_if_by_one_process() -> None:
    class Broken(rd.TensorSource):
        def batches(self, size: int):
            for batch in super().batches(size):
                values = batch.values.clone()
                values[-1] = torch.nan  # in the rows of the last worker
                yield replace(batch, values=values)

    source = Broken(stream().values, SITES)
    wanted = replace(plans("sae.topk")["sae.topk"], normalise=False)
    said = []
    for workers in (1, 2):
        with pytest.raises(ShapeError, match="NaN or infinity") as caught:
            rd.train_dictionary(source, plan=wanted, steps=2, batch_size=BATCH, workers=workers)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_the_command_line_takes_workers(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from residuum.apps.cli import main

    words = [
        "sae", "train", "microworld", "microworld", "--at", "L2.resid_post", "--tokens", "1500",
        "--latents", "64", "--k", "4", "--samples", "2048", "--batch-size", "256", "--json",
    ]  # fmt: skip
    found = []
    for workers in ("1", "2"):
        assert main([*words, "--out", str(tmp_path / workers), "--workers", workers]) == 0
        data = json.loads(capsys.readouterr().out)
        assert ("2 workers" in data["provenance"]["strategy"]) == (workers == "2")
        found.append(rd.read_dictionary(tmp_path / workers).tensors()["W_dec"])
    assert float((found[0] - found[1]).norm() / found[0].norm()) < 1e-3
    assert main([*words, "--out", str(tmp_path / "none"), "--workers", "300"]) == 2
    assert "cannot share a batch of 256 rows" in capsys.readouterr().err


def test_shared_tensors_are_seen_through_every_mapping() -> None:
    wanted = {"a": (torch.float64, (3, 2)), "b/x": (torch.bool, (5,)), "b/y": (torch.float32, (1,))}
    places = shared_places(wanted)
    memory = open_memory(places)
    one, two = SharedTensors(memory, places), SharedTensors(memory, places)
    os.close(memory)
    one["a"].copy_(torch.arange(6.0).view(3, 2))
    one["b/x"][4] = True
    assert two["a"].tolist() == [[0, 1], [2, 3], [4, 5]] and two["a"].dtype == torch.float64
    assert {name: each.tolist() for name, each in two.below("b/").items()} == {
        "x": [False] * 4 + [True],
        "y": [0.0],
    }
