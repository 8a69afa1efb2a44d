from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
import transformers

import residuum as rz
from residuum import heads
from residuum.core import AddressError, OptionError, StoreError
from residuum.heads.reading import embedding, norm_map
from residuum.models import logits_of

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))

from configs import CONFIGS, build
from handmade import INDUCTION, LETTERS, PREVIOUS, STRENGTH, handmade_induction

torch.set_num_threads(1)
NAMES = tuple(CONFIGS)
NO_BIAS = ("llama", "mistral", "gemma", "phi3", "olmo", "gpt_neo", "mixtral", "cohere2")
QK_NORMS = ("qwen3", "gemma3_text", "olmo2", "olmo3", "cohere", "stablelm", "qwen3_moe")
POSITIONS = ("gpt2", "gpt2_scaled", "gpt_neo", "opt", "bloom", "falcon_alibi", "bert")


@cache
def loaded(name):
    return rz.load(build(name, torch.float64), check=False)


@cache
def run_of(name):
    model = loaded(name)
    ids = torch.randint(3, 101, (2, 7), generator=torch.Generator().manual_seed(4))
    sites = ("embed", "ln1", "resid_pre", "resid_mid", "q", "k", "v", "head_out", "z")
    have = {each.name for each in model.sites}
    return model.run(ids, capture=[each for each in sites if each in have])


@pytest.fixture(scope="module")
def gbmi(test_data):
    return rz.load(test_data / "gbmi_indhead")


@pytest.fixture(scope="module")
def handmade():
    return rz.load(handmade_induction())


@pytest.mark.parametrize("name", [n for n in NAMES if n != "bert"])
def test_the_embedding_is_the_models_own(name):
    model, run = loaded(name), run_of(name)
    assert torch.equal(embedding(model)[run.ids], run["embed"])


@pytest.mark.parametrize("name", NAMES)
def test_every_norm_is_measured_right(name):
    for layer in loaded(name).adapted.parts.layers:
        norms = (layer.ln1, layer.ln2, layer.post_attn_norm)
        for norm in (each for each in norms if each is not None):
            found = norm_map(norm, 32)
            x = torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0)).double() * 2 + 0.5
            with torch.no_grad():
                gap = found.apply(x) / found.size(x) + found.bias - norm(x)
            assert float(gap.abs().max()) < 2e-6  # RMS norms compute in float32


@pytest.mark.parametrize("name", [n for n in NAMES if n not in (*QK_NORMS, *POSITIONS)])
@pytest.mark.parametrize("fold", [False, True])
def test_qk_at_an_offset_is_the_score(name, fold):
    """q·k of a run = the circuit between two streams, norm sizes divided out, biases apart."""
    model, run = loaded(name), run_of(name)
    layer, head, key_at, query_at = 1, 3, 2, 5
    circuit = heads.qk(model, layer, head, fold=fold, offset=query_at - key_at)
    part = model.adapted.parts.layers[layer]
    stream = run["resid_pre", layer] if fold else run["ln1", layer]
    if fold:
        stream = stream / norm_map(part.ln1, 32).size(stream)
    made = stream[:, query_at] @ circuit.matrix.dense() * stream[:, key_at]
    kv_head = head // (model.n_heads // model.dims.n_kv_heads)
    assert circuit.kv_head == kv_head
    q, k = run["q", layer][:, query_at, head], run["k", layer][:, key_at, kv_head]
    gap = float((made.sum(-1) - (q * k).sum(-1)).abs().max())
    if circuit.biases:
        assert gap > 1e-4  # the constants that are listed as left out are really left out
    else:
        assert gap < 1e-5


def test_biases_are_listed_exactly_where_there_are_some():
    for name in NO_BIAS:
        assert not heads.qk(loaded(name), 0, 0, fold=False).biases
    listed = heads.qk(loaded("gpt2"), 0, 0).biases
    assert set(listed) == {"b_Q", "b_K", "b_ln1 @ W_Q", "b_ln1 @ W_K"}
    assert set(heads.ov(loaded("qwen2"), 0, 0).biases) == {"b_V"}
    assert "b_ln_final" in heads.ov(loaded("gpt2"), 0, 0, full=True).biases
    assert "b_U" in heads.ov(loaded("phi"), 0, 0, full=True).biases


BARE = [n for n in NAMES if n not in ("gemma2", "gemma3_text", "olmo2", "olmo3", "gpt_oss")]


@pytest.mark.parametrize("name", [n for n in BARE if n != "bert"])
def test_ov_is_what_the_head_adds_for_a_value(name):
    """head_out at position 0 (which sees itself) = stream @ W_OV, biases and sizes put back."""
    model, run = loaded(name), run_of(name)
    layer, head = 1, 3
    part = model.adapted.parts.layers[layer]
    circuit = heads.ov(model, layer, head, fold=False)
    source = run["resid_pre", layer] if part.ln1 is None else run["ln1", layer]
    bias = circuit.biases.get("b_V")
    made = source[:, 0] @ circuit.matrix.dense()
    if bias is not None:
        made = made + bias @ circuit.matrix.right
    assert part.post_attn_norm is None
    assert torch.allclose(made, run["head_out", layer][:, 0, head], atol=1e-9)


def test_a_post_norm_is_folded_into_the_writer():
    model, run = loaded("olmo2"), run_of("olmo2")
    part = model.adapted.parts.layers[1]
    circuit = heads.ov(model, 1, 3)
    with torch.no_grad():
        before = part.o_proj(run["z", 1].flatten(-2))
    size = norm_map(part.post_attn_norm, 32).size(before)
    made = run["resid_pre", 1][:, 0] @ circuit.matrix.dense() / size[:, 0]
    assert torch.allclose(made, run["head_out", 1][:, 0, 3], atol=1e-6)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma", "granite", "cohere2", "bloom"])
def test_the_full_ov_circuit_moves_the_logits(name):
    """A head's output, pushed through the final norm at its frozen size, by token."""
    model, run = loaded(name), run_of(name)
    layer, head = 0, 1
    part = model.adapted.parts.layers[layer]
    full = heads.ov(model, layer, head, full=True)
    ids = run.ids[:, 0]
    stream = embedding(model, ids)
    made = full.matrix.rows(ids) / norm_map(part.ln1, 32).size(stream)
    one = heads.ov(model, layer, head)
    written = (stream / norm_map(part.ln1, 32).size(stream)) @ one.matrix.dense()
    final = norm_map(model.adapted.parts.final_norm, 32)
    with torch.no_grad():
        parts = model.adapted.parts
        zero = logits_of(parts, torch.zeros_like(written)[None])[0]
        expected = logits_of(parts, final.apply(written)[None])[0] - zero
    assert torch.allclose(made, expected, atol=1e-9)


def test_rotary_is_stated_and_refused_where_there_is_none():
    assert any("rotary" in note for note in heads.qk(loaded("llama"), 0, 0).notes)
    assert any("ALiBi" in note for note in heads.qk(loaded("bloom"), 0, 0).notes)
    still, moved = (heads.qk(loaded("llama"), 0, 0, offset=n).matrix.dense() for n in (0, 3))
    assert torch.allclose(still, heads.qk(loaded("llama"), 0, 0).matrix.dense(), atol=1e-5)
    assert not torch.allclose(still, moved, atol=1e-3)
    for name in ("gpt2", "bloom"):
        with pytest.raises(OptionError, match="do not rotate"):
            heads.qk(loaded(name), 0, 0, offset=1)
    for name in QK_NORMS:
        with pytest.raises(OptionError, match="norms its queries"):
            heads.qk(loaded(name), 0, 0, offset=1)
        assert "norms on queries and keys are left out" in heads.qk(loaded(name), 0, 0).notes
    with pytest.raises(OptionError, match="past the context"):
        heads.qk(loaded("llama"), 0, 0, offset=64)


def test_copying_separates_nothing_in_gbmi(gbmi):
    """anchors.md: .989 for the previous-token head and 1.000 for the induction head."""
    scores = [heads.ov(gbmi, layer, 0, full=True).copying() for layer in (0, 1)]
    assert scores == pytest.approx([0.989, 1.000], abs=0.0006)
    dense = heads.ov(gbmi, 0, 0, full=True).matrix.dense().double()
    values = torch.linalg.eigvals(dense)
    assert scores[0] == pytest.approx(float(values.real.sum() / values.abs().sum()), abs=1e-6)


def test_the_handmade_circuits_are_known(handmade):
    """The induction head copies; the previous-token head writes what nobody unembeds."""
    induction = heads.ov(handmade, 1, INDUCTION, full=True)
    assert torch.equal(induction.matrix.dense(), torch.eye(LETTERS))
    assert induction.copying() == pytest.approx(1.0)
    pairs = induction.top_pairs(LETTERS)
    assert all(each.row == each.column and each.value == 1.0 for each in pairs)
    previous = heads.ov(handmade, 0, PREVIOUS, full=True)
    assert previous.matrix.norm() == 0 and previous.copying() != previous.copying()
    through = heads.qk(handmade, 1, INDUCTION)
    assert through.matrix.norm() == pytest.approx(STRENGTH * LETTERS**0.5)
    first = induction.directions(2, tokens=1)
    assert [each.value for each in first] == pytest.approx([1.0, 1.0])
    assert first[0].share == pytest.approx(1 / LETTERS)
    assert all(set(each.reads[0]) <= set(sum(each.writes, ())) for each in first)


def test_a_copying_score_can_be_negative(handmade):
    circuit = heads.ov(handmade, 1, INDUCTION, full=True)
    against = heads.FactoredMatrix(-circuit.matrix.left, circuit.matrix.right)
    assert replace(circuit, matrix=against).copying() == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: heads.qk(m, 4, 0), AddressError, "layer 4 is out of range"),
        (lambda m: heads.ov(m, 0, 8), AddressError, "head 8 is out of range"),
        (lambda m: heads.ov(m, 0, "3"), AddressError, "head '3'"),
        (lambda m: heads.qk("gpt2", 0, 0), OptionError, "needs a loaded model"),
        (lambda m: heads.qk(m, 0, 0, folded=True), OptionError, "unknown option folded"),
        (lambda m: heads.qk(m, 0, 0, fold=1), OptionError, "no switch"),
        (lambda m: heads.ov(m, 0, 0).copying(), OptionError, "tokens to tokens"),
        (lambda m: heads.ov(m, 0, 0).top_pairs(), OptionError, "no tokens"),
        (lambda m: heads.ov(m, 0, 0).directions(0), OptionError, "n=0"),
        (lambda m: heads.ov(m, 0, 0).save("x.txt"), OptionError, "cannot save"),
        (lambda m: heads.ov(m, 0, 0).save("/nowhere/x.json"), StoreError, "nowhere"),
    ],
)
def test_bad_input_is_refused_with_a_mend(call, error, words):
    model = rz.load("microworld", check=False)
    with pytest.raises(error, match=words) as refused:
        call(model)
    assert refused.value.mend


def test_an_encoder_and_an_unknown_family_are_refused():
    bert = loaded("bert")
    assert heads.qk(bert, 0, 0).shape == (32, 32)
    with pytest.raises(AddressError, match="no linear embedding") as refused:
        heads.qk(bert, 0, 0, full=True)
    assert "full=False" in refused.value.mend
    torch.manual_seed(0)
    config = transformers.MambaConfig(
        hidden_size=32, num_hidden_layers=2, vocab_size=101, state_size=4
    )
    state_space = rz.load(transformers.MambaForCausalLM(config).eval(), check=False)
    ids = torch.tensor([[1, 2, 3]])
    for call in (
        lambda: heads.qk(state_space, 0, 0),
        lambda: heads.ov(state_space, 0, 0),
        lambda: heads.neuron(state_space, 0, 0),
        lambda: heads.composition(state_space),
        lambda: heads.virtual_weights(state_space, "L0.z[H0]", "logits"),
        lambda: heads.skip_trigrams(state_space),
        lambda: heads.path_expansion(state_space, ids),
    ):
        with pytest.raises(AddressError, match="no attention") as refused:
            call()
        assert "doctor" in refused.value.mend


def test_records_save(tmp_path):
    model = rz.load("microworld", check=False)
    for circuit in (heads.ov(model, 1, 2, full=True), heads.qk(model, 1, 2)):
        for suffix in ("json", "csv", "html", "svg", "png"):
            circuit.save(tmp_path / f"x.{suffix}")
            assert (tmp_path / f"x.{suffix}").stat().st_size > 100
        assert circuit.to_json()["provenance"]["weight_hash"]
        assert "left out" in circuit.figure().caption


@pytest.mark.parametrize("name", ["llama", "gpt2", "olmo"])
def test_half_precision_weights_are_read_in_float32(name):
    """Within the rounding of the weights of the float64 model's circuits."""
    half = rz.load(build(name, torch.bfloat16), check=False)
    for full in (False, True):
        for verb in (heads.qk, heads.ov):
            found, exact = (verb(each, 1, 1, full=full).matrix for each in (half, loaded(name)))
            assert found.left.dtype == torch.float32
            gap = (found.dense().double() - exact.dense()).norm() / exact.norm()
            assert float(gap) < 0.02
    assert heads.composition(half, "K", draws=20).effects.shape == (12, 12)
    assert heads.virtual_weights(half, "L0.mlp_act", "L1.q[H0]").norm > 0
    assert heads.neuron(half, 0, 3, torch.tensor([[1, 2, 3]])).drives
