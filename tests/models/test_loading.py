from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

import residuum as rz
from residuum.core import LoadError, OptionError, ResiduumError, TokenError

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))

from configs import build

torch.set_num_threads(1)
IDS = torch.tensor([[4, 9, 7, 30, 12]])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folder -> a tiny model saved in it, by family."""

    def make(name):
        folder = tmp_path_factory.mktemp(name) / name
        build(name).save_pretrained(folder)
        return folder

    return {name: make(name) for name in ("gpt2", "llama", "bert")}


def copied(folder, place):
    return Path(shutil.copytree(folder, place / "copy"))


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
def test_a_folder_loads_as_it_was_saved(saved, name):
    hf = build(name)
    with torch.no_grad():
        expected = hf(IDS).logits
    for place in (saved[name], str(saved[name])):
        model = rz.load(place)
        assert torch.equal(model.run(IDS).logits, expected)
        assert model.name == str(saved[name]) and model.tokenizer is None
        assert not model.hf.training and model.report.passed


def test_a_model_in_memory_is_used_itself():
    hf = build("gpt2")
    model = rz.load(hf)
    assert model.hf is hf and model.name == "GPT2LMHeadModel"
    hf.transformer.wte.weight.data[4] += 1.0
    with torch.no_grad():
        assert torch.equal(model.run(IDS).logits, hf(IDS).logits)


def test_the_weight_hash_is_the_weights(saved):
    one, two = rz.load(saved["gpt2"]), rz.load(build("gpt2"))
    assert one.provenance().weight_hash == two.provenance().weight_hash
    assert one.provenance().weight_hash != rz.load(saved["llama"]).provenance().weight_hash
    before = two.provenance().weight_hash
    with torch.no_grad():
        two.hf.transformer.wte.weight[4, 0] += 1.0
    assert two.provenance().weight_hash != before


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, "float16"], ids=str)
def test_a_dtype_can_be_asked_for(saved, dtype):
    model = rz.load(saved["llama"], dtype=dtype)
    wanted = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    assert model.dtype == wanted and model.provenance().dtype == str(wanted).removeprefix("torch.")
    assert model.report.passed
    run = model.run(IDS, capture=["L1.pattern", "L1.z"])
    assert run["L1.pattern"].dtype == run["L1.z"].dtype == wanted
    assert model.run(IDS, capture=["L1.z"], dtype=torch.float32)["L1.z"].dtype == torch.float32


@pytest.mark.parametrize("name", ["llama", "gemma2", "mixtral", "gpt_oss", "bloom", "olmo2"])
def test_half_precision_is_proven_within_its_own_noise(name):
    model = rz.load(build(name, torch.bfloat16))
    assert not model.report.refused, model.report.refused
    with torch.no_grad():
        assert torch.equal(model.run(IDS).logits, model.hf(IDS).logits)


def test_a_device_map(saved):
    pytest.importorskip("accelerate")
    model = rz.load(saved["llama"], device_map="cpu")
    assert str(model.device) == "cpu"


def test_without_the_check_sites_are_taken_on_trust(saved):
    model = rz.load(saved["llama"], check=False)
    assert model.report is None and len(model.sites) == len(rz.load(saved["llama"]).sites)
    assert model.run(IDS, capture=["L1.z"])["L1.z"].shape == (1, 5, 4, 8)


@pytest.mark.parametrize("missing", ["/no/such/folder", "./nowhere", "../nowhere"])
def test_a_missing_folder(missing):
    with pytest.raises(LoadError, match="no model folder") as error:
        rz.load(missing)
    assert "config.json" in error.value.mend


def test_a_name_that_cannot_be_reached():
    with pytest.raises(LoadError, match="cannot load nobody/nothing") as error:
        rz.load("nobody/nothing")
    assert "\n" not in error.value.what and "\n" not in error.value.mend


def test_a_file_is_no_folder(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"x")
    with pytest.raises(LoadError, match="no model folder"):
        rz.load(file)


def test_an_empty_folder(tmp_path):
    with pytest.raises(LoadError, match="holds no model"):
        rz.load(tmp_path)


def test_a_configuration_without_weights(saved, tmp_path):
    folder = copied(saved["gpt2"], tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(LoadError) as error:
        rz.load(folder)
    assert error.value.mend and "\n" not in error.value.what


@pytest.mark.parametrize("keep", [0, 7, 100, 0.5, 0.99], ids=str)
def test_a_truncated_checkpoint(saved, tmp_path, keep):
    folder = copied(saved["llama"], tmp_path)
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(LoadError, match="damaged, truncated or not safetensors"):
        rz.load(folder)


def test_a_checkpoint_with_other_bytes_is_not_loaded(saved, tmp_path):
    folder = copied(saved["llama"], tmp_path)
    (folder / "model.safetensors").write_bytes(b"not a checkpoint at all " * 50)
    with pytest.raises(LoadError, match="damaged, truncated or not safetensors"):
        rz.load(folder)


def change_weights(folder, change):
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def test_missing_weights_are_named(saved, tmp_path):
    folder = copied(saved["llama"], tmp_path)
    change_weights(folder, lambda t: t.pop("model.layers.1.self_attn.q_proj.weight"))
    with pytest.raises(LoadError, match=r"lacks weights .*layers.1.self_attn.q_proj.weight") as e:
        rz.load(folder)
    assert "random numbers" in e.value.mend


def test_weights_of_the_wrong_shape(saved, tmp_path):
    folder = copied(saved["llama"], tmp_path)
    name = "model.layers.1.self_attn.q_proj.weight"
    change_weights(folder, lambda t: t.update({name: torch.zeros(3, 3)}))
    with pytest.raises(LoadError, match="q_proj"):
        rz.load(folder)


def test_a_configuration_that_is_no_json(saved, tmp_path):
    folder = copied(saved["llama"], tmp_path)
    (folder / "config.json").write_text("{nonsense")
    with pytest.raises(LoadError):
        rz.load(folder)


def test_a_model_type_that_nobody_knows(saved, tmp_path):
    folder = copied(saved["llama"], tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "quux"}))
    with pytest.raises(LoadError, match="cannot load"):
        rz.load(folder)


class Trap:
    """Something a pickle would run."""

    ran = False

    def __reduce__(self):
        return (setattr, (Trap, "ran", True))


@pytest.fixture
def pickled(saved, tmp_path):
    folder = copied(saved["llama"], tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save(build("llama").state_dict(), folder / "pytorch_model.bin")
    return folder


def test_a_pickle_is_refused_unless_asked_for(pickled):
    with pytest.raises(LoadError, match=r"pickle \(pytorch_model.bin\), which can run code") as e:
        rz.load(pickled)
    assert "allow_pickle=True" in e.value.mend
    model = rz.load(pickled, allow_pickle=True)
    with torch.no_grad():
        assert torch.equal(model.run(IDS).logits, build("llama")(IDS).logits)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth", "last.ckpt"])
def test_pickles_of_every_name_are_seen(saved, tmp_path, name):
    folder = copied(saved["llama"], tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(b"\x80\x04.")
    with pytest.raises(LoadError, match="pickle"):
        rz.load(folder)


def test_safetensors_are_taken_where_both_are_there(saved, tmp_path):
    folder = copied(saved["llama"], tmp_path)
    torch.save({"trap": Trap()}, folder / "pytorch_model.bin")
    model = rz.load(folder)
    assert model.report.passed and not Trap.ran


def test_a_pickle_that_runs_code_does_not_even_when_asked_for(pickled):
    torch.save({"trap": Trap()}, pickled / "pytorch_model.bin")
    with pytest.raises(LoadError):
        rz.load(pickled, allow_pickle=True)
    assert not Trap.ran


def test_options_that_do_not_exist(saved):
    with pytest.raises(OptionError, match="unknown option attn, quantise") as error:
        rz.load(saved["gpt2"], quantise=True, attn="sdpa")
    assert "device_map" in error.value.mend


@pytest.mark.parametrize(
    "options",
    [{"dtype": torch.float64}, {"device_map": "cpu"}, {"revision": "main"}, {"allow_pickle": True}],
    ids=str,
)
def test_options_of_a_checkpoint_make_no_sense_in_memory(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        rz.load(build("gpt2"), **options)


@pytest.mark.parametrize("source", [3, None, torch.nn.Linear(2, 2), {"a": 1}], ids=str)
def test_what_is_no_model(source):
    with pytest.raises(LoadError, match="cannot load a") as error:
        rz.load(source)
    assert "PreTrainedModel" in error.value.mend


class Wrapped(torch.nn.Module):
    """A layer behind an adapter that shows no weight."""

    def __init__(self, base):
        super().__init__()
        self.base = base

    def forward(self, x):
        return self.base(x)

    def merge_and_unload(self):
        return self.base


def test_a_peft_model_is_told_how_to_merge():
    with pytest.raises(LoadError, match="cannot load a Wrapped") as error:
        rz.load(Wrapped(build("gpt2")))
    assert "for a PEFT model pass peft_model.merge_and_unload()" in error.value.mend
    with pytest.raises(LoadError) as error:
        rz.load(torch.nn.Linear(2, 2))
    assert "PEFT" not in error.value.mend


@pytest.mark.parametrize(
    ("place", "weight"),
    [
        ("lm_head", "W_U"),
        ("model.layers.1.self_attn.q_proj", "W_Q"),
        ("model.layers.1.self_attn.o_proj", "W_O"),
        ("model.layers.1.mlp.down_proj", "W_out"),
    ],
)
def test_a_layer_without_a_weight_runs_and_its_weight_is_refused(place, weight):
    hf = build("llama")
    outer, _, name = place.rpartition(".")
    setattr(hf.get_submodule(outer), name, Wrapped(hf.get_submodule(place)))
    with torch.no_grad():
        expected = hf(IDS).logits
    model = rz.load(hf)
    assert torch.equal(model.run(IDS).logits, expected)
    reading = rz.logit_lens(model, IDS)
    assert (reading.kl_bits[-1].abs() < 1e-4).all()
    with pytest.raises(LoadError, match="Wrapped has no plain weight") as error:
        getattr(model, weight) if weight == "W_U" else getattr(model, weight)[1]
    assert "merge_and_unload()" in error.value.mend and "unquantised" in error.value.mend


def test_a_model_without_a_head_for_tokens_is_refused():
    import transformers

    config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=101)
    with pytest.raises(LoadError) as error:
        rz.load(transformers.GPT2Model(config))
    assert error.value.mend


def test_a_tokenizer_by_folder(saved, tmp_path, test_data):
    with pytest.raises(TokenError, match="512 tokens, the model's embedding 101"):
        rz.load(saved["gpt2"], tokenizer=test_data / "stories260K")
    with pytest.raises(LoadError, match="tokenizer"):
        rz.load(saved["gpt2"], tokenizer=str(tmp_path / "none"))


def test_errors_of_loading_are_one_line_each(saved, tmp_path):
    for source in ("/no/such/folder", tmp_path, 3, "nobody/nothing"):
        with pytest.raises(ResiduumError) as error:
            rz.load(source)
        assert "\n" not in error.value.what + error.value.mend
