"""Errors, provenance, hashes, tensor references, progress."""

from __future__ import annotations

import dataclasses
import inspect
import json

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from residuum.core import (
    DTYPES,
    SILENT,
    AddressError,
    ContrastPair,
    Provenance,
    ResiduumError,
    ShapeError,
    StoreError,
    TensorRef,
    content_hash,
    errors,
    tensor_ref,
    track,
)

text = st.text(max_size=12)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


def test_an_error_says_what_where_and_how_to_mend_it() -> None:
    error = AddressError("there is no such place", mend="look elsewhere", where="L9.z")
    assert str(error) == "there is no such place [L9.z]\n  mend: look elsewhere"
    assert str(ResiduumError("wrong", mend="right")) == "wrong\n  mend: right"
    with pytest.raises(TypeError):
        ResiduumError("no mend")  # type: ignore[call-arg]


def test_the_error_tree_is_the_one_drawn() -> None:
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    assert all(issubclass(each, ResiduumError) for each in classes)
    for each in classes:
        assert f" {each.__name__} " in (errors.__doc__ or "") or each is ResiduumError
        assert each.__doc__


@given(
    st.builds(
        Provenance,
        model_id=text,
        weight_hash=text,
        task_hash=text,
        strategy=text,
        seed=st.none() | st.integers(),
        software=st.dictionaries(text, text, max_size=3),
    )
)
def test_provenance_round_trip(provenance: Provenance) -> None:
    assert Provenance.from_json(json.loads(json.dumps(provenance.to_json()))) == provenance


@pytest.mark.parametrize("data", [{"model_id": "m", "mood": "good"}, {"dtype": "float32"}])
def test_provenance_is_closed(data: dict[str, str]) -> None:
    with pytest.raises(StoreError) as caught:
        Provenance.from_json(data)
    assert caught.value.what.startswith("provenance has an unknown field or lacks one: ")
    assert "fields are: device, dtype, model_id" in caught.value.mend


def test_records_are_frozen() -> None:
    pair = ContrastPair("a b", "a c", ("d",), ("e",))
    for record, name in ((Provenance("m"), "model_id"), (pair, "clean"), (tensor_ref(1), "hash")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, name, "other")


@given(st.dictionaries(text, plain, max_size=5))
def test_content_hash_ignores_the_order_of_keys(data: dict[str, object]) -> None:
    backwards = dict(reversed(data.items()))
    assert content_hash(backwards) == content_hash(data)
    assert content_hash(json.loads(json.dumps(data))) == content_hash(data)
    assert content_hash({**data, "one more key": 1}) != content_hash(data)


def test_hashes_stay_what_they_were() -> None:
    data = {"prompt": [1, 2, 3], "edits": [], "seed": None, "name": "é"}
    assert content_hash(data) == (
        "d840b08716be9d1a3dbe89a0ef993324736d2dd54dea3b8371afa659b2d85855"
    )
    assert tensor_ref(np.arange(6, dtype="float32").reshape(2, 3)).hash == (
        "b438c5d786e1b613aa64ec714cb7157d230f98c8d68854da82b4f471d73c9acf"
    )
    assert tensor_ref(torch.arange(4).bfloat16()).hash == (
        "9c2d389c8d047479b36607be361a9bc94c40b7e2f0cdc1a273977e3344485c86"
    )


arrays = hnp.arrays(
    st.sampled_from(["float32", "float64", "float16"]),
    hnp.array_shapes(min_dims=1, max_side=4),
    elements=st.floats(-100, 100, width=16),
)


@given(arrays)
def test_a_tensor_and_an_array_of_the_same_numbers_are_one(array: np.ndarray) -> None:
    ref = tensor_ref(array)
    assert ref == tensor_ref(torch.from_numpy(array))
    assert ref == tensor_ref(np.asfortranarray(array))
    assert ref == tensor_ref(array.astype(array.dtype.newbyteorder(">")))
    assert ref == TensorRef.from_json(json.loads(json.dumps(ref.to_json())))
    assert tensor_ref(ref) is ref


def test_dtype_and_shape_are_part_of_the_identity() -> None:
    zeros = [torch.zeros(4, dtype=getattr(torch, each)) for each in DTYPES]
    zeros += [torch.zeros(2, 2), torch.zeros(4, 1), torch.zeros(0), torch.zeros(0, 3)]
    assert len({tensor_ref(each).hash for each in zeros}) == len(zeros)


def test_a_reference_is_closed() -> None:
    data = {**tensor_ref(1.0).to_json(), "mood": "good"}
    with pytest.raises(ShapeError, match="its keys are dtype, hash, mood, shape"):
        TensorRef.from_json(data)


def test_payloads_are_not_part_of_the_identity() -> None:
    ref = tensor_ref([1.0])
    assert dataclasses.replace(ref, payload=None) == ref
    assert "payload" not in repr(ref)


class Listener:
    def __init__(self) -> None:
        self.heard: list[object] = []

    def start(self, stage: str, total: int) -> None:
        self.heard.append((stage, total))

    def advance(self, steps: int = 1) -> None:
        self.heard.append(steps)

    def finish(self) -> None:
        self.heard.append("finish")


def test_progress_tells_of_each_finished_item() -> None:
    listener = Listener()
    assert list(track("ab", listener, "letters", 2)) == ["a", "b"]
    assert listener.heard == [("letters", 2), 1, 1, "finish"]
    assert list(track("ab", SILENT, "letters", 2)) == ["a", "b"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_progress_ends_when_the_work_fails(error: type[BaseException]) -> None:
    def work():
        yield "a"
        raise error

    listener = Listener()
    with pytest.raises(error):
        list(track(work(), listener, "letters", 2))
    assert listener.heard == [("letters", 2), 1, "finish"]


def test_progress_ends_when_the_loop_is_left() -> None:
    listener = Listener()
    stage = track("abc", listener, "letters", 3)
    assert next(iter(stage)) == "a"
    stage.close()  # type: ignore[attr-defined]
    assert listener.heard == [("letters", 3), "finish"]
