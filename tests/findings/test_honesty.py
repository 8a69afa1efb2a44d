"""A few runs of each count of the honesty benchmark, on the small models, and how it counts."""

from __future__ import annotations

import importlib.util
import json
import sys
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import residuum as rz


@pytest.fixture(scope="module")
def benchmark(root: Path) -> ModuleType:
    path = root / "benchmarks" / "run_findings_honesty.py"
    spec = importlib.util.spec_from_file_location("run_findings_honesty", path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["run_findings_honesty"] = made
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize(
    ("kind", "count", "status"),
    [("cannot", "absent", "not supported"), ("circuits", "wrong", "not supported"),
     ("hand_set", "known", "supported")],
)  # fmt: skip
def test_a_few_runs_of_each_count(benchmark: Any, kind: str, count: str, status: str) -> None:
    cases = islice(benchmark.KINDS[kind](1.0), 2)
    found = [benchmark.judged(case, known=count == "known") for case in cases]
    assert [run["status"] for run in found] == [status] * 2
    assert [run["present"] for run in found] == [count != "absent"] * 2


def run(status: str, present: bool = True, core: str = "") -> dict[str, Any]:
    return {"label": status, "status": status, "core": core or status, "present": present}


def test_the_counts_can_fail(benchmark: Any) -> None:
    def of(count: str, runs: list[dict[str, Any]]) -> Any:
        names = benchmark.COUNTS[count]
        kinds = {name: {"runs": []} for name in names} | {names[0]: {"runs": runs}}
        return benchmark.counted(kinds)[count]

    no, yes = run("not supported"), run("supported")
    assert of("absent", [no] * 20)["met"] and not of("absent", [no] * 20 + [yes])["met"]
    assert of("wrong", [no] * 157 + [yes] * 3)["met"]
    assert not of("wrong", [no] * 156 + [yes] * 4)["met"]
    assert not of("wrong", [no] * 100)["met"]  # too few runs
    assert of("known", [yes] * 19 + [no])["met"] and not of("known", [yes] * 18 + [no] * 2)["met"]


def test_wrong_mechanisms_count_where_the_behaviour_is_there(benchmark: Any) -> None:
    runs = [run("not supported", present=False), run("undecided", core="supported")]
    found = benchmark.of_runs(runs, "wrong")
    assert (found["runs"], found["not_counted"], found["undecided"]) == (1, 1, 1)
    assert found["supported_by_the_core_alone"] == 1
    assert benchmark.of_runs([run("supported")], "wrong")["odd"] == ["supported"]
    assert benchmark.of_runs([run("undecided")], "known")["odd"] == ["undecided"]


def test_a_partly_right_set_is_wrong_and_one_that_holds_all_is_not(benchmark: Any) -> None:
    runs = [
        run("supported") | {"shared_parts": 2},
        run("supported") | {"shared_parts": 4, "all_right": True},
        run("undecided"),
    ]
    found = benchmark.of_runs(runs, "wrong")
    assert (found["runs"], found["supported"], found["sharing"]) == (2, 1, 1)
    assert found["sharing_supported"] == ["supported"] and found["not_counted"] == 1


def test_a_wrong_head_set_has_none_of_the_right_ones(benchmark: Any) -> None:
    right = ("L0.z[H1]", "L2.z[H5]", "L1.mlp_out")
    drawn = benchmark.others(rz.load("microworld"), right, np.random.default_rng(0))
    assert len(set(drawn)) == 3 and not set(drawn) & set(right)


def test_relabelled_pairs_have_the_same_prompts_and_answers_elsewhere(benchmark: Any) -> None:
    task = benchmark.repeats(0)
    other = benchmark.relabelled(task, 0)
    assert other.clean.equal(task.clean) and not other.answers.equal(task.answers)
    both, again = (sorted(map(sorted, zip(each.answers.tolist(), each.wrong.tolist(), strict=True)))
                   for each in (task, other))  # fmt: skip
    assert both == again


def test_what_the_model_cannot_do_is_what_stands_two_later(benchmark: Any) -> None:
    task = benchmark.two_later(0)
    for clean, right, wrong in zip(
        task.clean.tolist(), task.answers[:, 0].tolist(), task.wrong[:, 0].tolist(), strict=True
    ):
        assert clean[clean.index(clean[-1]) + 2] == right != wrong
    assert len(task) == benchmark.N


def test_kinds_that_are_run_apart_are_kept_together(benchmark: Any, tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    benchmark.kept(path, "cannot", {"runs": [run("not supported", present=False)]})
    benchmark.kept(path, "circuits", {"runs": [run("not supported")]})
    data = json.loads(path.read_text())
    assert set(data["kinds"]) == {"cannot", "circuits"}
    assert data["counts"]["absent"]["runs"] == 1 and not data["counts"]["absent"]["met"]
    assert benchmark.report(path) == 1
