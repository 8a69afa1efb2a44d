"""The history of runs: append-only, by content, and whole after a kill at any byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from residuum.core import StoreError, content_hash
from residuum.stores import RunHistory

text = st.text(max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
records = st.dictionaries(text, values, max_size=4)


def unique(given_records: list[dict]) -> dict[str, dict]:
    return {content_hash(each): each for each in given_records}


@given(st.lists(records, max_size=6))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, given_records: list[dict]) -> None:
    path = tmp_path_factory.mktemp("history") / "runs.jsonl"
    history = RunHistory(path)
    keys = [history.append(each) for each in given_records]
    assert keys == [content_hash(each) for each in given_records]
    for reader in (history, RunHistory(path)):
        assert list(reader) == list(unique(given_records))
        assert len(reader) == len(unique(given_records))
        assert all(reader[key] == each for key, each in unique(given_records).items())
        assert all(key in reader for key in keys)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 10_000))
def test_a_kill_at_any_byte_loses_at_most_the_last_run(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "runs.jsonl"
    path.unlink(missing_ok=True)
    history = RunHistory(path)
    runs = [{"prompt": [n], "note": "é\n"} for n in range(3)]
    for each in runs:
        history.append(each)
    whole = path.read_bytes()
    cut %= len(whole) + 1
    path.write_bytes(whole[:cut])
    finished = whole[:cut].count(b"\n")
    survivor = RunHistory(path)
    assert [survivor[key] for key in survivor] == runs[:finished]
    survivor.append({"prompt": ["after"]})
    expected = [*runs[:finished], {"prompt": ["after"]}]
    for reader in (survivor, RunHistory(path)):
        assert [reader[key] for key in reader] == expected
    assert path.read_bytes().startswith(b"".join(whole.splitlines(True)[:finished]))


def test_the_same_run_is_one_line(tmp_path: Path) -> None:
    history = RunHistory(tmp_path / "deep" / "runs.jsonl")
    assert history.append({"a": 1, "b": 2}) == history.append({"b": 2, "a": 1})
    assert len(history.path.read_text().splitlines()) == 1


def test_two_writers_see_each_other(tmp_path: Path) -> None:
    one, two = RunHistory(tmp_path / "runs.jsonl"), RunHistory(tmp_path / "runs.jsonl")
    one.append({"n": 1})
    two.append({"n": 2})
    one.append({"n": 3})
    two.append({"n": 1})
    assert [one[key]["n"] for key in one] == [two[key]["n"] for key in two] == [1, 2, 3]


def test_writers_in_other_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    code = (
        "import sys; from residuum.stores import RunHistory\n"
        "for n in range(20): RunHistory(sys.argv[1]).append({'who': sys.argv[2], 'n': n})"
    )
    command = [sys.executable, "-c", code, str(path)]
    workers = [subprocess.Popen([*command, str(who)]) for who in range(3)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0, 0]
    assert len(RunHistory(path)) == 60


def test_records_are_the_readers_own(tmp_path: Path) -> None:
    history = RunHistory(tmp_path / "runs.jsonl")
    record = {"edits": ["a"]}
    key = history.append(record)
    record["edits"].append("b")
    history[key]["edits"].append("c")
    assert history[key] == {"edits": ["a"]}


def test_a_beginning_of_the_hash_is_enough(tmp_path: Path) -> None:
    history = RunHistory(tmp_path / "runs.jsonl")
    key = history.append({"n": 1})
    assert history[key[:8]] == {"n": 1}
    assert key[:8] not in history
    for wrong, what in (("zz", "no run 'zz'"), ("", "more than one run ''")):
        history.append({"n": 2})
        with pytest.raises(StoreError) as caught:
            history[wrong]
        assert what in caught.value.what
        assert "eight digits are usually enough" in caught.value.mend


def test_a_history_that_is_not_there_is_empty(tmp_path: Path) -> None:
    history = RunHistory(tmp_path / "runs.jsonl")
    assert list(history) == []
    assert not history.path.exists()


def test_a_file_that_was_taken_away_is_begun_anew(tmp_path: Path) -> None:
    history = RunHistory(tmp_path / "runs.jsonl")
    history.append({"n": 1})
    history.path.unlink()
    assert len(history) == 0
    history.append({"n": 2})
    assert [history[key] for key in history] == [{"n": 2}]


@pytest.mark.parametrize(
    "record", [{"loss": float("nan")}, {"x": object()}, {"x": {1: "a"}}, {"x": (1, {2: 3})}]
)
def test_only_plain_data(tmp_path: Path, record: dict) -> None:
    with pytest.raises(StoreError) as caught:
        RunHistory(tmp_path / "runs.jsonl").append(record)
    assert caught.value.what.startswith("a run record must be plain data: ")
    assert caught.value.mend.endswith("tensors go to a TensorStore")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", ["{", "[]", '{"hash": "x"}', '{"hash": "x", "record": {}}'])
def test_damage_in_the_middle_is_an_error(tmp_path: Path, line: str) -> None:
    history = RunHistory(tmp_path / "runs.jsonl")
    history.append({"n": 1})
    first = history.path.read_text()
    entry = json.loads(first)
    assert entry == {"hash": content_hash({"n": 1}), "record": {"n": 1}}
    history.path.write_text(f"{first}{line}\n{first}")
    with pytest.raises(StoreError) as caught:
        len(RunHistory(history.path))
    assert f"the run history is damaged at byte {len(first)}: " in caught.value.what
    assert caught.value.mend == "move the file away, or delete the line at that byte"
    with pytest.raises(StoreError):
        history.append({"n": 2})
