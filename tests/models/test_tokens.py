from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import residuum as rz
from residuum.core import OptionError, TokenError
from residuum.models.tokens import Tokens

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))

from configs import build

torch.set_num_threads(1)
WORDS = ("the", "cat", "sat", "on", "mat", "dog")


def word_tokenizer(bos=True, unk=True, prepends=False, pad=True, extra=0):
    """A word-level tokenizer: [PAD] 0, [BOS] 1, [EOS] 2, [UNK] 3, then the words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    names = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", *WORDS, *(f"x{n}" for n in range(extra))]
    plain = Tokenizer(WordLevel({name: n for n, name in enumerate(names)}, unk_token="[UNK]"))
    plain.pre_tokenizer = WhitespaceSplit()
    if prepends:
        plain.post_processor = TemplateProcessing(single="[BOS] $A", special_tokens=[("[BOS]", 1)])
    special = {"bos_token": "[BOS]"} if bos else {}
    special |= {"unk_token": "[UNK]"} if unk else {}
    special |= {"pad_token": "[PAD]"} if pad else {}
    return PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="[EOS]", **special)


@pytest.fixture(scope="module")
def model():
    return rz.load(build("gpt2"), tokenizer=word_tokenizer())


@pytest.fixture(scope="module")
def with_bos():
    return rz.load(build("gpt2"), tokenizer=word_tokenizer(prepends=True))


def test_bos_is_what_the_tokenizer_does_and_can_be_overruled(model, with_bos):
    assert not model.prepends_bos and with_bos.prepends_bos
    assert model.bos_token_id == with_bos.bos_token_id == 1
    plain, bos = [4, 5, 6], [1, 4, 5, 6]
    cases = {(0, None): plain, (0, True): bos, (0, False): plain}
    cases |= {(1, None): bos, (1, True): bos, (1, False): plain}
    for (which, option), expected in cases.items():
        one = (model, with_bos)[which]
        assert one.to_tokens("the cat sat", prepend_bos=option).tolist() == [expected]
        run = one.run("the cat sat", prepend_bos=option)
        assert run.ids.tolist() == [expected]
        assert len(run.tokens[0]) == len(expected)
    assert with_bos.to_str_tokens("the cat") == ["[BOS]", "the", "cat"]
    assert with_bos.to_str_tokens("the cat", prepend_bos=False) == ["the", "cat"]
    assert with_bos.generate("the cat", 1).prompts.ids.tolist() == [[1, 4, 5]]
    made = with_bos.generate("the cat", 1, prepend_bos=False)
    assert made.prompts.ids.tolist() == [[4, 5]]


def test_a_bos_written_in_the_text_is_not_doubled(with_bos):
    assert with_bos.to_tokens("[BOS] the cat", prepend_bos=False).tolist() == [[1, 4, 5]]
    once = rz.load(build("gpt2"), tokenizer=word_tokenizer())
    assert once.to_tokens("[BOS] the cat", prepend_bos=True).tolist() == [[1, 4, 5]]


def test_without_a_bos_token():
    model = rz.load(build("gpt2"), tokenizer=word_tokenizer(bos=False))
    assert model.bos_token_id is None and not model.prepends_bos
    with pytest.raises(TokenError, match="no BOS token"):
        model.to_tokens("the cat", prepend_bos=True)


def test_unknown_words_are_named(model):
    with pytest.raises(TokenError, match="not in the vocabulary: 'zebra', 'Cat'") as error:
        model.run("the zebra sat Cat")
    assert "token ids" in error.value.mend
    assert model.to_tokens("the [UNK] sat").tolist() == [[4, 3, 6]]


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_prompt(model, text):
    with pytest.raises(TokenError, match="empty"):
        model.run(text)
    with pytest.raises(TokenError, match="empty"):
        model.run(["the cat", text])


@pytest.mark.parametrize("prompts", [[], [[]], [[4, 5], []], torch.zeros(1, 0).long()])
def test_no_tokens_at_all(model, prompts):
    with pytest.raises(TokenError):
        model.run(prompts)


def test_ragged_texts_are_padded(model):
    batch = model.adapted.tokens.batch(["the cat sat on", "dog", "the mat"])
    assert batch.ids.tolist() == [[4, 5, 6, 7], [9, 0, 0, 0], [4, 8, 0, 0]]
    assert batch.mask.int().tolist() == [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]]
    assert batch.lengths.tolist() == [4, 1, 2] and batch.starts.tolist() == [0, 0, 0]
    left = model.adapted.tokens.batch(["the cat sat on", "dog", "the mat"], left=True)
    assert left.ids.tolist() == [[4, 5, 6, 7], [0, 0, 0, 9], [0, 0, 4, 8]]
    assert left.starts.tolist() == [0, 3, 2]
    assert model.adapted.tokens.batch(["the cat", "a".replace("a", "dog sat")]).mask is None
    run = model.run(["the cat sat on", "dog"])
    assert run.tokens == (("the", "cat", "sat", "on"), ("dog",))


@pytest.mark.parametrize("pad", [True, False])
def test_the_pad_id_does_not_matter(pad):
    model = rz.load(build("gpt2"), tokenizer=word_tokenizer(pad=pad))
    run = model.run(["the cat sat on", "dog"])
    alone = model.run("dog")
    assert torch.allclose(run.last[1], alone.last[0], atol=1e-5)


def test_ids_of_every_form(model):
    expected = model.run("the cat").logits
    for prompts in ([4, 5], [[4, 5]], (4, 5), torch.tensor([4, 5]), torch.tensor([[4, 5]])):
        assert torch.equal(model.run(prompts).logits, expected)
    assert torch.equal(model.run(torch.tensor([4, 5], dtype=torch.int32)).logits, expected)


@pytest.mark.parametrize("bad", [101, -1, 100_000])
def test_ids_out_of_range(model, bad):
    for prompts in ([4, bad], torch.tensor([[4, bad]])):
        with pytest.raises(TokenError, match=rf"token id {bad} is out of range") as error:
            model.run(prompts)
        assert "0 to 100" in error.value.mend


@pytest.mark.parametrize(
    "bad",
    [
        torch.tensor([1.0, 2.0]),
        torch.zeros(1, 2, 3).long(),
        torch.tensor(3),
        torch.tensor([True, False]),
        None,
        3,
        {"a": 1},
        [4.5, 5.5],
        [["the"]],
        [[4, "cat"]],
        [None],
        ["the cat", [4, 5.5]],
    ],
    ids=str,
)
def test_what_is_no_prompt(model, bad):
    with pytest.raises(TokenError) as error:
        model.run(bad)
    assert error.value.mend


def test_a_prompt_longer_than_the_context(model):
    assert model.run([5] * 64).logits.shape[1] == 64
    with pytest.raises(TokenError, match="65 tokens, the model's context 64"):
        model.run([5] * 65)
    with pytest.raises(TokenError, match="context 64"):
        model.run(" ".join(["cat"] * 65))


def test_padding_does_not_count_for_the_context(model):
    ids, mask = torch.zeros(2, 64).long(), torch.ones(2, 64).long()
    mask[0, 60:] = 0
    assert model.run(ids, attention_mask=mask).logits.shape == (2, 64, 101)


def test_a_padded_batch_wider_than_the_context_is_refused(model):
    ids, mask = torch.zeros(2, 70).long(), torch.zeros(2, 70).long()
    mask[0, :60], mask[1, 10:] = 1, 1
    with pytest.raises(TokenError, match="70 tokens, the model's context 64"):
        model.run(ids, attention_mask=mask)


def test_ids_as_arrays_and_tensors_of_different_lengths(model):
    import numpy as np

    rows = [torch.tensor([4, 5, 6]), np.array([7, 8]), (np.int64(9),)]
    run = model.run(rows)
    assert run.batch.lengths.tolist() == [3, 2, 1] and run.ids[2, 0] == 9
    assert model.run([np.int64(4), np.int64(5)]).ids.tolist() == [[4, 5]]


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (torch.tensor([[1, 0, 1]]), "one run of ones"),
        (torch.tensor([[0, 0, 0]]), "one run of ones"),
        (torch.tensor([[1, 1]]), "shape"),
    ],
    ids=str,
)
def test_masks_that_make_no_sense(model, mask, reason):
    with pytest.raises(OptionError, match=reason):
        model.run(torch.tensor([[4, 5, 6]]), attention_mask=mask)
    with pytest.raises(OptionError, match="tensor of ids"):
        model.run("the cat sat", attention_mask=torch.ones(1, 3))


def test_single_tokens(model):
    assert model.to_single_token("cat") == 5
    with pytest.raises(TokenError, match="is 2 tokens: 'the', 'cat'"):
        model.to_single_token("the cat")
    with pytest.raises(TokenError, match="not in the vocabulary"):
        model.to_single_token("zebra")
    with pytest.raises(TokenError):
        model.to_single_token("")


def test_single_tokens_never_count_bos(with_bos):
    assert with_bos.to_single_token("cat") == 5


def test_text_needs_a_tokenizer():
    model = rz.load(build("gpt2"))
    with pytest.raises(TokenError, match="no tokenizer"):
        model.run("the cat")
    assert model.to_str_tokens(torch.tensor([4, 5])) == ["<4>", "<5>"]
    assert model.run([4, 5]).tokens == ()
    assert model.tokenizer is None and model.provenance().tokenizer_hash == ""


def test_a_foreign_tokenizer_is_refused():
    with pytest.raises(TokenError, match="210 tokens, the model's embedding 101") as error:
        rz.load(build("gpt2"), tokenizer=word_tokenizer(extra=200))
    assert "tokenizer=" in error.value.mend
    with pytest.raises(TokenError):
        Tokens(word_tokenizer(), d_vocab=5, n_ctx=None)


def test_hashes_tell_tokenizers_apart():
    one, same, other = (
        Tokens(word_tokenizer(**o), 101, None).hash() for o in ({}, {}, {"extra": 1})
    )
    assert one == same != other and len(one) == 64


def test_strings_and_text(model):
    assert model.to_string([4, 5, 6]) == "the cat sat"
    assert model.to_str_tokens("the cat") == ["the", "cat"]
    assert model.to_str_tokens([4, 5]) == ["the", "cat"]
    texts = model.to_tokens(["the cat", "the dog sat"])
    assert texts.shape == (2, 3)
