"""Edits in files: the same edits, with their numbers, in another process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from residuum.core import (
    Add,
    Edit,
    EditError,
    Erase,
    Freeze,
    Mean,
    Patch,
    Resample,
    Scale,
    Set,
    Splice,
    StoreError,
    Zero,
)  # fmt: skip
from residuum.stores import load_edits, save_edits

EDITS: list[Edit] = [
    Zero("L2.z[H3]"),
    Freeze("L0.pattern"),
    Scale("L1.mlp_out@-1", 0.5),
    Set("L1.resid_post", np.arange(3, dtype="float32")),
    Patch("L1.z", torch.ones(1, 2, 2, 2).bfloat16()),
    Mean("L1.attn_out", torch.full((4,), 0.25, dtype=torch.float64)),
    Add("L1.resid_pre", [1.0, 2.0], scale=3),
    Resample("L1.z[H0]", seed=7),
    Resample("L1.z[H0]", value=np.ones((2, 3))),
    Erase("L1.resid_post", [1.0, 0.0]),
    Erase("L1.resid_post", matrix=np.eye(2), bias=np.ones(2)),
    Splice("L1.mlp_out", "sae", keep_error=True),
]


def test_round_trip(tmp_path: Path) -> None:
    path = save_edits(EDITS, tmp_path / "edits.json")
    again = load_edits(path)
    assert again == tuple(EDITS)
    for edit, other in zip(EDITS, again, strict=True):
        for name, ref in edit.tensors().items():
            live = other.tensors()[name].payload
            assert torch.equal(torch.as_tensor(live), torch.as_tensor(ref.payload))


def test_loaded_edits_can_be_saved_elsewhere(tmp_path: Path) -> None:
    loaded = load_edits(save_edits(EDITS, tmp_path / "edits.json"))
    again = load_edits(save_edits(loaded, tmp_path / "elsewhere" / "edits.json"))
    assert again == tuple(EDITS)


def test_the_file_is_plain_and_refers_to_tensors_by_hash(tmp_path: Path) -> None:
    path = save_edits(EDITS[:4], tmp_path / "edits.json")
    record = json.loads(path.read_text())
    assert record["format"] == "residuum-edits/1"
    assert record["edits"][0] == {"kind": "zero", "at": "L2.z[H3]"}
    name = record["edits"][3]["value"]["hash"]
    assert (tmp_path / "edits.json.tensors" / f"{name}.safetensors").exists()


def test_no_edits_need_no_folder(tmp_path: Path) -> None:
    assert load_edits(save_edits([], tmp_path / "none.json")) == ()
    assert [each.name for each in tmp_path.iterdir()] == ["none.json"]


def test_an_edit_without_its_numbers_is_not_saved(tmp_path: Path) -> None:
    from residuum.core import edit_from_json

    bare = edit_from_json(Set("L0.z", [1.0]).to_json())
    with pytest.raises(StoreError, match="no tensor"):
        save_edits([bare], tmp_path / "edits.json")
    assert list(tmp_path.iterdir()) == []


def test_missing_tensors_are_an_error(tmp_path: Path) -> None:
    path = save_edits(EDITS, tmp_path / "edits.json")
    moved = path.rename(tmp_path / "alone.json")
    with pytest.raises(StoreError, match="copy the folder of tensors along"):
        load_edits(moved)


BAD = [
    ("{", "this is not a file of edits: not JSON"),
    ("[]", 'its keys are not "format" and "edits"'),
    ('{"format": "residuum-edits/1", "edits": [], "more": 1}', "its keys are not"),
    ('{"format": "other/1", "edits": []}', "its format is 'other/1'"),
    ('{"format": "residuum-edits/1", "edits": 3}', '"edits" is not a list of objects'),
]


@pytest.mark.parametrize(("text", "what"), BAD)
def test_foreign_files_are_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "edits.json"
    path.write_text(text)
    with pytest.raises(StoreError) as caught:
        load_edits(path)
    assert what in caught.value.what
    assert caught.value.mend == "give a file that save_edits wrote (residuum-edits/1)"
    assert caught.value.where == str(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such file of edits"):
        load_edits(tmp_path / "edits.json")


def test_unknown_fields_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "edits.json"
    edit = {"kind": "zero", "at": "L0.z", "loud": True}
    path.write_text(json.dumps({"format": "residuum-edits/1", "edits": [edit]}))
    with pytest.raises(EditError, match="unknown 'loud'"):
        load_edits(path)
