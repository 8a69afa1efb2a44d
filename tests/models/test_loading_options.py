"""What load refuses before it starts, and what it must not refuse."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import residuum as rz

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "families"))
from configs import build


def test_allowing_pickles_still_takes_safetensors() -> None:
    assert rz.load("microworld", allow_pickle=True, check=False).n_layers == 4


@pytest.mark.parametrize(
    ("name", "options", "error", "what", "mend"),
    [
        ("microworl", {}, rz.LoadError, "no model 'microworl'", "did you mean microworld?"),
        ("", {}, rz.LoadError, "is empty", "microworld"),
        ("microworld", {"revision": "x"}, rz.OptionError, "revision goes with", "leave it out"),
        ("microworld", {"dtype": "float99"}, rz.OptionError, "unknown dtype", "use float32"),
        (
            "microworld",
            {"tokenizer": 3},
            rz.OptionError,
            "tokenizer= got a int",
            "give a tokenizer",
        ),
    ],
)
def test_refused(name: str, options: dict[str, Any], error: Any, what: str, mend: str) -> None:
    with pytest.raises(error) as caught:
        rz.load(name, **options)
    assert what in caught.value.what and mend in caught.value.mend


def test_another_models_tokenizer_is_refused(test_data: Path) -> None:
    with pytest.raises(rz.TokenError, match="not this model's"):
        rz.load("microworld", tokenizer=str(test_data / "stories260K"))
    own = rz.load("microworld", check=False).tokenizer
    assert rz.load("microworld", tokenizer=own, check=False).prepends_bos


def test_a_model_that_answers_nan_is_refused() -> None:
    hf = build("llama")
    with torch.no_grad():
        hf.model.norm.weight.fill_(float("nan"))
    with pytest.raises(rz.LoadError, match="NaN or infinite"):
        rz.load(hf)


def test_nan_met_later_is_no_number() -> None:
    hf = build("gpt2")
    model = rz.load(hf)
    ids = torch.randint(3, 101, (2, 6), generator=torch.Generator().manual_seed(0))
    other = ids.clone()
    other[:, 3] = (ids[:, 3] + 1) % 101
    task = rz.Task.from_pairs(
        clean=ids, corrupt=other, answers=torch.tensor([3, 4]), wrong=torch.tensor([5, 6])
    )
    assert rz.patch(model, task).effects.notnull().all()
    with pytest.raises(rz.EditError, match="logits are NaN or infinite; edits: scale L0"):
        model.run(ids, edits=rz.Scale("L0.resid_post", 1e38))
    with pytest.raises(rz.EditError, match="logits are NaN"):
        model.generate(ids, 2, edits=rz.Scale("L0.resid_post", 1e38))
    with torch.no_grad():
        hf.transformer.ln_f.weight.fill_(float("nan"))
    with pytest.raises(rz.TaskError, match="logit_diff is NaN"):
        rz.patch(model, task)


def test_a_model_in_training_mode_is_run_at_rest_and_given_back() -> None:
    hf = build("gpt2").train()
    model = rz.load(hf)
    ids = torch.tensor([[3, 4, 5, 6]])
    assert torch.equal(model.run(ids).logits, model.run(ids).logits)
    assert hf.training and hf.transformer.drop.training
