"""The store's folder: refused where it cannot be written, measured, and tidied without loss."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from workbench_server import PROMPT, Server, opened

import residuum as rz
from residuum.apps.workbench.book import Book
from residuum.apps.workbench.sizes import captured_bytes
from residuum.apps.workbench.store_folder import made, measured, tidy
from residuum.core import Address, OptionError, StoreError

NUMBERS = [0.5] * 128


def _value(server: Server, number: float) -> Any:
    return server.post("/api/values", **{"from": "numbers", "values": [number] * 128})["value"]


def _add(value: Any) -> dict[str, Any]:
    return {"kind": "add", "at": "L1.resid_post@-1", "value": value}


def test_tidying_removes_what_no_run_refers_to_and_nothing_else(tmp_path: Path) -> None:
    server = opened(tmp_path)
    used, loose = _value(server, 0.5), _value(server, 0.25)
    record = server.run(PROMPT, _add(used))
    facts = server.get("/api/store")
    assert facts["folder"] == str(tmp_path) and facts["records"] == 1
    assert facts["tensors"]["files"] == 2 and facts["tensors"]["size_bytes"] > 2 * 4 * 128
    assert facts["runs"] == {"files": 1, "size_bytes": (tmp_path / "runs.jsonl").stat().st_size}
    with pytest.raises(OptionError, match="is in use"):
        tidy(tmp_path)
    server.bench.close()
    half = tmp_path / "tensors" / f".{used['hash']}.safetensors.0123"
    half.write_bytes(b"half")
    done = tidy(tmp_path)
    assert (done.runs, done.kept, done.removed) == (1, 1, 2) and done.freed_bytes > 4 * 128
    names = {each.name for each in (tmp_path / "tensors").iterdir()}
    assert names == {f"{used['hash']}.safetensors"} and not half.exists()
    again = opened(tmp_path)
    assert again.run(PROMPT, _add(used)) == record
    gone = again.client.post("/api/runs", json={"model": "microworld", "text": PROMPT,
                                                "edits": [_add(loose)]})  # fmt: skip
    assert gone.status_code == 400 and "no tensor" in gone.json()["what"]
    again.bench.close()
    assert tidy(tmp_path).removed == 0, "tidying twice is harmless"


def test_several_edits_of_one_run_keep_all_their_tensors(tmp_path: Path) -> None:
    server = opened(tmp_path)
    erase = {"kind": "erase", "at": "L1.resid_post", "directions": _value(server, 1.0)}
    server.run(PROMPT, _add(_value(server, 2.0)), erase)
    server.bench.close()
    assert tidy(tmp_path).removed == 0 and measured(tmp_path)["tensors"].files == 2


def test_a_damaged_history_loses_no_tensor(tmp_path: Path) -> None:
    server = opened(tmp_path)
    _value(server, 0.5)
    server.bench.close()
    (tmp_path / "runs.jsonl").write_text("{}\n")
    with pytest.raises(StoreError, match="damaged"):
        tidy(tmp_path)
    assert measured(tmp_path)["tensors"].files == 1


def test_where_there_is_no_store_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="there is no store in"):
        tidy(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(StoreError, match="the store cannot be written to") as refused:
            made(place)
        assert "--store DIR" in refused.value.mend and refused.value.where == str(place)


def test_a_full_disk_is_told_and_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = opened(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("residuum.stores.tensor_store.write_atomically", full)
    monkeypatch.setattr("residuum.stores.run_history._write_all", full)
    values = {"from": "numbers", "values": NUMBERS}
    asked = {"/api/values": values, "/api/runs": {"model": "microworld", "text": PROMPT}}
    for url, body in asked.items():
        refused = server.client.post(url, json=body)
        assert refused.status_code == 400 and "No space left" in refused.json()["what"]
        assert "--tidy" in refused.json()["mend"]
    server.bench.close()


def test_sizes_are_those_of_what_is_captured() -> None:
    model = rz.load("microworld")
    ids = [1, 180, 544, 200]
    sites = [str(site) for site in model.sites]
    parts = [
        "L1.z[H3]",
        "L1.head_out@-1",
        "L1.head_out[H2]@1:3",
        "L1.pattern[H0]@2",
        "L1.mlp_act[N5]",
    ]
    run = model.run([ids], capture=[*sites, "L1.head_out@-1"])
    for at in [*sites, *parts]:
        assert captured_bytes(model, Address.parse(at), len(ids)) == run[at].nbytes, at


def test_one_position_of_a_long_prompt_fits(tmp_path: Path) -> None:
    model, ids = rz.load("microworld"), [1] * 60
    book = Book(tmp_path, largest=captured_bytes(model, Address.parse("L1.head_out@-1"), 60))
    assert "L1.head_out@-1" in book.make(model, ids, (), ["L1.head_out@-1"]).run
    with pytest.raises(OptionError, match="GB of memory"):
        book.make(model, ids, (), ["L1.head_out"])


def _serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "residuum", "serve", "--no-browser", *arguments],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip


def test_tidying_on_the_command_line(tmp_path: Path) -> None:
    server = opened(tmp_path)
    _value(server, 0.5)
    server.run()
    server.bench.close()
    told = _serve("--store", str(tmp_path), "--tidy", "--json")
    assert told.returncode == 0 and json.loads(told.stdout)["removed"] == 1, told.stderr
    told = _serve("--store", str(tmp_path), "--tidy")
    assert told.stdout.startswith(f"{tmp_path}: 0 files") and "kept 1 runs" in told.stdout
    refused = _serve("--store", str(tmp_path / "none"), "--tidy")
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 2


def test_a_bad_store_is_told_before_the_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "runs.jsonl").write_text("{}\n")
    for place in ("file", "file/inside", "damaged"):
        told = _serve("--store", str(tmp_path / place), "--port", "0")
        assert told.returncode == 2 and told.stdout == "", place
        assert len(told.stderr.splitlines()) == 2, told.stderr
