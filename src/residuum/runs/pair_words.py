"""Contrast pairs in words, from a file or a list, as checked rows of ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from residuum.core import ContrastPair, TaskError
from residuum.models.tokens import Tokens
from residuum.runs.pair_files import read_pairs
from residuum.runs.pair_rows import Checked, PairReader, TaskModel


def rows_of_words(
    pairs: str | Path | Sequence[ContrastPair],
    model: TaskModel | None,
    columns: Mapping[str, str] | None,
) -> tuple[list[Checked], str, str]:
    """Rows, where they come from, and the metric that their form suggests."""
    if model is None:
        raise TaskError("pairs in words need a model's tokenizer", mend="give the model too")
    problems: dict[int, str] = {}
    source, metric = "contrast pairs", "logit_diff"
    if isinstance(pairs, (str, Path)):
        source = str(pairs)
        pairs, problems = read_pairs(pairs, columns)
        metric = "prob_diff" if any(len(pair.answers) > 9 for pair in pairs) else metric
    elif columns:
        raise TaskError("columns= goes with a file", mend="leave it out for contrast pairs")
    reader = PairReader(model)
    checked = [problems.get(n) or reader.row(pair) for n, pair in enumerate(pairs, start=1)]
    return checked, source, metric


def refuse_beside_words(*ids: Any) -> None:
    """Refuse what goes with token ids only."""
    if any(each is not None for each in ids):
        raise TaskError(
            "ids beside pairs in words",
            mend="give corrupt=, answers=, wrong=, lengths=, positions= and templates= with clean=",
        )


def tokenizer_hash_of(model: TaskModel | None) -> str:
    """SHA-256 of the model's vocabulary and special tokens; empty without a tokenizer."""
    if model is None or model.tokenizer is None:
        return ""
    return Tokens(model.tokenizer, model.d_vocab, model.n_ctx).hash()
