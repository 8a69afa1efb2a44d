"""The binary format: laws, and the bytes themselves once."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from residuum.apps.workbench.wire import pack, unpack

ARRAYS = st.sampled_from(["float32", "float16", "uint8", "int32"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0))
)


@given(st.dictionaries(st.text(), ARRAYS, max_size=4), st.text())
def test_what_is_packed_is_unpacked(arrays: dict[str, np.ndarray], word: str) -> None:
    meta, back = unpack(pack({"word": word}, arrays))
    assert meta == {"word": word} and list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype and back[name].shape == array.shape
        np.testing.assert_array_equal(back[name], array)


def test_bytes_are_as_documented() -> None:
    message = pack({"a": "é"}, {"x": np.array([1], "u1"), "y": np.array([[1.5]], "f4")})
    (length,) = struct.unpack("<I", message[4:8])
    header = json.loads(message[8 : 8 + length])
    start = -(-(8 + length) // 8) * 8
    assert message[:4] == b"RZA1" and header["meta"] == {"a": "é"}
    assert [row["offset"] for row in header["arrays"]] == [0, 8]
    assert message[start : start + 8] == b"\x01" + bytes(7)
    assert struct.unpack("<f", message[start + 8 : start + 12]) == (1.5,)
    assert header["arrays"][1] == {"name": "y", "dtype": "f4", "shape": [1, 1], "offset": 8}


def test_other_memory_orders_arrive_in_c_order() -> None:
    turned = np.arange(6, dtype="f4").reshape(2, 3).T
    _, back = unpack(pack({}, {"x": turned, "y": turned.astype(">f4")}))
    np.testing.assert_array_equal(back["x"], turned)
    np.testing.assert_array_equal(back["y"], turned)


def test_what_cannot_be_sent_is_noticed() -> None:
    with pytest.raises(KeyError):
        pack({}, {"x": np.zeros(1)})
    with pytest.raises(ValueError, match="JSON"):
        pack({"x": float("nan")}, {})
    with pytest.raises(ValueError, match="not a message of arrays"):
        unpack(b"PNG1")
