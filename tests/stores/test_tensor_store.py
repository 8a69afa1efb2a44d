"""Tensors by content: what goes in comes out, under the hash that core gives it, or not at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_torch_file

from residuum.core import DTYPES, ShapeError, StoreError, TensorRef, tensor_ref
from residuum.stores import TensorStore
from residuum.stores.tensor_file import StoredTensor, decode, encode

NUMPY_DTYPES = [each for each in DTYPES if each != "bfloat16"]
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
arrays = hnp.arrays(
    st.sampled_from(NUMPY_DTYPES),
    shapes,
    elements={"allow_nan": False, "allow_infinity": False},
    fill=st.nothing(),
)


@pytest.fixture
def store(tmp_path: Path) -> TensorStore:
    return TensorStore(tmp_path / "tensors")


shared_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@shared_folder
@given(arrays)
def test_tensors_round_trip(store: TensorStore, array: np.ndarray) -> None:
    tensor = torch.from_numpy(np.array(array))
    ref = store.put(tensor)
    assert ref == tensor_ref(tensor)
    assert ref in store
    got = store.get(TensorRef.from_json(ref.to_json()))
    assert (str(got.dtype), got.shape) == (ref.dtype, ref.shape)
    np.testing.assert_array_equal(got, array)
    assert TensorStore(store.root).attach(ref) == ref


@shared_folder
@given(hnp.arrays("float32", shapes, elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_bfloat16_round_trips_bit_for_bit(store: TensorStore, array: np.ndarray) -> None:
    tensor = torch.from_numpy(np.array(array)).bfloat16()
    ref = store.put(tensor)
    assert (ref, ref.dtype) == (tensor_ref(tensor), "bfloat16")
    back = store.attach(dataclasses.replace(ref, payload=None)).payload
    assert back.dtype == torch.bfloat16
    assert torch.equal(back, tensor)
    np.testing.assert_array_equal(store.get(ref), tensor.float().numpy())


small = hnp.arrays(
    st.sampled_from(["float32", "float64"]), shapes, elements=st.floats(-9, 9, width=16)
)


@shared_folder
@given(small)
def test_arrays_lists_and_numbers_get_the_hash_of_core(
    store: TensorStore, array: np.ndarray
) -> None:
    for value in (array, array.tolist(), np.asfortranarray(array)):
        ref = store.put(value)
        assert ref == tensor_ref(value)
        np.testing.assert_array_equal(store.get(ref), ref.payload)


@given(arrays)
def test_the_library_reads_our_files_and_we_read_its(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray
) -> None:
    path = tmp_path_factory.mktemp("file") / "one.safetensors"
    path.write_bytes(encode(StoredTensor(str(array.dtype), array)))
    theirs = load_file(path)["tensor"]
    assert theirs.dtype == array.dtype
    np.testing.assert_array_equal(theirs, array)
    save_file({"w": np.array(array, order="C")}, path, metadata={"format": "pt"})
    ours = decode(path.read_bytes())
    assert ours.dtype == str(array.dtype)
    np.testing.assert_array_equal(ours.values, array)


def test_the_library_reads_our_bfloat16(store: TensorStore) -> None:
    tensor = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    ref = store.put(tensor)
    assert torch.equal(load_torch_file(store.path(ref))["tensor"], tensor)


def test_same_content_is_one_file(store: TensorStore) -> None:
    first = store.put(np.ones((2, 2), "float32"))
    assert store.put(torch.ones(2, 2)) == first
    assert [path.name for path in store.root.iterdir()] == [f"{first.hash}.safetensors"]


def test_what_comes_out_is_the_callers_own(store: TensorStore) -> None:
    ref = store.put(np.zeros(3))
    store.get(ref)[:] = 7
    assert store.get(ref).sum() == 0


def test_gpu_free_tensors_with_gradients_and_strides(store: TensorStore) -> None:
    tensor = torch.arange(6.0, requires_grad=True).reshape(2, 3).T
    np.testing.assert_array_equal(store.get(store.put(tensor)), tensor.detach().numpy())


def test_a_reference_without_payload_is_stored_only_if_it_is_there(store: TensorStore) -> None:
    ref = store.put([1.0, 2.0])
    bare = TensorRef.from_json(ref.to_json())
    np.testing.assert_array_equal(store.put(bare).payload, [1.0, 2.0])
    foreign = TensorRef.from_json(tensor_ref([3.0]).to_json())
    with pytest.raises(StoreError) as caught:
        store.put(foreign)
    assert caught.value.what == f"no tensor {foreign.hash[:12]} (float64[1]) in the store"
    assert caught.value.mend == "copy the folder of tensors along with the file that refers to it"
    assert caught.value.where == str(store.root)


def test_a_payload_that_was_written_into_is_refused(store: TensorStore) -> None:
    ref = tensor_ref(np.zeros(3))
    ref.payload[:] = 1
    with pytest.raises(StoreError) as caught:
        store.put(ref)
    assert "is not what it refers to" in caught.value.what
    assert caught.value.mend == "never write into a payload; make a new reference with tensor_ref"
    assert not store.root.exists()


def test_nan_is_refused(store: TensorStore) -> None:
    with pytest.raises(ShapeError, match="the value holds NaN or infinity"):
        store.put([float("nan")])


def damaged(store: TensorStore, ref: TensorRef, data: bytes) -> StoreError:
    store.path(ref).write_bytes(data)
    assert ref not in store
    with pytest.raises(StoreError) as caught:
        store.get(ref)
    assert caught.value.where == str(store.path(ref))
    return caught.value


def test_every_flipped_byte_and_every_cut_is_noticed(store: TensorStore) -> None:
    ref = store.put(np.arange(6, dtype="float32").reshape(2, 3))
    whole = store.path(ref).read_bytes()
    padding = whole.rindex(b"}") + 1, 8 + int.from_bytes(whole[:8], "little")
    for at in range(len(whole)):
        assert damaged(store, ref, whole[:at]).mend == "delete the file and make the tensor again"
        if whole[8:].find(b"tensor") <= at - 8 < whole[8:].find(b"tensor") + len(b"tensor"):
            continue  # the tensor's name in the file means nothing
        if padding[0] <= at < padding[1]:
            continue  # blanks behind the header mean nothing either
        flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        assert "the stored tensor is damaged: " in damaged(store, ref, flipped).what
    store.path(ref).write_bytes(whole)
    assert ref in store


def test_putting_again_mends_a_damaged_file(store: TensorStore) -> None:
    ref = store.put(np.arange(3.0))
    damaged(store, ref, b"")
    assert store.put(np.arange(3.0)) == ref
    np.testing.assert_array_equal(store.get(ref), np.arange(3.0))


def test_another_tensor_under_the_name_is_noticed(store: TensorStore) -> None:
    ref, other = store.put([1.0]), store.put([2.0])
    error = damaged(store, ref, store.path(other).read_bytes())
    assert error.what.endswith("its content does not have the hash in its name")


def test_a_reference_that_lies_about_the_shape_is_noticed(store: TensorStore) -> None:
    ref = store.put(np.ones(4, "float32"))
    with pytest.raises(StoreError) as caught:
        store.get(dataclasses.replace(ref, shape=(2, 2)))
    assert caught.value.what == "the reference says float32[2, 2], the tensor is float32[4]"


@pytest.mark.parametrize("name", ["", "../../secret", "A" * 64, "a" * 63])
def test_a_hash_names_no_file_elsewhere(store: TensorStore, name: str) -> None:
    with pytest.raises(StoreError, match="is not a hash"):
        store.get(TensorRef(name, (1,), "float32"))


def test_a_failed_write_leaves_nothing(store: TensorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="disk full"):
        store.put([1.0])
    assert list(store.root.iterdir()) == []
