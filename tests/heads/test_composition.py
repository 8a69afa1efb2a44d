from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import residuum as rz
from residuum import heads
from residuum.core import AddressError, OptionError
from residuum.heads.reading import embedding, norm_map

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))

from configs import build
from handmade import HEADS, INDUCTION, LETTERS, PREVIOUS, WIDTH, handmade_induction

torch.set_num_threads(1)
PAIR = (f"L0H{PREVIOUS}", f"L1H{INDUCTION}")


@cache
def loaded(name):
    return rz.load(build(name, torch.float64), check=False)


@pytest.fixture(scope="module")
def handmade():
    return rz.load(handmade_induction(torch.float64))


@pytest.fixture(scope="module")
def gbmi(test_data):
    return rz.load(test_data / "gbmi_indhead")


def dense(model, kind, layer, head, fold):
    circuit = (heads.ov if kind == "OV" else heads.qk)(model, layer, head, fold=fold)
    return circuit.matrix.dense().double()


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "granite"])
@pytest.mark.parametrize("kind", ["Q", "K", "V"])
@pytest.mark.parametrize("fold", [False, True])
def test_scores_are_those_of_the_dense_matrices(name, kind, fold):
    model = loaded(name)
    table = heads.composition(model, kind, fold=fold, draws=20)
    for writer, reader in (((0, 1), (1, 3)), ((0, 0), (2, 2)), ((1, 2), (2, 0))):
        one = dense(model, "OV", *writer, fold)
        two = dense(model, "OV" if kind == "V" else "QK", *reader, fold)
        product = one @ (two.T if kind == "K" else two)
        expected = float(product.norm() / one.norm() / two.norm())
        labels = [f"L{layer}H{head}" for layer, head in (writer, reader)]
        assert table.pair(*labels).score == pytest.approx(expected, rel=1e-9)


def test_the_spectrum_null_is_that_of_turned_matrices():
    """Against the direct way: turn the writer's output by a random rotation, many times."""
    model = loaded("gpt2")
    table = heads.composition(model, "K", draws=1000)
    one, two = dense(model, "OV", 0, 0, True), dense(model, "QK", 1, 1, True)
    generator = torch.Generator().manual_seed(3)
    direct = []
    for _ in range(1000):
        normal = torch.randn(32, 32, generator=generator, dtype=torch.float64)
        turn = torch.linalg.qr(normal)[0]
        direct.append(float((one @ turn @ two.T).norm() / one.norm() / two.norm()))
    found = table.pair("L0H0", "L1H1").baseline
    assert found[1] == pytest.approx(np.mean(direct), rel=0.01)
    assert found[0] == pytest.approx(np.quantile(direct, 0.025), rel=0.03)
    assert found[2] == pytest.approx(np.quantile(direct, 0.975), rel=0.03)


def test_gbmi_composes_through_keys_alone(gbmi):
    for null in ("spectrum", "gaussian"):
        found = {k: heads.composition(gbmi, k, null=null).pair("L0H0", "L1H0") for k in "QKV"}
        assert found["K"].score == pytest.approx(0.482, abs=0.001)
        assert found["K"].p == pytest.approx(1 / 201)  # above every random draw
        assert found["V"].excess < 0 and found["V"].score == pytest.approx(0.014, abs=0.001)
        assert (found["Q"].p == pytest.approx(1 / 201)) is (null == "gaussian")
        assert found["K"].baseline[1] == pytest.approx(1 / 8, abs=0.005)  # 1/√d_model
    assert found["Q"].excess < 0.05 < 0.3 < found["K"].excess


def test_the_handmade_pair_and_no_other(handmade):
    table = heads.composition(handmade, "K")
    best, *others = table.top(HEADS**2)
    assert (best.writer, best.reader) == PAIR
    assert best.score == pytest.approx(1 / LETTERS**0.5)  # two partial isometries of 12 directions
    assert best.p == pytest.approx(1 / 201)
    assert all(each.p > 0.05 and each.excess < 0.05 for each in others)
    for kind in "QV":
        found = heads.composition(handmade, kind)
        assert found.pair(*PAIR).score == 0
        assert all(each.p > 0.05 for each in found.top(9))


def test_p_is_uniform_for_random_models():
    """In a random model no pair stands out: p below .1 in about a tenth of the pairs."""
    table = heads.composition(loaded("llama"), "K", draws=400)
    share = float((table.to_dataframe()["p"] < 0.1).mean())
    assert share < 0.25


def test_records_and_pictures(handmade, tmp_path):
    table = heads.composition(handmade, "K", draws=20)
    picture = table.figure()
    assert picture.matrix.shape == (HEADS, HEADS)
    assert list(picture.row_labels) == ["L0H0", "L0H1", "L0H2"]
    assert len(table.to_dataframe()) == HEADS**2
    assert np.isnan(table.effects.sel(writer="L1H0", reader="L0H0").item())
    for suffix in ("json", "csv", "html", "png"):
        table.save(tmp_path / f"x.{suffix}")
    assert table.to_json()["provenance"]["seed"] == 0
    same, other = (heads.composition(handmade, "K", draws=20, seed=s) for s in (0, 1))
    assert table.mean.equals(same.mean) and not table.mean.equals(other.mean)
    assert table.effects.equals(other.effects)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: heads.composition(m, "X"), "kind='X'"),
        (lambda m: heads.composition(m, null="none"), "null='none'"),
        (lambda m: heads.composition(m, draws=3), "draws=3"),
        (lambda m: heads.composition(m, seeds=3), "unknown option seeds"),
        (lambda m: heads.composition(m, draws=20).pair("L1H0", "L0H0"), "does not come after"),
        (lambda m: heads.composition(m, draws=20).pair("L0H9", "L1H0"), "no head 'L0H9'"),
    ],
)
def test_bad_input_to_composition(handmade, call, words):
    with pytest.raises(OptionError, match=words) as refused:
        call(handmade)
    assert refused.value.mend


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "falcon_7b"])
def test_virtual_weights_are_the_dense_product(name):
    model = loaded(name)
    last = model.n_layers - 1
    parts = model.adapted.parts
    d = model.dims

    def out(layer, head):
        return heads.ov(model, layer, head).matrix

    final = norm_map(parts.final_norm, d.d_model)
    k_norm, m_norm = (norm_map(parts.layers[last].ln1, d.d_model) for _ in range(2))
    m_norm = k_norm if parts.layers[last].ln2 is None else norm_map(parts.layers[last].ln2, 32)
    gate = (model.W_gate if name in ("llama", "gemma2") else model.W_in)[last]
    readers = {
        f"L{last}.k[H0]": k_norm.fold(model.W_K[last][0]),
        f"L{last}.mlp_pre": m_norm.fold(gate),
        f"L{last}.mlp_pre[N7]": m_norm.fold(gate)[:, 7:8],
        "logits": final.fold(model.W_U),
    }
    writers = {
        "embed": embedding(model),
        "L0.z[H1]": out(0, 1).right,
        "L0.head_out[H1]": out(0, 1).dense(),
    }
    if name != "gemma2":  # which writes through a post-norm
        writers["L0.mlp_act"] = model.W_out[0]
        writers["L0.mlp_act[N3]"] = model.W_out[0][3:4]
    for writer, left in writers.items():
        for reader, right in readers.items():
            found = heads.virtual_weights(model, writer, reader)
            expected = left @ right
            assert found.shape == expected.shape
            assert torch.allclose(found.matrix.dense(), expected, atol=1e-10)
            assert found.norm == pytest.approx(float(expected.norm()))
            whole = float(left.norm() * right.norm())
            assert found.cosine == pytest.approx(float(expected.norm()) / whole)


def test_virtual_weights_of_the_handmade_pair(handmade):
    found = heads.virtual_weights(handmade, f"L0.z[H{PREVIOUS}]", f"L1.k[H{INDUCTION}]")
    assert torch.equal(found.matrix.dense(), torch.eye(LETTERS, dtype=torch.float64))
    none = heads.virtual_weights(handmade, f"L0.z[H{PREVIOUS}]", f"L1.q[H{INDUCTION}]")
    assert none.norm == 0 and none.cosine == 0
    keys = heads.virtual_weights(handmade, "pos_embed", f"L0.k[H{PREVIOUS}]")
    assert torch.equal(keys.matrix.dense()[:, :WIDTH], torch.eye(WIDTH, dtype=torch.float64))


@pytest.mark.parametrize(
    ("writer", "reader", "error", "words"),
    [
        ("L2.z[H0]", "L1.k[H0]", AddressError, "does not come after"),
        ("L1.mlp_act", "L1.q[H0]", AddressError, "does not come after"),
        ("L1.z[H0]", "L1.q[H0]", AddressError, "does not come after"),
        ("L0.pattern[H0]", "logits", OptionError, "writes nothing"),
        ("embed", "L0.z[H0]", OptionError, "reads nothing"),
        ("L0.z[H9]", "logits", AddressError, "head 9 is out of range"),
        ("L0.mlp_act[N999]", "logits", AddressError, "neuron 999"),
        ("L7.mlp_act", "logits", AddressError, "layer 7"),
        ("L0.z", "logits", OptionError, "writes nothing"),
    ],
)
def test_bad_wiring_is_refused(writer, reader, error, words):
    with pytest.raises(error, match=words) as refused:
        heads.virtual_weights(loaded("gpt2"), writer, reader)
    assert refused.value.mend


def test_wiring_follows_the_order_within_a_block():
    assert heads.virtual_weights(loaded("gpt2"), "L1.z[H0]", "L1.mlp_pre").norm > 0
    with pytest.raises(AddressError, match="does not come after"):
        heads.virtual_weights(loaded("gptj"), "L1.z[H0]", "L1.mlp_pre")  # in parallel
    with pytest.raises(AddressError, match="mixture"):
        heads.virtual_weights(loaded("mixtral"), "L1.mlp_act", "logits")


def test_saved_wiring(tmp_path):
    for writer, reader in (("L0.z[H1]", "L1.q[H0]"), ("embed", "logits")):
        found = heads.virtual_weights(loaded("gpt2"), writer, reader)
        for suffix in ("json", "csv", "png"):
            found.save(tmp_path / f"x.{suffix}")
    assert len(found.to_dataframe()) == 100


def test_a_neuron_set_by_hand():
    """It reads one token's direction and writes another's: both lists begin with them."""
    model = rz.load(build("gpt2", torch.float64, tie_word_embeddings=False), check=False)
    block = model.hf.transformer.h[0]
    with torch.no_grad():
        block.ln_2.weight.fill_(1.0)
        model.hf.transformer.ln_f.weight.fill_(1.0)
        tokens = model.hf.transformer.wte.weight
        tokens.sub_(tokens.mean(-1, keepdim=True))
        block.mlp.c_fc.weight[:, 5] = 40 * tokens[17] / tokens[17].norm()
        unembed = model.hf.lm_head.weight
        block.mlp.c_proj.weight[5] = unembed[23] - unembed[23].mean()
        block.attn.c_proj.weight.zero_()
        block.attn.c_proj.bias.zero_()
        model.hf.transformer.wpe.weight.zero_()
    ids = torch.tensor([[3, 4, 5, 6], [7, 17, 8, 9], [30, 31, 17, 32]])
    reading = heads.neuron(model, 0, 5, ids, tokens=3, texts=2)
    assert reading.reads[0].token == 17 and reading.raises[0].token == 23
    assert {(each.prompt, each.pos) for each in reading.drives} == {(1, 1), (2, 2)}
    run = model.run(ids, capture=["L0.mlp_act"])
    assert reading.drives[0].activation == pytest.approx(float(run["mlp_act", 0][..., 5].max()))
    assert reading.mean == pytest.approx(float(run["mlp_act", 0][..., 5].mean()))
    assert reading.lowers[0].weight < 0 < reading.reads[0].weight


def test_neurons_of_padded_texts_and_bad_ones(tmp_path):
    model = rz.load("microworld", check=False)
    texts = ["Mary went to the store .", "Mary and John went to the park ."]
    both = heads.neuron(model, 1, 7, texts)
    alone = [heads.neuron(model, 1, 7, [each]).drives[0] for each in texts]
    assert [e.activation for e in both.drives] == pytest.approx(
        sorted((e.activation for e in alone), reverse=True), abs=1e-5
    )
    for suffix in ("json", "csv", "png"):
        both.save(tmp_path / f"x.{suffix}")
    nothing = heads.neuron(model, 1, 7)
    assert nothing.drives == () and nothing.to_json()["mean"] is None
    for call, error in (
        (lambda: heads.neuron(model, 1, 512), AddressError),
        (lambda: heads.neuron(model, 1, 7, []), OptionError),
        (lambda: heads.neuron(model, 1, 7, tokens=0), OptionError),
        (lambda: heads.neuron(loaded("mixtral"), 0, 0), AddressError),
        (lambda: heads.neuron(rz.load(handmade_induction()), 0, 0), AddressError),
    ):
        with pytest.raises(error) as refused:
            call()
        assert refused.value.mend
