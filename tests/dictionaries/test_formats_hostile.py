"""Files from elsewhere that mean harm or are damaged: refused, and nothing in them runs."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from dictionary_samples import sample
from safetensors.torch import load_file, save_file

from residuum.core import LoadError, ResiduumError
from residuum.dictionaries import convert_dictionary, load_dictionary

CASES = {
    "saelens": ("jumprelu", "sae_weights.safetensors", "cfg.json"),
    "sparsify": ("topk", "sae.safetensors", "cfg.json"),
    "gemma_scope_2": ("jumprelu", "params.safetensors", "config.json"),
}


def files(name: str, folder: Path) -> tuple[Path, Path]:
    activation, weights, config = CASES[name]
    convert_dictionary(sample(activation, tied=name == "sparsify"), folder, format=name)
    return folder / weights, folder / config


def refused(folder: Path, match: str) -> None:
    with pytest.raises(ResiduumError, match=match) as caught:
        load_dictionary(folder)
    assert caught.value.mend and "\n" not in caught.value.what


def changed(path: Path, change: Callable[[dict], None]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file({k: v.contiguous() for k, v in tensors.items()}, path)


@pytest.mark.parametrize("name", CASES)
def test_damaged_tensors(name: str, tmp_path: Path) -> None:
    weights, _ = files(name, tmp_path)
    whole = weights.read_bytes()
    first = sorted(load_file(weights))[0]

    changed(weights, lambda t: t.pop("b_dec"))
    refused(tmp_path, "lacks b_dec")
    weights.write_bytes(whole)
    changed(weights, lambda t: t.update(surprise=torch.zeros(2)))
    refused(tmp_path, "does not have: surprise")
    weights.write_bytes(whole)
    changed(weights, lambda t: t[first].flatten()[:1].fill_(float("nan")))
    refused(tmp_path, "NaN or infinity")
    weights.write_bytes(whole)
    changed(weights, lambda t: t.update(b_dec=t["b_dec"].to(torch.int8)))
    refused(tmp_path, "not of floats")
    weights.write_bytes(whole)
    changed(weights, lambda t: t.update(b_dec=t["b_dec"][:-1]))
    refused(tmp_path, "ask for")
    weights.write_bytes(whole[:-7])
    refused(tmp_path, "no whole safetensors")
    header = json.dumps({"W_enc": {"dtype": "F32", "shape": [2**40, 2**20],
                                   "data_offsets": [0, 2**62]}}).encode()  # fmt: skip
    weights.write_bytes(len(header).to_bytes(8, "little") + header)
    refused(tmp_path, "no whole safetensors")


@pytest.mark.parametrize("name", CASES)
def test_damaged_records(name: str, tmp_path: Path) -> None:
    _, config = files(name, tmp_path)
    for text in ("{", "[1]", "[" * 100_000, '"x"'):
        config.write_text(text)
        refused(tmp_path, "no JSON|no record")
    config.write_bytes(b" " * (17 * 2**20))
    refused(tmp_path, "at most")


def test_a_record_that_contradicts_the_tensors(tmp_path: Path) -> None:
    _, config = files("saelens", tmp_path)
    record = json.loads(config.read_text())
    for key, value, match in (
        ("d_sae", 2**40, "the tensors have 40"), ("d_in", -3, "no count"),
        ("architecture", "__import__('os')", "not known"), ("architecture", ["topk"], "no text"),
        ("normalize_activations", ["layer_norm"], "normalize_activations is"),
        ("apply_b_dec_to_input", "yes", "neither true nor false"),
        ("finetuning_scaling_factor", True, "scaled after training"),
    ):  # fmt: skip
        config.write_text(json.dumps({**record, key: value}))
        refused(tmp_path, match)


@pytest.mark.parametrize("factor", ["2", 0, -1, True])
def test_a_scale_that_is_none_is_not_passed_over(tmp_path: Path, factor: object) -> None:
    files("saelens", tmp_path)
    (tmp_path / "activation_scaler.json").write_text(json.dumps({"scaling_factor": factor}))
    refused(tmp_path, "scaling_factor is")


@pytest.mark.parametrize(("name", "key"), [("sparsify", "activation"), ("saelens", "architecture")])
def test_a_kind_that_is_no_text_is_not_taken_for_the_usual_one(
    tmp_path: Path, name: str, key: str
) -> None:
    _, config = files(name, tmp_path)
    config.write_text(json.dumps({**json.loads(config.read_text()), key: 7}))
    refused(tmp_path, "no text")


def test_a_note_that_contradicts_the_files(tmp_path: Path) -> None:
    _, config = files("saelens", tmp_path)
    record = json.loads(config.read_text())
    for key, value in (
        ("activation", {"kind": "TopK", "k": 3}), ("activation", {"kind": "Gated", "x": 1}),
        ("activation", 7), ("labels", {"0": 5}), ("declared", []), ("weight_hash", 4),
        ("provenance", {"evil": 1}), ("reads", "../../etc/passwd"), ("labels", {"9999": "x"}),
    ):  # fmt: skip
        note = {**record["metadata"]["residuum"], key: value}
        metadata = {**record["metadata"], "residuum": note}
        config.write_text(json.dumps({**record, "metadata": metadata}))
        with pytest.raises(LoadError):
            load_dictionary(tmp_path)


class Bomb:
    """What a pickle could do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def archive(folder: Path) -> Path:
    given = sample("topk", tied=True, one_threshold=True)
    convert_dictionary(given, folder, format="dictionary_learning")
    return folder / "ae.pt"


def test_code_in_a_pickle_never_runs(tmp_path: Path) -> None:
    path, mark = archive(tmp_path), tmp_path / "ran"
    state = torch.load(path, weights_only=True)
    torch.save({**state, "extra": Bomb(mark)}, path)
    torch.load(path, weights_only=False)
    assert mark.exists()  # it would have
    mark.unlink()
    refused(tmp_path, "more than plain tensors")
    assert not mark.exists()
    path.write_bytes(pickle.dumps(Bomb(mark)))
    refused(tmp_path, "no archive")
    np.savez(tmp_path / "params.npz", W_enc=np.array([Bomb(mark)], dtype=object))
    path.unlink()
    refused(tmp_path, "no whole archive")
    assert not mark.exists()


def test_what_is_no_record_of_plain_tensors(tmp_path: Path) -> None:
    path = archive(tmp_path)
    state = torch.load(path, weights_only=True)
    wide = torch.zeros(1).expand(2**45).view(2**22, 2**23)
    for value, match in (
        ([1, 2], "no record of tensors"), ({**state, 3: torch.zeros(1)}, "no record of tensors"),
        ({**state, "b_dec": "text"}, "no dense tensor"),
        ({**state, "b_dec": torch.eye(3).to_sparse()}, "no dense tensor"),
        ({**state, "encoder.weight": wide}, "shows 35184372088832 numbers and holds 1"),
        ({**state, "k": torch.tensor(0, dtype=torch.int)}, "lacks k"),
    ):  # fmt: skip
        torch.save(value, path)
        refused(tmp_path, match)


def test_archives_that_unpack_to_far_more(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "params.npz", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("W_enc.npy", b"\0" * (80 * 2**20))
    refused(tmp_path, "would unpack to")


def test_yaml_that_refers_to_itself_or_to_code(tmp_path: Path) -> None:
    convert_dictionary(sample("relu", transcoder=True), tmp_path, format="circuit_tracer")
    path = tmp_path / "config.yaml"
    path.write_text("a: &a [1, 2]\nb: [*a, *a]\n")
    refused(tmp_path, "aliases")
    path.write_text("model_name: !!python/object/apply:os.getcwd []\n")
    refused(tmp_path, "no plain YAML")


def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    inner = tmp_path / "set"
    convert_dictionary(sample("relu", transcoder=True), inner, format="circuit_tracer")
    (inner / "layer_2.safetensors").rename(tmp_path / "layer_2.safetensors")
    (inner / "config.yaml").write_text('transcoders: ["../layer_2.safetensors", "hf://a/b/c"]\n')
    refused(inner, "no files of a dictionary")


@pytest.mark.parametrize("name", ["../../etc", "owner/repo/../../x", "nobody/nothing", "a b", ""])
def test_names_that_lead_nowhere(name: str) -> None:
    with pytest.raises(ResiduumError):
        load_dictionary(name or "no/such/folder")
