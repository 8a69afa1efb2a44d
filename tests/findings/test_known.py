"""What a bench computed already is not computed again, and is the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import residuum as rz
from residuum.findings.chain import known
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.replacement import ablated, lost
from residuum.runs import Model

PARTS = ("L0.z[H1]", "L2.z[H3]", "L1.mlp_out")


@pytest.fixture
def passes(model: Model, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """One entry for each forward pass."""
    made: list[Any] = []
    run = Model.run

    def counted(self: Model, *args: Any, **options: Any) -> Any:
        made.append(options.get("edits"))
        return run(self, *args, **options)

    monkeypatch.setattr(Model, "run", counted)
    yield made


def test_a_side_is_run_again_only_for_further_sites(model: Model, passes: list[Any]) -> None:
    bench = Bench(model, rz.task("ioi", model, n=6))
    first = bench.run("clean", ["L0.z"])
    assert bench.run("clean", ["L0.z"]) is first and len(passes) == 1
    both = bench.run("clean", ["L1.z"])
    assert len(passes) == 2 and torch.equal(both["L0.z"], first["L0.z"])
    assert bench.run("clean", ["L0.z", "L1.z"]) is both and len(passes) == 2
    assert not torch.equal(bench.run("corrupt", ["L0.z"])["L0.z"], first["L0.z"])
    assert torch.equal(bench.logits("clean"), bench.logits("clean")) and len(passes) == 4
    bench.logits("clean", [rz.Zero("L0.z[H1]")])
    assert len(passes) == 5 and bench.clean.shape == (6,) and len(passes) == 5


def test_what_is_too_large_is_not_kept(
    model: Model, passes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(model, rz.task("ioi", model, n=6))
    bench.run("clean", ["L0.z"])
    monkeypatch.setattr(known, "LARGEST", 1)
    large = bench.run("clean", ["L1.z"])
    assert "L1.z" in {str(at) for at in large.captured} and not bench.known.runs
    bench.logits("clean")
    bench.logits("clean")
    assert not bench.known.values and len(passes) == 4


@pytest.mark.parametrize("how", [rz.MeanAblation(), rz.ResampleAblation(seed=3), "other seed"])
def test_removals_are_those_of_a_bench_that_knows_nothing(
    model: Model, passes: list[Any], how: Any
) -> None:
    task = rz.task("ioi", model, n=32)
    bench = Bench(model, task)
    if how == "other seed":  # another draw is not taken for the one that is known
        ablated(bench, PARTS, rz.ResampleAblation(seed=3))
        how = rz.ResampleAblation(seed=4)
    ablated(bench, PARTS[:1], how)
    mine = lost(bench, ablated(bench, PARTS, how))
    assert mine == pytest.approx(lost(Bench(model, task), ablated(Bench(model, task), PARTS, how)))
    before = len(passes)
    ablated(bench, PARTS, how)
    assert len(passes) == before
