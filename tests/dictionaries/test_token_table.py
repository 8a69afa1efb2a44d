"""Text as rows: every token is where it should be, packed or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import residuum as rz
from residuum.core import OptionError, TokenError
from residuum.dictionaries.harvests.token_table import Layout, TokenTable, token_table

TEXTS = ["Mary went to the store .", "", "John gave a drink .", "   ", "Mary went ."]
KEPT = [0, 2, 4]


@pytest.fixture(scope="module")
def model() -> rz.Model:
    return rz.load("microworld", check=False)


def table_of(model: rz.Model, text: Any = TEXTS, **layout: Any) -> TokenTable:
    return token_table(model, text, Layout(**layout).settled(model))


def rows(table: TokenTable) -> list[list[int]]:
    return [table.row(i).tolist() for i in range(len(table))]


def test_each_text_has_its_own_row(model: rz.Model) -> None:
    table = table_of(model)
    assert rows(table) == [model.to_tokens(TEXTS[i])[0].tolist() for i in KEPT]
    assert [set(table.texts_of(i).tolist()) for i in range(3)] == [{i} for i in KEPT]
    assert (table.n_texts, table.n_empty, table.n_dropped) == (5, 2, 0)


def test_a_long_text_is_cut(model: rz.Model) -> None:
    whole = model.to_tokens(TEXTS[0])[0].tolist()
    table = table_of(model, TEXTS[:1], context=3)
    assert rows(table) == [whole[i : i + 3] for i in range(0, len(whole), 3)]
    assert set(np.concatenate([table.texts_of(i) for i in range(len(table))])) == {0}


def test_packed_rows_begin_with_bos_and_hold_everything_once(model: rz.Model) -> None:
    bos, end = model.bos_token_id, model.tokenizer.eos_token_id
    stream: list[int] = []
    for i in KEPT:
        stream += [end] * bool(stream) + model.to_tokens(TEXTS[i], prepend_bos=False)[0].tolist()
    table = table_of(model, context=4, packing=True)
    wanted = [[bos, *stream[i : i + 3]] for i in range(0, len(stream) - 2, 3)]
    assert rows(table) == wanted
    assert table.n_dropped == (len(stream) % 3 and 1 + len(stream) % 3)
    texts = np.concatenate([table.texts_of(i) for i in range(len(table))])
    first = model.to_tokens(TEXTS[0], prepend_bos=False).shape[1]
    assert texts[: 4 * (first // 3)].max() == 0 and set(texts.tolist()) == set(KEPT)
    plain = table_of(model, context=4, packing=True, prepend_bos=False)
    assert rows(plain)[0] == stream[:4]


@pytest.mark.parametrize("packing", [False, True])
def test_only_so_many_tokens_are_taken_and_so_much_text_read(
    model: rz.Model, packing: bool
) -> None:
    def endless() -> Any:
        while True:
            yield "Mary went to the store ."

    table = table_of(model, endless(), tokens=50, packing=packing, context=6)
    fronts = len(table) if packing else 0
    assert len(table.ids) - fronts + (table.n_dropped - bool(table.n_dropped) * packing) == 50


def test_hashes_follow_the_text_and_the_rows(model: rz.Model) -> None:
    one, same = table_of(model), table_of(model, iter(TEXTS))
    assert (one.hash, one.text_hash) == (same.hash, same.text_hash)
    other, cut = table_of(model, TEXTS[:-1]), table_of(model, context=5)
    assert len({one.hash, other.hash, cut.hash}) == 3
    assert one.text_hash == cut.text_hash != other.text_hash
    assert (
        table_of(model, ["ab", "c"][:0] or [[4, 5], [6]]).text_hash
        != table_of(model, [[4], [5, 6]]).text_hash
    )


@pytest.mark.parametrize(
    ("text", "layout", "kind", "what", "mend"),
    [
        ([], {}, TokenError, "the text is empty", "at least one text"),
        (["", " "], {}, TokenError, "the text holds no token", "a word in it"),
        (["Mary went ."], {"packing": True, "context": 64}, TokenError,
         "3 tokens of text fill no row of context=64", "context=4 or less"),
        (["Mary went ."], {"context": 65}, TokenError, "65 tokens, the model has 64", "at most 64"),
        (["Mary zzz ."], {}, TokenError, "not in the vocabulary: 'zzz'", "words the model knows"),
        ([[1, 9999]], {}, TokenError, "token id 9999 is out of range", "ids go from 0 to 552"),
        ([[-1]], {}, TokenError, "token id -1 is out of range", "ids go from 0"),
        (TEXTS, {"tokens": 0}, OptionError, "tokens=0 is out of range", "1 or more"),
        (TEXTS, {"context": 1}, OptionError, "context=1 is out of range", "2 or more"),
        (TEXTS, {"packing": 1}, OptionError, "packing=1 is no switch", "True or False"),
    ],
)  # fmt: skip
def test_text_that_does_not_do_is_refused(
    model: rz.Model, text: Any, layout: Any, kind: Any, what: str, mend: str
) -> None:
    with pytest.raises(kind, match=what) as error:
        table_of(model, text, **layout)
    assert mend in error.value.mend


def test_text_for_a_model_without_a_tokenizer_is_refused() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=50, n_positions=16)
    bare = rz.load(GPT2LMHeadModel(config), check=False)
    with pytest.raises(TokenError, match="no tokenizer"):
        table_of(bare, ["Mary"])
    assert rows(table_of(bare, [[1, 2, 3], [4]])) == [[1, 2, 3], [4]]
    assert rows(table_of(bare, [[1, 2, 3], [4]], packing=True, context=2)) == [[1, 2], [3, 4]]
