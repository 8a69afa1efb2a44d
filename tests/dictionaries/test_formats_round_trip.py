"""Every kind of dictionary through every format: the same bits, or a refusal that says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from dictionary_samples import ACTIVATIONS, inputs, sample

from residuum.core import OptionError
from residuum.dictionaries import convert_dictionary, format_of, load_dictionary
from residuum.dictionaries.formats.convert import FORMATS, equal

NAMES = [each.name for each in FORMATS]
SHAPES = {"sae": {}, "tied": {"tied": True}, "transcoder": {"transcoder": True},
          "skip": {"transcoder": True, "skip": True}}  # fmt: skip
HELD = {
    "saelens": {
        (a, s) for a in ACTIVATIONS for s in SHAPES
        if s in ("sae", "tied") or a in ("relu", "jumprelu", "batchtopk")
    },
    "dictionary_learning": {
        ("relu", "sae"), ("relu", "tied"), ("topk", "tied"), ("batchtopk", "tied"),
        ("jumprelu", "sae"), ("gated", "tied"),
    },
    "sparsify": {("topk", "tied"), ("topk", "transcoder"), ("topk", "skip")},
    "gemma_scope": {(a, s) for a in ("jumprelu", "batchtopk") for s in ("sae", "transcoder")},
    "gemma_scope_2": {
        (a, s) for a in ("jumprelu", "batchtopk") for s in ("sae", "transcoder", "skip")
    },
    "circuit_tracer": {
        (a, s) for a in ("relu", "jumprelu", "batchtopk") for s in ("transcoder", "skip")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_same_bits_or_a_refusal(name: str, shape: str, activation: str, tmp_path: Path) -> None:
    one = name == "dictionary_learning"
    given = sample(activation, **SHAPES[shape], one_threshold=one)
    if (activation, shape) not in HELD[name]:
        with pytest.raises(OptionError, match=f"{name} cannot hold this dictionary"):
            convert_dictionary(given, tmp_path, format=name)
        assert not list(tmp_path.iterdir())
        return
    convert_dictionary(given, tmp_path, format=name)
    assert format_of(tmp_path) == name
    found = load_dictionary(tmp_path)
    assert equal(found, given)
    assert torch.equal(found.reconstruct(inputs()), given.reconstruct(inputs()))


@pytest.mark.parametrize("name", [n for n in NAMES if n != "gemma_scope"])
def test_bfloat16_stays(name: str, tmp_path: Path) -> None:
    activation, shape = sorted(HELD[name])[0]
    given = sample(activation, **SHAPES[shape], dtype=torch.bfloat16, one_threshold=True)
    convert_dictionary(given, tmp_path, format=name)
    assert equal(load_dictionary(tmp_path), given)


def test_numpy_has_no_bfloat16(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="NumPy has no bfloat16"):
        convert_dictionary(sample("jumprelu", dtype=torch.bfloat16), tmp_path, format="gemma_scope")


def test_equal_sees_one_bit() -> None:
    given, other = sample("topk"), sample("topk")
    assert equal(given, other)
    other.W_enc[0, 3, 5] += 1e-7
    assert not equal(given, other)


@pytest.mark.parametrize(("name", "activation", "shape"), [
    ("saelens", "jumprelu", "sae"), ("gemma_scope_2", "jumprelu", "tied"),
    ("circuit_tracer", "relu", "transcoder"), ("sparsify", "topk", "sae"),
    ("saelens", "gated", "tied"), ("dictionary_learning", "gated", "sae"),
])  # fmt: skip
def test_a_scale_and_a_bias_are_folded_when_asked(
    name: str, activation: str, shape: str, tmp_path: Path
) -> None:
    given = sample(activation, **SHAPES[shape], scale=1.7, dtype=torch.float64, one_threshold=True)
    with pytest.raises(OptionError, match="inputs are scaled") as refused:
        convert_dictionary(given, tmp_path, format=name)
    assert "fold=True" in refused.value.mend
    convert_dictionary(given, tmp_path, format=name, fold=True)
    x = inputs(dtype=torch.float64)
    found = load_dictionary(tmp_path)
    assert found.scale == 1.0
    torch.testing.assert_close(found.reconstruct(x), given.reconstruct(x), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.encode(x), given.encode(x), rtol=1e-10, atol=1e-10)


def test_a_scaled_checkpoint_of_saelens_keeps_its_scale(tmp_path: Path) -> None:
    convert_dictionary(sample("relu", tied=True), tmp_path, format="saelens")
    path = tmp_path / "cfg.json"
    config = json.loads(path.read_text())
    config["normalize_activations"] = "expected_average_only_in"
    del config["metadata"]["residuum"]
    path.write_text(json.dumps(config))
    from residuum.core import LoadError

    with pytest.raises(LoadError, match="the factor is not in the files"):
        load_dictionary(tmp_path)
    (tmp_path / "activation_scaler.json").write_text('{"scaling_factor": 2.5}')
    assert load_dictionary(tmp_path).scale == 2.5
    config["normalize_activations"] = "layer_norm"
    path.write_text(json.dumps(config))
    with pytest.raises(LoadError, match="vector by vector"):
        load_dictionary(tmp_path)


def test_norms_of_a_topk_decoder_are_folded(tmp_path: Path) -> None:
    given = sample("topk", tied=True, dtype=torch.float64)
    convert_dictionary(given, tmp_path, format="saelens")
    path = tmp_path / "cfg.json"
    config = json.loads(path.read_text())
    config["rescale_acts_by_decoder_norm"] = True
    path.write_text(json.dumps(config))
    x, norms = inputs(dtype=torch.float64), given.W_dec[:, 0].norm(dim=1)
    assert given.b_in is not None and given.b_enc is not None
    pre = ((x - given.b_in[0]) @ given.W_enc[0] + given.b_enc) * norms
    top = pre.topk(5, dim=-1)
    latents = torch.zeros_like(pre).scatter(-1, top.indices, top.values.relu())
    found = load_dictionary(tmp_path)
    torch.testing.assert_close(found.encode(x), latents)
    torch.testing.assert_close(
        found.reconstruct(x), (latents / norms) @ given.W_dec[:, 0] + given.b_dec[0]
    )


@pytest.mark.parametrize("name", [None, *(n for n in NAMES if n != "dictionary_learning")])
def test_a_decoder_that_is_a_view_of_the_encoder_is_written(
    name: str | None, tmp_path: Path
) -> None:
    from dataclasses import replace

    activation, shape = ("topk", "sae") if name is None else sorted(HELD[name])[0]
    given = sample(activation, **SHAPES[shape])
    tied = replace(given, W_dec=given.W_enc[0].T[:, None])
    assert tied.W_dec.data_ptr() == tied.W_enc.data_ptr()
    if name is None:
        tied.save(tmp_path)
    else:
        convert_dictionary(tied, tmp_path, format=name)
    assert equal(load_dictionary(tmp_path), tied)


def test_gemma_scope_says_its_site_and_l0_in_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "gemma-scope-2b-pt-mlp" / "layer_4" / "width_16k" / "average_l0_81"
    convert_dictionary(sample("jumprelu"), folder, format="gemma_scope")
    (folder / "config.json").unlink()
    found = load_dictionary(folder)
    assert list(map(str, found.reads)) == ["L4.mlp_out"]
    assert found.declared == {"l0": 81.0} and found.model_name == "google/gemma-2-2b"
    assert found.provenance is not None
    assert found.provenance.strategy == "read from gemma_scope"


def test_circuit_tracers_layers_share_a_folder(tmp_path: Path) -> None:
    from dataclasses import replace

    from residuum.core import Address, LoadError

    first = sample("relu", transcoder=True)
    second = replace(sample("relu", transcoder=True, seed=1), reads="L3.ln2", writes="L3.mlp_out")  # type: ignore[arg-type]
    for each in (first, second):
        convert_dictionary(each, tmp_path, format="circuit_tracer")
    with pytest.raises(LoadError, match="transcoders of 2 layers"):
        load_dictionary(tmp_path)
    assert equal(load_dictionary(tmp_path / "layer_2.safetensors"), first)
    found = load_dictionary(tmp_path, at=("L3.ln2", "L3.mlp_out"))
    assert equal(found, second) and found.writes == (Address("L3.mlp_out"),)
