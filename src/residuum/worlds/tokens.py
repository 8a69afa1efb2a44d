"""Microworld's tokenizer as the files that Hugging Face reads: one word, one token."""

from __future__ import annotations

from typing import Any


def tokenizer_json(vocabulary: list[str]) -> dict[str, Any]:
    """Content of ``tokenizer.json``: words split at white space, ``<s>`` put in front.

    Args:
        vocabulary: words by token id; must hold ``<pad>``, ``<s>``, ``</s>`` and ``<unk>``.

    Returns:
        A dictionary to be written as JSON.
    """
    ids = {word: index for index, word in enumerate(vocabulary)}
    special = ("<pad>", "<s>", "</s>", "<unk>")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(ids[word], word) for word in special],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [_begin(), _text("A", 0)],
            "pair": [_begin(), _text("A", 0), _text("B", 1)],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [ids["<s>"]], "tokens": ["<s>"]}},
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": ids, "unk_token": "<unk>"},
    }


def _added(index: int, word: str) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": index, "content": word, **flags, "special": True}


def _begin() -> dict[str, Any]:
    return {"SpecialToken": {"id": "<s>", "type_id": 0}}


def _text(which: str, type_id: int) -> dict[str, Any]:
    return {"Sequence": {"id": which, "type_id": type_id}}


def tokenizer_config(context: int) -> dict[str, Any]:
    """Content of ``tokenizer_config.json``: special tokens, context, an ordinary fast tokenizer."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
    }
