"""A model handed to another process is the same model, and the user's own is not touched."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import residuum as rz
from residuum.core import OptionError, StoreError
from residuum.models.embedded import build_gpt2
from residuum.runs import Model, handover
from residuum.runs.handover import pack, unpack

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))
from configs import CONFIGS, build

IDS = torch.tensor([[5, 3, 8, 1, 9, 2], [7, 7, 0, 4, 6, 11]])


def handed(model: Model, folder: Path, more: object = None) -> tuple[Model, object]:
    pack(model, more, folder / "handover")
    return unpack(folder / "handover")


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_family_arrives_bit_equal(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    model = rz.load(build(name, dtype), check=False)
    found, more = handed(model, tmp_path, {"ids": IDS})
    assert torch.equal(more["ids"], IDS)
    assert found.sites == model.sites
    for capture in ([], ["resid_post", "z"]):
        one, other = (each.run(IDS, capture=capture) for each in (model, found))
        assert torch.equal(one.logits, other.logits)
        for site in capture:
            last = model.n_layers - 1
            assert torch.equal(one[site, last], other[site, last])


def test_what_was_proven_is_carried_over(tmp_path: Path) -> None:
    model = rz.load("microworld")
    gone = model.sites[3]
    model.adapted.refused[gone] = "taken out by a test"
    del model.adapted.taps[gone]
    model.adapted.padding = ("right",)
    found, _ = handed(model, tmp_path)
    assert model.adapted.seam_proven and found.adapted.seam_proven
    assert found.sites == model.sites and gone not in found.sites
    assert found.adapted.refused == model.adapted.refused
    assert found.adapted.padding == ("right",)
    assert found.report == model.report is not None
    assert found.provenance() == model.provenance()
    assert found.to_tokens("Mary went").tolist() == model.to_tokens("Mary went").tolist()
    unproven, _ = handed(rz.load("microworld", check=False), tmp_path)
    assert not unproven.adapted.seam_proven and unproven.report is None


def test_the_users_model_is_not_touched(tmp_path: Path) -> None:
    model = rz.load(build_gpt2(d_vocab=20, context=8, layers=1, heads=2, d_model=8), check=False)
    model.hf.train()
    before = [each.data_ptr() for each in model.hf.parameters()]
    found, _ = handed(model, tmp_path)
    assert [each.data_ptr() for each in model.hf.parameters()] == before
    assert not any(each.is_shared() for each in model.hf.parameters())
    assert model.hf.training and found.hf.training


def test_weights_stay_tied_and_are_mapped_not_copied(tmp_path: Path) -> None:
    model = rz.load(build_gpt2(d_vocab=20, context=8, layers=1, heads=2, d_model=8), check=False)
    found, _ = handed(model, tmp_path)
    assert found.hf.lm_head.weight is found.hf.get_input_embeddings().weight
    with torch.no_grad():
        found.hf.lm_head.weight.zero_()
    again, _ = unpack(tmp_path / "handover")
    assert torch.equal(again.hf.lm_head.weight, model.hf.lm_head.weight)


def test_settings_of_torch_are_carried_over(tmp_path: Path) -> None:
    model = rz.load(build_gpt2(d_vocab=20, context=8, layers=1, heads=2, d_model=8), check=False)
    before = torch.get_default_dtype(), torch.get_float32_matmul_precision()
    try:
        torch.set_default_dtype(torch.float64)
        torch.set_float32_matmul_precision("medium")
        pack(model, None, tmp_path / "handover")
        torch.set_default_dtype(before[0])
        torch.set_float32_matmul_precision("highest")
        unpack(tmp_path / "handover")
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_default_dtype(before[0])
        torch.set_float32_matmul_precision(before[1])


def test_what_cannot_be_sent(tmp_path: Path) -> None:
    model = rz.load(build_gpt2(d_vocab=20, context=8, layers=1, heads=2, d_model=8), check=False)
    hook = model.hf.register_forward_hook(lambda *_: None)
    with pytest.raises(OptionError) as caught:
        pack(model, None, tmp_path / "handover")
    assert caught.value.what.startswith("the model or the work cannot be sent to a worker process")
    assert caught.value.mend.startswith("run it in this process (jobs=1)")
    hook.remove()
    with pytest.raises(StoreError) as refused:
        pack(model, None, tmp_path / "no folder" / "handover")
    assert refused.value.mend == "free some space there, or set TMPDIR to a folder that has it"
    model.hf.to("meta")
    with pytest.raises(OptionError) as other:
        pack(model, None, tmp_path / "handover")
    assert other.value.what == "worker processes run on the processor, the model is on meta"


def test_other_weights_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = rz.load(build_gpt2(d_vocab=20, context=8, layers=1, heads=2, d_model=8), check=False)
    real = torch.save

    def changed(data: object, path: Path) -> None:
        with torch.no_grad():
            model.hf.lm_head.weight.add_(1.0)
        real(data, path)

    monkeypatch.setattr(handover.torch, "save", changed)
    pack(model, None, tmp_path / "handover")
    with pytest.raises(OptionError, match="a worker process holds other weights than GPT2LMHead"):
        unpack(tmp_path / "handover")
