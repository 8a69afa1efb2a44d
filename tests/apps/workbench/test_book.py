"""Runs: their identity, their numbers, their history, and the room that they take."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from workbench_server import PROMPT, Server, opened

import residuum as rz
from residuum.apps.workbench.book import Book, _bytes
from residuum.apps.workbench.refusals import Conflict
from residuum.core import OptionError, StoreError, edit_from_json

ZERO = {"kind": "zero", "at": "L2.z[H3]"}
ADD = {"kind": "add", "at": "L1.resid_post@-1", "value": [0.5] * 128, "scale": 2.0}


@pytest.fixture(scope="module")
def model() -> rz.Model:
    return rz.load("microworld")


def test_the_record_is_the_librarys_run(server: Server, model: rz.Model) -> None:
    record = server.run(PROMPT, ZERO, ADD)
    run = model.run(PROMPT, edits=[edit_from_json(each) for each in (ZERO, ADD)])
    assert record["hash"] == run.hash and record["id"] == run.hash[:16]
    assert record["fired"] == list(run.fired.values()) == [1, 1]
    assert record["ids"] == run.ids[0].tolist() and record["tokens"] == list(run.tokens[0])
    assert record["edits"] == [edit.to_json() for edit in run.edits]
    probs = run.last[0].double().softmax(-1)
    top = probs.topk(10)
    assert [each["id"] for each in record["predictions"]] == top.indices.tolist()
    np.testing.assert_allclose([e["prob"] for e in record["predictions"]], top.values, rtol=1e-5)
    assert server.get(f"/api/runs/{record['id']}") == record


def test_edits_change_the_id_and_the_numbers(server: Server) -> None:
    plain, edited = server.run(), server.run(PROMPT, ZERO)
    assert plain["id"] != edited["id"]
    assert plain["predictions"][0]["prob"] != edited["predictions"][0]["prob"]
    assert server.run(PROMPT, ZERO) == edited, "the same run is the same record"


def test_more_predictions_for_one_answer_leave_the_record_alone(server: Server) -> None:
    record = server.run()
    assert len(server.run(top_k=3)["predictions"]) == 3
    assert len(server.run(top_k=50)["predictions"]) == 50
    assert server.get(f"/api/runs/{record['id']}") == record


def test_what_views_need_is_captured_in_the_same_pass(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    loaded: Any = server.bench.desk("microworld").model
    ran = loaded.run
    monkeypatch.setattr(loaded, "run", lambda *a, **k: passes.append(k) or ran(*a, **k), False)
    record = server.run("The capital of France is", views=["attention"])
    server.look("attention", run=record["id"])
    server.run("The capital of France is")
    assert len(passes) == 1 and record["passes"] == 1


def test_history_survives_a_restart_and_runs_are_made_again(tmp_path: Path) -> None:
    first = opened(tmp_path)
    made = [first.run(), first.run(PROMPT, ZERO, ADD)]
    shown = first.look("attention", run=made[1]["id"])
    first.bench.close()
    second = opened(tmp_path)
    assert second.get("/api/runs")["runs"] == made[::-1]
    again = second.look("attention", run=made[1]["id"])
    assert shown[0] == again[0]
    for name, array in shown[1].items():
        np.testing.assert_array_equal(again[1][name], array)
    assert second.run(PROMPT, ZERO, ADD) == made[1]
    second.bench.close()


def test_two_servers_on_one_store_see_each_others_runs(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    record = one.run()
    assert two.get(f"/api/runs/{record['id']}") == record
    assert two.run() == record and len(one.get("/api/runs")["runs"]) == 1
    one.bench.close()
    two.bench.close()


def test_a_damaged_history_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_text(json.dumps({"hash": "0", "record": {}}) + "\n")
    with pytest.raises(StoreError, match="damaged"):
        Book(tmp_path)


def test_other_weights_are_told_and_not_shown(tmp_path: Path, model: rz.Model) -> None:
    book = Book(tmp_path)
    made = book.make(model, [1, 180, 544], ())
    record = {"id": made.id, "hash": "f" * 64, "ids": [1, 180, 544], "edits": []}
    with pytest.raises(Conflict, match="has other weights now"):
        book.again(model, record)


def test_captured_tensors_stay_within_their_room(tmp_path: Path, model: rz.Model) -> None:
    prompts = [[1, 180, each] for each in range(200, 220)]
    book = Book(tmp_path, room=60_000)
    for ids in prompts:
        book.make(model, ids, (), ["pattern", "resid_post"])
    held = [run for run in book._runs.values() if run.logits is not None]
    used = sum(each.nbytes for run in held for each in [run.logits, *run.captured.values()])
    assert 0 < used <= 60_000 and 1 <= len(held) < len(prompts)
    assert book.make(model, prompts[-1], (), ["pattern"]).passes == 0
    again = book.make(model, prompts[0], (), ["pattern"])
    assert again.passes == 1
    plain = model.run(torch.tensor([prompts[0]]), capture=["pattern"])
    torch.testing.assert_close(again.run["pattern", 0], plain["pattern", 0], rtol=0, atol=0)


def test_a_part_counts_as_the_whole_that_it_holds(tmp_path: Path, model: rz.Model) -> None:
    book = Book(tmp_path, room=0)
    book.make(model, [1, 180, 544], (), ["L1.pattern"])
    (key, run), *others = book._runs.items()
    assert not others, "the newest run stays, however little room there is"
    assert run.logits is not None
    whole = torch.zeros(50, *run.logits.shape)
    part = dataclasses.replace(run, logits=whole[0], captured={})
    assert _bytes([part]) == whole.nbytes > part.logits.nbytes
    assert _bytes([part, part]) == whole.nbytes, "what runs share counts once"
    book.room = whole.nbytes - 1
    book._keep("part", part)
    assert list(book._runs) == ["part"] and key != "part"


def test_more_than_there_is_room_for_is_refused_before_the_pass(
    tmp_path: Path, model: rz.Model
) -> None:
    book = Book(tmp_path, largest=1000)
    with pytest.raises(OptionError, match="GB of memory"):
        book.make(model, [1] * 20, (), ["pattern"])
    assert not book._runs


def test_further_sites_join_the_run_in_memory(tmp_path: Path, model: rz.Model) -> None:
    book = Book(tmp_path)
    first = book.make(model, [1, 180, 544], (), ["L0.pattern"])
    more = book.make(model, [1, 180, 544], (), ["L0.pattern", "resid_post"])
    assert first.passes == 1 and 0 < more.passes <= 1 and first.id == more.id
    assert "L0.pattern" in more.run and ("resid_post", 3) in more.run
    assert more.run.logits is first.run.logits


def test_a_toggled_edit_runs_only_what_it_changes(tmp_path: Path, model: rz.Model) -> None:
    book, needs = Book(tmp_path), ["pattern", "resid_post"]
    ids = model.to_tokens(PROMPT)
    last, early = rz.Zero("L3.z[H0]"), rz.Zero("L1.mlp_out")
    stacks = [(), (last,), (), (early,), (early, last), (rz.Scale("L2.z[H1]", 0.5), last)]
    passes = []
    for edits in stacks:
        made = book.make(model, ids[0].tolist(), edits, needs)
        plain = model.run(ids, edits=edits, capture=needs)
        torch.testing.assert_close(made.run.logits, plain.logits, rtol=0, atol=0)
        for at, value in plain.captured.items():
            torch.testing.assert_close(made.run.captured[at], value, rtol=0, atol=0)
        assert made.run.hash == plain.hash and made.run.fired == plain.fired
        passes.append(made.passes)
    assert passes == [1, 0.25, 0, 0.75, 0.25, 0.5]


def test_order_of_edits_is_part_of_what_a_run_goes_on_from(tmp_path: Path, model: rz.Model) -> None:
    book = Book(tmp_path)
    ids = model.to_tokens(PROMPT)
    edits = (rz.Scale("L0.mlp_out", 0.5), rz.Set("L0.mlp_out", 0.25), rz.Zero("L3.z[H0]"))
    for stack in (edits, (edits[1], edits[0], edits[2])):
        made = book.make(model, ids[0].tolist(), stack)
        plain = model.run(ids, edits=stack, capture=["resid_pre"])
        torch.testing.assert_close(made.run.logits, plain.logits, rtol=0, atol=0)


def test_prompts_do_not_go_on_from_each_other(tmp_path: Path, model: rz.Model) -> None:
    book = Book(tmp_path)
    for word in (180, 181, 180):
        ids = [1, word, 544, 517]
        made = book.make(model, ids, (rz.Zero("L3.z[H0]"),))
        plain = model.run(torch.tensor([ids]), edits=[rz.Zero("L3.z[H0]")], capture=["resid_pre"])
        torch.testing.assert_close(made.run.logits, plain.logits, rtol=0, atol=0)
