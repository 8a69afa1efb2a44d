"""Shards of tokens: round trips, what is refused, and what plain NumPy reads."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from residuum.core import OptionError, ShapeError, StoreError
from residuum.stores import TokenRows, TokenShards, as_float32, token_shards

WORK = {"model": "abc", "text": "def"}


def rows_of(n: int, dtype: str = "float16", sites: int = 2, d: int = 3) -> TokenRows:
    rng = np.random.default_rng(n)
    values = torch.from_numpy(rng.normal(size=(n, sites, d)).astype("f4"))
    kept = values.to(getattr(torch, dtype))
    bits = kept.view(torch.int16).numpy().view("u2") if dtype == "bfloat16" else kept.numpy()
    column = np.arange(n, dtype="i4")
    return TokenRows(column, column + 1, column // 2, values.norm(dim=-1).numpy(), bits)


def opened(folder: Path, dtype: str = "float16", work: Any = None, **more: Any) -> TokenShards:
    sites = ["L0.resid_post", "L1.resid_post"]
    return TokenShards.open(folder, work or WORK, sites, 3, count=2, dtype=dtype, **more)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_what_is_written_is_read_and_so_it_is_by_safetensors(tmp_path: Path, dtype: str) -> None:
    shards, rows = opened(tmp_path, dtype), rows_of(7, dtype)
    digest = shards.write(0, rows, {"skipped": "{}"})
    found = shards.read(0)
    for name in ("token_ids", "positions", "documents", "norms", "values"):
        assert np.array_equal(getattr(found, name), getattr(rows, name)), name
    peer = load_file(shards.path(0))
    assert peer["values"].dtype == getattr(torch, dtype)
    assert np.array_equal(peer["values"].float().numpy(), as_float32(found.values))
    assert shards.check(0) == digest and shards.header(0).words["skipped"] == "{}"
    assert shards.missing == (1,)


def test_a_shard_without_rows_is_a_shard(tmp_path: Path) -> None:
    shards = opened(tmp_path)
    shards.write(1, rows_of(0))
    assert len(shards.read(1)) == 0 and shards.read(1).values.shape == (0, 2, 3)


def test_the_same_work_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    opened(tmp_path, lineage={"residuum": "1"}).write(0, rows_of(2))
    assert opened(tmp_path, lineage={"residuum": "2"}).missing == (1,)
    assert TokenShards.load(tmp_path).work == WORK
    with pytest.raises(StoreError, match="another harvest: model differ") as error:
        opened(tmp_path, work={**WORK, "model": "other"})
    assert "give another folder" in error.value.mend
    with pytest.raises(StoreError, match="another harvest: dtype differ"):
        opened(tmp_path, "float32")


@pytest.mark.parametrize(
    ("name", "what"),
    [("notes.txt", "it holds other files, such as 'notes.txt'"),
     ("shard-000000.safetensors", "it has shards but no record")],
)  # fmt: skip
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(StoreError, match=what) as error:
        opened(tmp_path)
    assert error.value.mend == "give an empty folder, or one that does not exist yet"
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / "harvest.json").write_text("{")
    with pytest.raises(StoreError, match="its record is damaged"):
        opened(tmp_path)
    with pytest.raises(StoreError, match="no harvest of activations here"):
        TokenShards.load(tmp_path)
    with pytest.raises(StoreError, match=r"no harvest\.json") as error:
        TokenShards.load(tmp_path / "elsewhere")
    assert "keep=FOLDER" in error.value.mend


def test_an_edited_record_is_refused(tmp_path: Path) -> None:
    opened(tmp_path)
    path = tmp_path / "harvest.json"
    record = json.loads(path.read_text())
    record["work"]["model"] = "forged"
    path.write_text(json.dumps(record))
    with pytest.raises(StoreError, match="another format, or damaged"):
        TokenShards.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [("format", "its record lacks format"), ("work", "its record lacks work"),
     ("lineage", "its record lacks lineage"), ("count", "its record lacks count")],
)  # fmt: skip
def test_a_record_that_lacks_an_entry_says_which(tmp_path: Path, name: str, words: str) -> None:
    opened(tmp_path)
    path = tmp_path / "harvest.json"
    record = json.loads(path.read_text())
    del record[name]
    path.write_text(json.dumps(record))
    with pytest.raises(StoreError, match=words):
        TokenShards.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [("[" * 100_000, "nested too deeply"), ("[]", "its record is no object"), ("{", "no JSON")],
)
def test_a_record_that_is_none_is_refused_in_one_line(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "harvest.json").write_text(text)
    with pytest.raises(StoreError, match=words) as error:
        TokenShards.load(tmp_path)
    assert "\n" not in error.value.what


@pytest.mark.parametrize(
    ("name", "value"),
    [("sites", 5), ("width", "x"), ("dtype", "int8"), ("count", [1]), ("lineage", 3)],
)
def test_an_entry_of_another_type_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    opened(tmp_path)
    path = tmp_path / "harvest.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, name: value}))
    with pytest.raises(StoreError, match=f"{name} in its record is of another type"):
        TokenShards.load(tmp_path)


def test_damaged_shards_are_named(tmp_path: Path) -> None:
    shards = opened(tmp_path)
    with pytest.raises(StoreError, match="shard 0 is not there"):
        shards.read(0)
    shards.write(0, rows_of(5))
    data = shards.path(0).read_bytes()
    shards.path(0).write_bytes(data[:-1])
    with pytest.raises(StoreError, match="shard 0 is damaged") as error:
        shards.read(0)
    mend = "delete shard-000000.safetensors and harvest again; the others are kept"
    assert error.value.mend == mend
    shards.path(0).write_bytes(b"")
    with pytest.raises(StoreError, match="shard 0 is damaged: 0 bytes"):
        shards.read(0)
    flipped = bytearray(data)
    flipped[-1] ^= 1
    shards.path(0).write_bytes(bytes(flipped))
    shards.read(0)
    with pytest.raises(StoreError, match="its values are not those that were written"):
        shards.check(0)


def test_a_full_disk_says_so_and_leaves_no_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = opened(tmp_path)

    def full(*_: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(token_shards, "write_arrays", full)
    with pytest.raises(StoreError, match="cannot write shard 0: No space left") as error:
        shards.write(0, rows_of(2))
    assert error.value.mend == "free some space and start again; finished shards are kept"
    assert shards.missing == (0, 1)


def test_what_a_kill_left_goes_when_its_shard_is_finished(tmp_path: Path) -> None:
    shards = opened(tmp_path)
    left = [tmp_path / f".{shards.path(i).name}.abc" for i in (0, 1)]
    for each in left:
        each.write_text("half")
    shards.write(0, rows_of(2))
    assert [each.exists() for each in left] == [False, True]


def test_a_note_that_the_disk_does_not_take_is_an_error(tmp_path: Path) -> None:
    shards = opened(tmp_path)
    (tmp_path / "limits.json").mkdir()
    with pytest.raises(StoreError, match="cannot write limits") as error:
        shards.take_note("limits", {})
    assert "free some space" in error.value.mend


def test_other_shapes_dtypes_and_sizes_are_refused(tmp_path: Path) -> None:
    shards = opened(tmp_path)
    with pytest.raises(ShapeError, match="takes float16 of shape"):
        shards.write(0, rows_of(2, "float32"))
    with pytest.raises(ShapeError, match=r"of shape \[2, 2, 3\], got float16 of shape \[2, 2, 4\]"):
        shards.write(0, rows_of(2, d=4))
    with pytest.raises(OptionError, match="dtype='int8'"):
        opened(tmp_path / "a", "int8")
    with pytest.raises(OptionError, match="count=0"):
        TokenShards.open(tmp_path / "b", WORK, ["L0.embed"], 3, count=0)
