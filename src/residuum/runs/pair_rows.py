"""Contrast pairs as token ids, row by row, with what is wrong about each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from residuum.core import ContrastPair, ResiduumError, TaskError


class TaskModel(Protocol):
    """What tasks need of a loaded model."""

    @property
    def tokenizer(self) -> Any:
        """Hugging Face tokenizer, or None."""
        ...

    @property
    def n_ctx(self) -> int | None:
        """Longest prompt in tokens, or None."""
        ...

    @property
    def d_vocab(self) -> int:
        """How many token ids there are."""
        ...

    def to_tokens(self, text: str, /) -> Tensor:
        """Token ids [1 pos] of one prompt, with BOS where the tokenizer puts it."""
        ...

    def run(self, tokens: Tensor, /, *, attention_mask: Tensor | None = None) -> Any:
        """One forward pass; the result has ``.logits`` [batch pos d_vocab]."""
        ...


@dataclass(frozen=True)
class PairRow:
    """One contrast pair as ids.

    Attributes:
        clean, corrupt: token ids of the two prompts.
        answers, wrong: token ids of right and wrong next tokens, without repeats.
        positions: name -> token position, counted from the first token (BOS included).
        template: label of the sentence pattern.
    """

    clean: tuple[int, ...]
    corrupt: tuple[int, ...]
    answers: tuple[int, ...]
    wrong: tuple[int, ...]
    positions: Mapping[str, int] = field(default_factory=dict)
    template: str = ""


Checked = PairRow | str
"""A row, or why it cannot be used."""


def row_problem(
    row: PairRow, d_vocab: int | None = None, n_ctx: int | None = None, *, null: bool = False
) -> str | None:
    """Why a row cannot be used, or None.

    Args:
        row: the pair.
        d_vocab: number of token ids, where a model is at hand.
        n_ctx: longest prompt, where the model has a limit.
        null: whether clean and corrupt may be the same.
    """
    ids = {*row.clean, *row.corrupt, *row.answers, *row.wrong}
    shared = set(row.answers) & set(row.wrong)
    rules: tuple[tuple[bool, str], ...] = (
        (not row.clean or not row.corrupt, "an empty prompt"),
        (
            len(row.clean) != len(row.corrupt),
            f"clean has {len(row.clean)} tokens, corrupt {len(row.corrupt)}",
        ),
        (row.clean == row.corrupt and not null, "clean and corrupt are the same"),
        (not row.answers, "no answer"),
        (bool(shared), f"token {min(shared, default=0)} is both answer and wrong"),
        (min(ids, default=0) < 0, f"token id {min(ids, default=0)} is negative"),
        (
            d_vocab is not None and max(ids, default=0) >= d_vocab,
            f"token id {max(ids, default=0)} is outside the vocabulary of {d_vocab}",
        ),
        (
            n_ctx is not None and len(row.clean) > n_ctx,
            f"{len(row.clean)} tokens in a context of {n_ctx}",
        ),
        (
            any(not 0 <= at < len(row.clean) for at in row.positions.values()),
            "a named position lies outside the prompt",
        ),
    )
    return next((reason for broken, reason in rules if broken), None)


def all_null(rows: Sequence[PairRow]) -> bool:
    """Whether every pair has the same prompt on both sides: a null control, and meant so."""
    return all(row.clean == row.corrupt for row in rows)


class PairReader:
    """Turns pairs in words into rows of ids, with one model's tokenizer.

    Args:
        model: whose tokenizer reads.
    """

    def __init__(self, model: TaskModel) -> None:
        self._model = model
        self._answers: dict[tuple[str, str], int | str] = {}

    def row(self, pair: ContrastPair) -> Checked:
        """Ids of one pair, or why it has none."""
        if not _well_typed(pair):
            return "a pair is two texts with words as answers"
        try:
            clean, corrupt = self._ids(pair.clean), self._ids(pair.corrupt)
            positions = {
                name: self._position(pair.clean, clean, word)
                for name, word in pair.positions.items()
            }
        except (ResiduumError, _Misfit) as error:
            return _one_line(error)
        words = dict.fromkeys((*pair.answers, *pair.wrong))
        ids = {word: self._answer(pair.clean, word) for word in words}
        unfit = [found for found in ids.values() if isinstance(found, str)]
        if unfit:
            more = f" and {len(unfit) - 5} more" if len(unfit) > 5 else ""
            return "; ".join(unfit[:5]) + more
        answers, wrong = (_unique(ids[w] for w in side) for side in (pair.answers, pair.wrong))
        row = PairRow(clean, corrupt, answers, wrong, positions, pair.template)
        return row_problem(row, self._model.d_vocab, self._model.n_ctx) or row

    @property
    def unfit(self) -> tuple[str, ...]:
        """Answer words met so far that were not single tokens somewhere."""
        words = (word for (_, word), found in self._answers.items() if isinstance(found, str))
        return tuple(dict.fromkeys(words))

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(int(each) for each in self._model.to_tokens(text)[0])

    def _position(self, text: str, ids: tuple[int, ...], word: int) -> int:
        """Token position of a word: its last token."""
        ends = [match.end() for match in re.finditer(r"\S+", text)]
        if not 0 <= word < len(ends):
            raise _Misfit(f"position {word} in a prompt of {len(ends)} words")
        start = self._ids(text[: ends[word]])
        if ids[: len(start)] != start:
            raise _Misfit(f"the tokens of {text[: ends[word]]!r} do not begin the prompt's")
        return len(start) - 1

    def _answer(self, prompt: str, answer: str) -> int | str:
        """The one token that ``answer`` is after this prompt, or why there is none."""
        words = list(re.finditer(r"\S+", prompt))
        tail = prompt[words[max(len(words) - 2, 0)].start() :] if words else prompt
        if (tail, answer) not in self._answers:
            self._answers[tail, answer] = self._next_token(tail, answer)
        return self._answers[tail, answer]

    def _next_token(self, tail: str, answer: str) -> int | str:
        reason = ""
        for joined in _joined(tail, answer):
            try:
                before, after = self._ids(tail), self._ids(joined)
            except ResiduumError as error:
                reason = reason or f"answer {answer!r}: {_one_line(error)}"
                continue
            if after[:-1] == before:
                return after[-1]
            reason = reason or f"answer {answer!r} is not one token after {tail!r}"
        return reason


def _well_typed(pair: Any) -> bool:
    if not isinstance(pair, ContrastPair):
        return False
    sides = all(
        isinstance(side, Sequence) and not isinstance(side, str) and _texts(side)
        for side in (pair.answers, pair.wrong)
    )
    return sides and _texts((pair.clean, pair.corrupt)) and isinstance(pair.positions, Mapping)


def _texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


class _Misfit(ValueError):
    """Words and tokens that do not fit together."""


def _joined(tail: str, answer: str) -> list[str]:
    """Prompt and answer as one text: the next word, unless it can only go on without a space."""
    plain, spaced = tail + answer, f"{tail} {answer}"
    if not answer or answer[0].isspace() or tail[-1:].isspace():
        return [plain]
    last, first = tail[-1:], answer[0]
    word_after_word = (last.isalnum() or last in ".,;:!?") and first.isalpha()
    if word_after_word or (last.isalpha() and first.isdigit()):
        return [spaced]
    return [plain, spaced]


def _unique(ids: Any) -> tuple[int, ...]:
    return tuple(dict.fromkeys(ids))


def _one_line(error: Exception) -> str:
    return error.what if isinstance(error, ResiduumError) else str(error)


def keep_good(
    checked: Sequence[Checked],
    skip_misfits: bool,
    where: str = "",
    unfit: Sequence[str] = (),
) -> tuple[list[PairRow], dict[int, str]]:
    """Rows that can be used, and why the others (numbered from 1) cannot.

    Args:
        checked: rows, or why they cannot be used.
        skip_misfits: whether to go on without the latter.
        where: their source, for the error.
        unfit: words that are no single tokens, for the error.

    Raises:
        TaskError: nothing to use, or misfits that were not to be skipped; lists the rows.
    """
    problems = {n: row for n, row in enumerate(checked, start=1) if isinstance(row, str)}
    rows = [row for row in checked if isinstance(row, PairRow)]
    if not checked:
        raise TaskError("no pairs", mend="give at least one pair", where=where)
    if problems and (not skip_misfits or not rows):
        listed = "; ".join(f"row {n}: {why}" for n, why in list(problems.items())[:8])
        more = f"; and {len(problems) - 8} more" if len(problems) > 8 else ""
        if unfit:
            more += f"; words that are no single tokens: {', '.join(map(repr, unfit))}"
        raise TaskError(
            f"{len(problems)} of {len(checked)} pairs do not fit: {listed}{more}",
            mend=_mend_misfits(problems.values(), bool(rows), bool(unfit)),
            where=where,
        )
    return rows, problems


_MENDS = {
    "has no tokenizer": "give token ids: JSONL with clean, corrupt and answers as lists of ids",
    "is outside the vocabulary": "give ids of this model's own vocabulary, below its d_vocab",
    "is negative": "give token ids from 0 up; only answers and wrong are padded, with -1",
    "in a context of": "give shorter prompts",
    "no answer": "give each pair at least one answer",
    "is both answer and wrong": "leave it out of one of them",
    "named position": "count positions from the first token, BOS included",
    "a pair is": "give rz.ContrastPair(clean, corrupt, answers, wrong): two texts, tuples of words",
}
"""Part of a reason -> what to do about pairs that all have it."""


def _mend_misfits(reasons: Iterable[str], some_fit: bool, words: bool) -> str:
    if some_fit:
        return "mend these rows, or pass skip_misfits=True to drop and count them"
    if words:
        return "choose pairs whose words this model's tokenizer holds as single tokens"
    for part, mend in _MENDS.items():
        if all(part in reason for reason in reasons):
            return mend
    return "mend these rows: clean and corrupt differ, and have equally many tokens"
