"""Contrast pairs from a file or a list, in words or as ids, as checked rows of ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residuum.core import ContrastPair, TaskError
from residuum.models.tokens import Tokens
from residuum.runs.arguments import need_model, shown
from residuum.runs.id_files import holds_ids, rows_in
from residuum.runs.pair_files import pairs_in, read_table
from residuum.runs.pair_rows import Checked, PairReader, TaskModel


@dataclass(frozen=True)
class Sourced:
    """Checked rows and where they come from.

    Attributes:
        checked: rows, or why they cannot be used.
        source: file or kind.
        metric: what their form asks for; empty means no wish.
        unfit: answer words that are no single tokens.
    """

    checked: list[Checked]
    source: str
    metric: str = "logit_diff"
    unfit: tuple[str, ...] = ()


def rows_of_pairs(
    pairs: str | Path | Sequence[ContrastPair],
    model: TaskModel | None,
    columns: Mapping[str, str] | None,
) -> Sourced:
    """Read pairs, from a file if need be; words take the model's tokenizer, ids need none."""
    if model is not None:
        need_model(model, "Task.from_pairs")
    if isinstance(pairs, (str, Path)):
        rows, found = read_table(pairs, columns)
        if holds_ids(rows, found):
            return Sourced(rows_in(rows, found, model), str(pairs))
        file = pairs_in(rows, found)
        return _in_words(file.pairs, model, str(pairs), file.metric, file.problems)
    if not _are_pairs(pairs):
        raise TaskError(
            f"pairs are a file or a list of contrast pairs, got {shown(pairs)}",
            mend="give a path, or a list of rz.ContrastPair(clean, corrupt, answers, wrong)",
        )
    if columns:
        raise TaskError("columns= goes with a file", mend="leave it out for contrast pairs")
    return _in_words(pairs, model, "contrast pairs")


def _in_words(
    pairs: Sequence[ContrastPair],
    model: TaskModel | None,
    source: str,
    metric: str = "logit_diff",
    problems: Mapping[int, str] | None = None,
) -> Sourced:
    if model is None:
        raise TaskError("pairs in words need a model's tokenizer", mend="give the model too")
    reader, unread = PairReader(model), problems or {}
    checked = [unread.get(n) or reader.row(pair) for n, pair in enumerate(pairs, start=1)]
    return Sourced(checked, source, metric, reader.unfit)


def _are_pairs(pairs: Any) -> bool:
    listed = isinstance(pairs, Sequence) and not isinstance(pairs, bytes)
    return listed and all(isinstance(pair, ContrastPair) for pair in pairs)


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
