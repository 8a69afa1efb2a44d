"""The tokenizer files, as transformers reads them."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from residuum.worlds import (
    microworld_text,
    microworld_vocabulary,
    tokenizer_config,
    tokenizer_json,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    (path / "tokenizer.json").write_text(json.dumps(tokenizer_json(microworld_vocabulary())))
    (path / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(64)))
    return path


@pytest.mark.parametrize("opened_by", [AutoTokenizer, PreTrainedTokenizerFast])
def test_text_goes_there_and_back(folder: Path, opened_by: type) -> None:
    tokenizer = opened_by.from_pretrained(folder)
    assert len(tokenizer) == len(microworld_vocabulary())
    for sentence in islice(microworld_text(1), 100):
        ids = tokenizer(sentence)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id == 1
        assert len(ids) == len(sentence.split()) + 1
        assert tokenizer.decode(ids[1:]) == sentence
        assert tokenizer.decode(ids, skip_special_tokens=True) == sentence


def test_special_tokens(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id) == (0, 1)
    assert (tokenizer.eos_token_id, tokenizer.unk_token_id) == (2, 3)
    assert tokenizer("the zebra")["input_ids"][-1] == 3
    assert tokenizer("the key </s> the car", add_special_tokens=False)["input_ids"][2] == 2
    assert tokenizer.model_max_length == 64
