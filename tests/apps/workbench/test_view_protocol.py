"""What holds for every view: arrays can be sent, sites may be missing, parameters are bounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from pydantic import ValidationError
from view_looks import PROMPT, looked, microworld, some_ids, tiny

import residuum as rz
from residuum.apps.workbench.views import all_views
from residuum.apps.workbench.wire import pack, unpack
from residuum.core import ResiduumError

NAMES = ("attention", "lens", "residual", "patching")


def mamba() -> Any:
    config = transformers.MambaConfig(
        hidden_size=32, num_hidden_layers=3, vocab_size=101, state_size=4
    )
    torch.manual_seed(0)
    return rz.load(transformers.MambaForCausalLM(config).eval())


def test_these_views_are_found_in_their_order() -> None:
    assert [name for name in all_views() if name in NAMES] == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_array_can_be_sent(name: str) -> None:
    found, _, _ = looked(name, microworld(), PROMPT, less=True)
    meta, arrays = unpack(pack(found.meta.model_dump(mode="json"), found.arrays))
    assert set(arrays) == set(found.arrays) and meta["view"] == ""
    for each, array in found.arrays.items():
        assert np.array_equal(arrays[each], array, equal_nan=array.dtype.kind == "f")


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_lacks_sites_runs_and_the_view_says_why(name: str) -> None:
    """Needs never stop the run; reading shows what there is, or says what there is not."""
    model, shown = mamba(), None
    try:
        shown, _, _ = looked(name, model, some_ids(), less=some_ids(seed=4))
    except ResiduumError as error:
        assert "does not have" in error.what or "no " in error.what
        assert error.mend and "\n" not in error.what + error.mend
    assert (shown is None) == (name == "attention")
    if shown is not None and name == "residual":
        assert shown.meta.reason and np.isnan(shown.arrays["added"]).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", ["gpt_neox", "bert", "mixtral", "gpt_oss", "falcon_7b"])
def test_every_view_shows_something_of_every_kind_of_block(name: str, family: str) -> None:
    found, _, _ = looked(name, tiny(family), some_ids(), less=some_ids(seed=4))
    assert all(array.size for array in found.arrays.values())


@pytest.mark.parametrize("name", NAMES)
def test_one_token_is_a_prompt(name: str) -> None:
    found, _, _ = looked(name, tiny("gpt2"), some_ids(length=1), less=some_ids(length=1, seed=4))
    assert all(array.size for array in found.arrays.values())


@pytest.mark.parametrize(("name", "params"), [
    ("attention", {"thumb": 0}), ("attention", {"thumb": 10**6}), ("attention", {"layer": -1}),
    ("attention", {"weighting": "luck"}), ("attention", {"zzz": 1}),
    ("lens", {"top": 0}), ("lens", {"top": 10**6}), ("lens", {"positions": []}),
    ("lens", {"positions": [0] * 5000}), ("lens", {"tokens": [-1]}), ("lens", {"tokens": [1] * 65}),
    ("lens", {"quantity": "luck"}), ("lens", {"target": float("nan")}), ("lens", {"pos": 10**12}),
    ("residual", {"answer": -1}), ("residual", {"pos": "x"}), ("residual", {"pos": 10**12}),
    ("patching", {"by": []}), ("patching", {"by": ["layer"]}), ("patching", {"by": ["x", "y"]}),
])  # fmt: skip
def test_parameters_have_bounds(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        all_views()[name].Params(**params)
