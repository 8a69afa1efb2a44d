"""What hangs on a model is a dictionary under a name that can stand in an address."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

import residuum as rz
from residuum.core import OptionError
from residuum.runs.hung import Hung


class Plain:
    """The least that is a dictionary."""

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents


class HalfCoder:
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x


NO_CODERS = [None, 5, "sae", b"x", {}, [1], torch.eye(3), HalfCoder(), Plain, torch.nn.Linear(2, 2)]


@pytest.mark.parametrize("coder", NO_CODERS, ids=lambda each: type(each).__name__)
def test_what_is_no_dictionary_is_refused(coder: object) -> None:
    model = rz.load("microworld", check=False)
    for hang in (
        lambda: model.dictionaries.__setitem__("x", coder),  # pyright: ignore
        lambda: model.dictionaries.update(x=coder),  # pyright: ignore
        lambda: model.dictionaries.update({"good": Plain(), "x": coder}),  # pyright: ignore
        lambda: model.dictionaries.setdefault("x", coder),  # pyright: ignore
        lambda: model.dictionaries.__ior__({"x": coder}),  # pyright: ignore
    ):
        with pytest.raises(OptionError, match=r"is no dictionary: it has no encode") as caught:
            hang()
        assert "\n" not in caught.value.what and caught.value.mend
    assert model.dictionaries == {}


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x[F3]", "x\n", "é", 5, None, ("a",)])
def test_what_is_no_name_is_refused(name: object) -> None:
    model = rz.load("microworld", check=False)
    with pytest.raises(OptionError, match="cannot stand in an address") as caught:
        model.dictionaries[name] = Plain()  # pyright: ignore
    assert "letters, digits" in caught.value.mend
    with pytest.raises(OptionError, match="cannot stand in an address"):
        rz.load_dictionary("microworld-sae", model, name=name or "")  # pyright: ignore
    assert model.dictionaries == {}


def test_a_dictionary_hangs_and_is_used_and_sent() -> None:
    model = rz.load("microworld", check=False)
    model.dictionaries["my.sae-1_x"] = plain = Plain()
    model.dictionaries |= {"two": plain}
    assert model.dictionaries.setdefault("two", HalfCoder()) is plain  # pyright: ignore
    run = model.run("Mary went to the store .", capture="L1.resid_post/my.sae-1_x")
    assert torch.equal(run["L1.resid_post/my.sae-1_x"], model.run(
        "Mary went to the store .", capture="L1.resid_post"
    )["L1.resid_post"])  # fmt: skip
    for again in (copy.copy(model.dictionaries), pickle.loads(pickle.dumps(model.dictionaries))):
        assert isinstance(again, Hung) and set(again) == {"my.sae-1_x", "two"}
