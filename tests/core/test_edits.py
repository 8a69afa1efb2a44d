"""Edits are data: every kind survives JSON, and what cannot be meant is refused at once."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from core_strategies import addresses, queries
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from residuum.core import (
    EDITS,
    Add,
    Address,
    Edit,
    EditError,
    Erase,
    Freeze,
    Mean,
    Patch,
    Resample,
    ResiduumError,
    Scale,
    Set,
    ShapeError,
    Splice,
    Zero,
    edit_from_json,
)

finite = st.floats(-1e6, 1e6, width=32)
places = addresses() | queries()
arrays = hnp.arrays("float32", hnp.array_shapes(max_dims=3, max_side=4), elements=finite)
edits = st.one_of(
    st.builds(Zero, places),
    st.builds(Freeze, places),
    st.builds(Scale, places, finite),
    st.builds(Set, places, arrays),
    st.builds(Patch, places, arrays),
    st.builds(Mean, places, arrays),
    st.builds(Add, places, arrays, finite),
    st.builds(Resample, places, st.integers(0, 2**32), st.none() | arrays),
    st.builds(Erase, places, arrays),
    st.builds(lambda at, m, b: Erase(at, matrix=m, bias=b), places, arrays, st.none() | arrays),
    st.builds(Splice, places, st.just("sae"), st.booleans()),
)


def test_the_strategy_has_every_kind() -> None:
    kinds = {"zero", "mean", "resample", "patch", "add", "scale", "set", "erase", "freeze"}
    assert set(EDITS) == kinds | {"splice"}


@given(edits)
def test_json_round_trip(edit: Edit) -> None:
    text = json.dumps(edit.to_json(), allow_nan=False)
    again = edit_from_json(json.loads(text))
    assert again == edit
    assert hash(again) == hash(edit)
    assert type(again) is type(edit)
    assert again.to_json() == edit.to_json()


@given(edits)
def test_tensors_come_back_by_hash(edit: Edit) -> None:
    live = {ref.hash: ref.payload for ref in edit.tensors().values()}
    again = edit_from_json(edit.to_json(), live)
    for name, ref in again.tensors().items():
        np.testing.assert_array_equal(ref.payload, edit.tensors()[name].payload)


@pytest.mark.parametrize("kind", sorted(EDITS))
def test_every_kind_is_frozen_and_closed(kind: str) -> None:
    data: dict[str, Any] = {"kind": kind, "at": "L0.z", "surprise": 1}
    with pytest.raises(EditError) as caught:
        edit_from_json(data)
    assert "unknown 'surprise'" in caught.value.what
    assert f"fields of {kind} are: " in caught.value.mend
    assert EDITS[kind].__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_edits_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Zero("L0.z").at = Address("q", 1)  # type: ignore[misc]
    with pytest.raises(TypeError):
        Zero("L0.z", surprise=1)  # type: ignore[call-arg]


def test_edits_compare_by_content() -> None:
    assert Add("L0.z", [1.0, 2.0]) == Add("L0.z", np.array([1.0, 2.0]))
    assert Add("L0.z", [1.0, 2.0]) != Add("L0.z", [1.0, 2.5])
    assert Add("L0.z", torch.ones(2)) == Add("L0.z", np.ones(2, "float32"))
    assert Zero("blocks.0.attn.hook_z") == Zero(("z", 0)) == Zero("L0.z")
    assert Zero("L0.z") != Freeze("L0.z")


def test_the_value_is_a_private_copy() -> None:
    for value in (np.zeros(3), torch.zeros(3)):
        edit = Set("L0.resid_post", value)
        value += 1
        assert float(edit.value.payload.sum()) == 0


class FakeRun:
    def site_value(self, at: Address) -> np.ndarray:
        return np.full(2, float(at.layer))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Set, Patch, Mean, Add])
def test_a_run_hands_in_its_own_value(kind: type[Edit]) -> None:
    assert kind("L3.z", FakeRun()) == kind("L3.z", np.full(2, 3.0))  # type: ignore[call-arg]
    assert Resample("L3.z", value=FakeRun()) == Resample("L3.z", value=np.full(2, 3.0))


PRINTED = [
    (Zero("L2.z[H3]"), r"Zero('L2.z[H3]')"),
    (Zero("blocks.2.attn.hook_z[H3]@-1"), r"Zero('L2.z[H3]@-1')"),
    (Freeze("L3.attn_out"), "Freeze('L3.attn_out')"),
    (Scale("L1.mlp_out", 0.5), "Scale('L1.mlp_out', 0.5)"),
    (Scale("L1.mlp_out", 1), "Scale('L1.mlp_out', 1.0)"),
    (Patch("L2.z", np.zeros((2, 5), "float32")), "Patch('L2.z', <float32 [2, 5] {}>)"),
    (Add("L2.z", torch.ones(3)), "Add('L2.z', <float32 [3] {}>)"),
    (Add("L2.z", torch.ones(3), 2.0), "Add('L2.z', <float32 [3] {}>, scale=2.0)"),
    (Resample("L2.z"), "Resample('L2.z')"),
    (Resample("L2.z", 7, np.ones(2)), "Resample('L2.z', seed=7, value=<float64 [2] {}>)"),
    (Erase("L2.z", [3.0, 4.0]), "Erase('L2.z', directions=<float64 [2] {}>)"),
    (Splice("L2.z", "sae"), "Splice('L2.z', 'sae')"),
    (Splice("L2.z", "sae", True), "Splice('L2.z', 'sae', keep_error=True)"),
]


@pytest.mark.parametrize(("edit", "text"), PRINTED, ids=[row[1] for row in PRINTED])
def test_edits_print_as_they_are_written(edit: Edit, text: str) -> None:
    digits = [ref.hash[:8] for ref in edit.tensors().values()]
    assert repr(edit) == text.format(*digits)
    if not digits:
        assert eval(repr(edit), {type(edit).__name__: type(edit)}) == edit


@given(edits)
def test_no_edit_prints_its_numbers(edit: Edit) -> None:
    assert repr(edit).startswith(f"{type(edit).__name__}({str(edit.at)!r}")
    assert "array" not in repr(edit) and "\n" not in repr(edit)


BAD = [
    (lambda: edit_from_json({"kind": "explode", "at": "L0.z"}), EditError,
     "unknown kind of edit 'explode'", "kinds are: zero, mean"),
    (lambda: edit_from_json({"at": "L0.z"}), EditError,
     "unknown kind of edit None", "kinds are: zero"),
    (lambda: edit_from_json({"kind": "zero"}), EditError, "no 'at'", "fields of zero are: at"),
    (lambda: edit_from_json({"kind": "scale", "at": "L0.z"}), EditError,
     "no 'factor'", "fields of scale are: at, factor"),
    (lambda: edit_from_json({"kind": "set", "at": "L0.z", "value": {"hash": "x"}}), ShapeError,
     "not a reference to a tensor: its keys are hash", '"shape"'),
    (lambda: Set("L0.z", None), EditError, "set at L0.z has no value", "give a tensor"),
    (lambda: Add("L0.z", None), EditError, "add at L0.z has no value", "give a tensor"),
    (lambda: Set("L0.z", [1.0, float("nan")]), ShapeError,
     "the value holds NaN or infinity", "replacements must be finite numbers"),
    (lambda: Add("L0.z", torch.tensor([float("inf")])), ShapeError,
     "the value holds NaN or infinity", "replacements must be finite numbers"),
    (lambda: Erase("L0.z", matrix=[[float("nan")]]), ShapeError,
     "the value holds NaN or infinity", "replacements must be finite numbers"),
    (lambda: Scale("L0.z", float("nan")), EditError,
     "scale at L0.z has factor nan", "give a finite number"),
    (lambda: Scale("L0.z", "loud"), EditError,  # type: ignore[arg-type]
     "scale at L0.z has factor 'loud'", "give a finite number"),
    (lambda: Add("L0.z", [1.0], scale=float("inf")), EditError,
     "add at L0.z has scale inf", "give a finite number"),
    (lambda: Set("L0.z", "words"), ShapeError,
     "not an array of numbers: got str", "give a tensor or array"),
    (lambda: Set("L0.z", [[1.0], [1.0, 2.0]]), ShapeError,
     "not an array of numbers", "give a tensor or array"),
    (lambda: Set("L0.z", torch.ones(2, dtype=torch.complex64)), ShapeError,
     "tensors of dtype complex64 cannot be referred to", "convert it to one of: float32"),
    (lambda: Erase("L0.z"), EditError,
     "erase at L0.z needs either directions or a matrix", "give Erase(at, direction)"),
    (lambda: Erase("L0.z", [1.0], matrix=[[1.0]]), EditError,
     "erase at L0.z needs either directions or a matrix", "give Erase(at, direction)"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "what", "mend"), BAD, ids=[row[2] for row in BAD])
def test_error_texts(make: Any, kind: type[ResiduumError], what: str, mend: str) -> None:
    with pytest.raises(kind) as caught:
        make()
    assert what in caught.value.what
    assert mend in caught.value.mend
