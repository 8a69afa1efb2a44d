"""What a user gets wrong (prompts, indices, models without attention) is refused with a mend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers

import residuum as rz
from residuum import heads
from residuum.core import AddressError, OptionError, ResiduumError, ShapeError, TokenError
from residuum.models.native import NativeConfig, NativeForCausalLM

IDS = torch.arange(3, 11)[None]
LONG = [3, 4, 5, 6, 7, 8, 9, 10]


@pytest.fixture(scope="module")
def microworld() -> rz.Model:
    return rz.load("microworld", check=False)


def native(**more: Any) -> rz.Model:
    torch.manual_seed(0)
    sizes = {"n_layers": 2, "n_heads": 2, "d_model": 16, "d_vocab": 20} | more
    return rz.load(NativeForCausalLM(NativeConfig(**sizes)), check=False)


# -- prompts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ([999], "prompt 0 is no text and no row of token ids: 999"),
        ([LONG, 7], "prompt 1 is no text"),
        ([None, None], "prompt 0 is no text"),
        ([[1.5] * 8, LONG], "prompt 0 is no text"),
        ([[True] * 8, LONG], "prompt 0 is no text"),
        ([["a"] * 8, LONG], "prompt 0 is no text"),
        ([LONG, [9999] * 8], "token id 9999 of prompt 1 is out of range"),
        ([LONG, [-1] * 8], "token id -1 of prompt 1 is out of range"),
        (torch.full((2, 8), 9999), "token id 9999 of prompt 0"),
        (torch.ones(2, 8, dtype=torch.bool), "are no token ids"),
        (torch.ones(2, 8), "are no token ids"),
        (np.full((2, 8), 0.5), "prompt 0 is no text"),
        ([], "the list of prompts is empty"),
        ([[], []], "2 prompts, the shortest of 0 tokens"),
        ([LONG, LONG[:3]], "2 prompts, the shortest of 3 tokens"),
        ([LONG], "1 prompts, the shortest of 8 tokens"),
        (["", ""], "the prompt is empty"),
        (["xyzzy " * 8] * 2, "not in the vocabulary"),
        ({"a": 1}, "is one prompt or none"),
        (5, "is one prompt or none"),
    ],
)
def test_prompts_of_detect_heads(microworld: rz.Model, prompts: Any, words: str) -> None:
    with pytest.raises(TokenError, match=words) as refused:
        heads.detect_heads(microworld, prompts, n=4, removal=None)
    assert refused.value.mend


def test_texts_and_ids_may_be_mixed(microworld: rz.Model) -> None:
    """The same prompts as texts, lists, arrays and tensors give the same scores."""
    text = "Mary went to the store . John went to the"
    ids = microworld.to_tokens(text)[0]
    mixed: list[Any] = [[text, ids.tolist()], [ids.numpy(), ids], torch.stack([ids, ids])]
    tables = [heads.detect_heads(microworld, each, n=4, removal=None) for each in mixed]
    first = tables[0].score("text.induction")
    assert all(np.array_equal(each.score("text.induction"), first) for each in tables[1:])


@pytest.mark.parametrize(
    ("corpus", "error", "words"),
    [
        ([[1, -1]], AddressError, "token -1"),
        ([[1, 9999]], AddressError, "token 9999"),
        ([["a", "b"]], TokenError, "no list of token ids"),
        ([None], TokenError, "no list of token ids"),
        ([[True, False]], TokenError, "no list of token ids"),
        (5, TokenError, "corpus=5 is no corpus"),
        ([[1]], TokenError, "too short"),
    ],
)
def test_a_corpus(microworld: rz.Model, corpus: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words) as refused:
        heads.bigram_table(microworld, corpus, min_count=1)
    assert refused.value.mend


def test_prompts_of_a_neuron(microworld: rz.Model) -> None:
    for prompts, error, words in (
        (5, OptionError, "prompts=5 is nothing to search"),
        ([], OptionError, "no prompts to search"),
        (torch.zeros(0, 4, dtype=torch.long), OptionError, "no prompts to search"),
        ([[1, 9999]], TokenError, "out of range"),
        ([None], TokenError, "token ids must be integers"),
    ):
        with pytest.raises(error, match=words) as refused:
            heads.neuron(microworld, 0, 5, prompts)
        assert refused.value.mend
    rows = [torch.tensor([3, 4, 5, 6]), [7, 8], np.array([9, 10, 11])]
    found = heads.neuron(microworld, 0, 5, rows, texts=3)  # ragged, of every kind
    assert {each.prompt for each in found.drives} == {0, 1, 2}
    (one,) = heads.neuron(microworld, 0, 5, [3, 4, 5, 6]).drives
    (same,) = [each for each in found.drives if each.prompt == 0]
    assert one.activation == pytest.approx(same.activation, abs=1e-5)


def test_longer_than_the_context() -> None:
    model = native(n_ctx=6)
    with pytest.raises(OptionError, match="longer than the model's context") as refused:
        heads.random_repeats(model, 4, length=7)
    assert "at most 6" in refused.value.mend
    with pytest.raises(TokenError, match="the model's context 6"):
        heads.path_expansion(model, IDS)
    with pytest.raises(OptionError, match="length=6 does not fit") as refused:
        heads.skip_trigrams(native(n_layers=1, n_ctx=6), length=6)
    assert "1 to 5" in refused.value.mend


@pytest.mark.parametrize("checks", [0, 4])
@pytest.mark.parametrize("length", [None, 0, 1])
def test_a_context_of_one_token_has_no_skip_trigrams(length: int | None, checks: int) -> None:
    with pytest.raises(OptionError, match="a context of 1 token") as refused:
        heads.skip_trigrams(native(n_layers=1, n_ctx=1), checks=checks, length=length)
    assert "2 tokens or more" in refused.value.mend


# -- indices ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: heads.ov(m, 0, -1), "head -1"),
        (lambda m: heads.ov(m, -1, 0), "layer -1"),
        (lambda m: heads.qk(m, 0, -1), "head -1"),
        (lambda m: heads.qk(m, 0, 8), "head 8"),
        (lambda m: heads.qk(m, 0, True), "head True"),
        (lambda m: heads.neuron(m, 0, -1), "neuron -1"),
        (lambda m: heads.neuron(m, 0, 512), "neuron 512"),
        (lambda m: heads.virtual_weights(m, "L0.z[H8]", "logits"), "head 8"),
        (lambda m: heads.virtual_weights(m, "L0.z[H0]", "L1.k[H8]"), "k head 8"),
        (lambda m: heads.virtual_weights(m, "L0.mlp_act[N512]", "logits"), "neuron 512"),
        (lambda m: heads.virtual_weights(m, "L4.z[H0]", "logits"), "layer 4"),
        (lambda m: heads.virtual_weights(m, "L0.z[H-1]", "logits"), "cannot read the address"),
        (lambda _: heads.skip_trigrams(native(n_layers=1), head=-1), "head -1"),
        (lambda _: heads.path_expansion(native(), IDS).of_token(-1), "token -1"),
        (lambda _: heads.path_expansion(native(), IDS).of_token(0, pos=8), "position 8"),
    ],
)
def test_numbers_out_of_range(microworld: rz.Model, call: Any, words: str) -> None:
    """Negative ones too, as in addresses; positions alone count from the end."""
    with pytest.raises(AddressError, match=words) as refused:
        call(microworld)
    assert refused.value.mend


def test_other_negative_numbers(microworld: rz.Model) -> None:
    circuit = heads.ov(microworld, 0, 0)
    for take in (circuit.matrix.rows, circuit.matrix.columns):
        with pytest.raises(ShapeError, match="out of range") as refused:
            take([-1])
        assert "0 to 127" in refused.value.mend
    table = heads.detect_heads(microworld, n=4, removal=None)
    with pytest.raises(OptionError, match="head -1 is out of range"):
        table.head(0, -1)
    expansion = heads.path_expansion(native(), IDS)
    assert torch.equal(expansion.of_token(3), expansion.of_token(3, pos=7))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: heads.virtual_weights(m, "L0.z[H0]@-1", "logits"), OptionError, "a position"),
        (lambda m: heads.virtual_weights(m, "L0.z[H0]", "L1.k[H0]@3"), OptionError, "a position"),
        (
            lambda m: heads.virtual_weights(m, "L0.z/NAME[F3]", "logits"),
            OptionError,
            "a dictionary",
        ),
        (lambda m: heads.ov(m, 0, 0).matrix.rows("a"), ShapeError, "a list of whole numbers"),
        (lambda m: heads.ov(m, 0, 0).matrix.rows(None), ShapeError, "a list of whole numbers"),
        (lambda m: heads.ov(m, 0, 0).matrix @ 3, ShapeError, "with int"),
        (lambda m: heads.detect_heads(m, progress=5), OptionError, "progress=5"),
        (lambda m: heads.random_repeats(None), OptionError, "needs a loaded model"),
        (lambda m: heads.bigram_table(m, ["a"], prepend_bos=5), OptionError, "no switch"),
    ],
)
def test_other_arguments(microworld: rz.Model, call: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words) as refused:
        call(microworld)
    assert refused.value.mend


def test_names_that_are_no_names(microworld: rz.Model) -> None:
    table = heads.detect_heads(microworld, n=4, removal=None)
    for call in (table.of_type, table.score, table.figure):
        for name in ([1], None, 5):
            with pytest.raises(OptionError, match="there is no") as refused:
                call(name)
            assert refused.value.mend


def test_no_triple_at_all() -> None:
    """Weights of zero hold none; the record says so and can still be drawn and saved."""
    model = native(n_layers=1)
    with torch.no_grad():
        model.hf.model.blocks[0].attn.o_proj.weight.zero_()
    found = heads.skip_trigrams(model)
    assert found.found == () and "no product of positive strength" in repr(found)
    assert found._repr_html_() and found.to_json()["obeyed_frac"] is None


# -- models without attention ----------------------------------------------------------------


def mamba() -> Any:
    return transformers.MambaForCausalLM(
        transformers.MambaConfig(
            hidden_size=16, state_size=4, num_hidden_layers=2, vocab_size=40, intermediate_size=32
        )
    )


def rwkv() -> Any:
    return transformers.RwkvForCausalLM(
        transformers.RwkvConfig(
            hidden_size=16, num_hidden_layers=2, vocab_size=40, attention_hidden_size=16
        )
    )


@pytest.mark.parametrize("make", [mamba, rwkv])
@pytest.mark.parametrize("check", [True, False])
def test_every_verb_refuses_a_model_without_attention(make: Any, check: bool) -> None:
    torch.manual_seed(0)
    model = rz.load(make(), check=check)
    for call in (
        lambda: heads.detect_heads(model),
        lambda: heads.detect_heads(model, [LONG, LONG], removal=None),
        lambda: heads.qk(model, 0, 0),
        lambda: heads.qk(model, 1, 0, full=True),
        lambda: heads.ov(model, 0, 0),
        lambda: heads.composition(model, "K"),
        lambda: heads.virtual_weights(model, "L0.z[H0]", "logits"),
        lambda: heads.virtual_weights(model, "embed", "logits"),
        lambda: heads.virtual_weights(model, "embed", "L1.mlp_pre"),
        lambda: heads.neuron(model, 0, 0, IDS),
        lambda: heads.skip_trigrams(model),
        lambda: heads.path_expansion(model, IDS),
        lambda: heads.bigram_table(model, IDS, min_count=1),
    ):
        with pytest.raises(AddressError, match=r"no attention|no table says") as refused:
            call()
        assert "doctor" in refused.value.mend


@pytest.mark.parametrize("path", ["model.embed", "model.blocks.0.attn.q_proj", "model.ln_final"])
def test_nan_elsewhere_in_a_model(path: str, capfd: Any) -> None:
    """Not in the weights that are read, but on the stream."""
    model = native(d_vocab=40, n_ctx=32, normalization="layernorm")
    with torch.no_grad():
        model.hf.get_submodule(path).weight.view(-1)[0] = float("nan")
    for call in (
        lambda: heads.detect_heads(model, n=4, removal=None),
        lambda: heads.path_expansion(model, torch.arange(8)[None]),
    ):
        with pytest.raises(ResiduumError, match="NaN or infinity") as refused:
            call()
        assert "look at the weights" in refused.value.mend
    assert "MKL" not in "".join(capfd.readouterr())
