"""Text as the rows that a model reads: packed to one length, or one text a row."""

from __future__ import annotations

import hashlib
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from residuum.core import OptionError, StoreError, TokenError
from residuum.dictionaries.harvests.texts import Document, documents_of
from residuum.models import Tokens
from residuum.runs import Model
from residuum.runs.arguments import shown, whole_number, yes_or_no

_LONGEST_DEFAULT = 1024
_AT_ONCE = 64


@dataclass(frozen=True)
class Layout:
    """How text becomes rows.

    Attributes:
        context: tokens in a row at most; None means the model's context, at most 1024.
        packing: True joins all texts, with a separator between them, and cuts rows of exactly
            ``context`` tokens, each with BOS in front where the tokenizer puts one; what is left
            at the end is dropped. False gives each text a row of its own; a text beyond
            ``context`` is cut into several rows, and only its first has the tokenizer's BOS.
        tokens: stop after so many tokens of text; None takes all.
        prepend_bos: None does what the tokenizer does.
        column: where rows have columns, the one with the text or token ids.
    """

    context: int | None = None
    packing: bool = False
    tokens: int | None = None
    prepend_bos: bool | None = None
    column: str = "text"

    def settled(self, model: Model) -> Layout:
        """The same with the model's context in.

        Raises:
            OptionError, TokenError: an option out of range, a context that the model lacks.
        """
        limit = model.n_ctx
        if self.context is not None:
            whole_number(self.context, "context", 2)
            if limit is not None and self.context > limit:
                raise TokenError(
                    f"a context of {self.context} tokens, the model has {limit}",
                    mend=f"use at most {limit}",
                )
        yes_or_no(self.packing, "packing")
        if self.tokens is not None:
            whole_number(self.tokens, "tokens", 1)
        if self.prepend_bos is not None:
            yes_or_no(self.prepend_bos, "prepend_bos")
        if not isinstance(self.column, str):
            raise OptionError(f"column={shown(self.column)} is no name", mend="give a text")
        context = self.context or min(limit or _LONGEST_DEFAULT, _LONGEST_DEFAULT)
        return Layout(context, self.packing, self.tokens, self.prepend_bos, self.column)


@dataclass(frozen=True, eq=False, repr=False)
class TokenTable:
    """The rows that the model will read; the ids lie in a temporary file, mapped.

    Attributes:
        ids: ``[token]`` int32, row after row.
        starts: ``[row + 1]`` where each row begins.
        documents: ``[text]`` number of each text that holds something.
        document_starts: ``[text]`` where it begins in ``ids``.
        text_hash: SHA-256 over the texts as given.
        hash: SHA-256 over ids and rows.
        n_texts, n_empty, n_dropped: texts read; texts without a token; tokens dropped at the end.
    """

    ids: np.ndarray
    starts: np.ndarray
    documents: np.ndarray
    document_starts: np.ndarray
    text_hash: str
    hash: str
    n_texts: int
    n_empty: int
    n_dropped: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of some rows."""
        return self.starts[rows + 1] - self.starts[rows]

    def row(self, index: int) -> np.ndarray:
        """Token ids of a row."""
        return self.ids[self.starts[index] : self.starts[index + 1]]

    def texts_of(self, index: int) -> np.ndarray:
        """The number of the text that each token of a row is from, ``[token]`` int32."""
        places = np.arange(self.starts[index], self.starts[index + 1])
        which = np.searchsorted(self.document_starts, places, side="right") - 1
        return self.documents[np.maximum(which, 0)].astype(np.int32)


@dataclass
class _Writer:
    """Gathers ids into a temporary file, row by row."""

    layout: Layout
    front: tuple[int, ...]
    limit: int
    file: Any = field(default_factory=lambda: _temporary())
    size: int = 0
    text_tokens: int = 0
    in_row: int = 0
    starts: array[int] = field(default_factory=lambda: array("q", [0]))
    documents: array[int] = field(default_factory=lambda: array("q"))
    document_starts: array[int] = field(default_factory=lambda: array("q"))
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, number: int, ids: np.ndarray, separator: tuple[int, ...]) -> bool:
        """Add a text; False when there are enough tokens."""
        assert self.layout.context is not None
        if self.layout.packing and self.documents:
            ids = np.concatenate([np.asarray(separator, ids.dtype), ids])
        ids = ids[: self.limit - self.text_tokens] if self.limit else ids
        self.text_tokens += len(ids)
        self.documents.append(number)
        self.document_starts.append(self.size)
        while len(ids):
            if not self.in_row and self.layout.packing:
                self._write(np.asarray(self.front))
            room = self.layout.context - self.in_row
            self._write(ids[:room])
            ids = ids[room:]
            if self.in_row == self.layout.context or (not self.layout.packing and not len(ids)):
                self.starts.append(self.size)
                self.in_row = 0
        return not self.limit or self.text_tokens < self.limit

    def _write(self, ids: np.ndarray) -> None:
        data = ids.astype("<i4").tobytes()
        try:
            self.file.write(data)
        except OSError as error:
            raise StoreError(
                f"no room for the token ids: {error.strerror}",
                mend="free some space, or point TMPDIR to another disk",
                where=tempfile.gettempdir(),
            ) from error
        self.digest.update(data)
        self.size += len(ids)
        self.in_row += len(ids)


def token_table(model: Model, text: Any, layout: Layout) -> TokenTable:
    """Tokenise text into rows; memory holds a few numbers a text, the ids go to a temporary file.

    Args:
        layout: as :meth:`Layout.settled` gives it.

    Raises:
        TokenError: no text, a text shorter than the context when packing, ids out of range, words
            that the vocabulary lacks, text for a model without a tokenizer.
        StoreError: a file that cannot be read.
    """
    packing, tokens = layout.packing, model.adapted.tokens
    front = _front(model, layout) if packing else ()
    writer = _Writer(layout, front, layout.tokens or 0)
    separator = _separator(model) if packing else ()
    words, n_texts, n_empty, more = hashlib.sha256(), 0, 0, True
    stream = documents_of(text, layout.column)
    while more and (some := list(islice(stream, _AT_ONCE))):
        for document, ids in zip(some, _encoded(tokens, some, layout), strict=True):
            _hash_into(words, document)
            n_texts += 1
            if len(ids):
                more = writer.add(n_texts - 1, ids, separator)
                if not more:
                    break
            else:
                n_empty += 1
    dropped = writer.size - writer.starts[-1]
    _need_rows(writer, n_texts, layout)
    starts = np.asarray(writer.starts)
    writer.digest.update(starts.tobytes())
    writer.file.flush()
    ids = np.memmap(writer.file, "<i4", "r", 0, (writer.starts[-1],))
    found = (np.asarray(writer.documents), np.asarray(writer.document_starts))
    counts = (n_texts, n_empty, dropped)
    return TokenTable(ids, starts, *found, words.hexdigest(), writer.digest.hexdigest(), *counts)


def _temporary() -> Any:
    return tempfile.TemporaryFile(prefix="residuum-")


def _need_rows(writer: _Writer, n_texts: int, layout: Layout) -> None:
    if len(writer.starts) > 1:
        return
    if not writer.size:
        what = "holds no token" if n_texts else "is empty"
        raise TokenError(f"the text {what}", mend="give at least one text with a word in it")
    raise TokenError(
        f"{writer.text_tokens} tokens of text fill no row of context={layout.context}",
        mend=f"give more text, context={max(writer.size, 2)} or less, or packing=False",
    )


def _front(model: Model, layout: Layout) -> tuple[int, ...]:
    tokens = model.adapted.tokens
    wanted = tokens.prepends_bos if layout.prepend_bos is None else layout.prepend_bos
    if wanted and tokens.bos_id is None:
        raise TokenError("the tokenizer has no BOS token", mend="leave prepend_bos out")
    return (tokens.bos_id,) if wanted and tokens.bos_id is not None else ()


def _separator(model: Model) -> tuple[int, ...]:
    """Between packed texts: the tokenizer's end token, else its BOS, else nothing."""
    end = getattr(model.tokenizer, "eos_token_id", None)
    between = end if isinstance(end, int) else model.adapted.tokens.bos_id
    return () if between is None else (between,)


def _encoded(tokens: Tokens, some: list[Document], layout: Layout) -> Iterator[np.ndarray]:
    """Token ids of each; empty for a text without a token."""
    texts = [each for each in some if isinstance(each, str) and each.strip()]
    special = not layout.packing and layout.prepend_bos is not False
    rows = iter(_rows_of(tokens, texts, special))
    for each in some:
        if isinstance(each, str):
            ids = np.asarray(next(rows) if each.strip() else [], np.int64)
            if len(ids) and not layout.packing and layout.prepend_bos and ids[0] != tokens.bos_id:
                ids = np.asarray(tokens.encode(each, True), np.int64)
            _refuse_unknown(tokens, each, ids)
        else:
            ids = each
        if len(ids) and (ids.min() < 0 or ids.max() >= tokens.d_vocab):
            wrong = ids.min() if ids.min() < 0 else ids.max()
            raise TokenError(
                f"token id {wrong} is out of range",
                mend=f"ids go from 0 to {tokens.d_vocab - 1}; is this the model's own tokenizer?",
            )
        yield ids


def _rows_of(tokens: Tokens, texts: list[str], special: bool) -> list[list[int]]:
    if not texts:
        return []
    tokenizer = tokens.tokenizer
    if tokenizer is None:
        return [tokens.encode(texts[0])]  # says that there is none
    return tokenizer(texts, add_special_tokens=special, verbose=False)["input_ids"]


def _refuse_unknown(tokens: Tokens, text: str, ids: np.ndarray) -> None:
    unknown = getattr(tokens.tokenizer, "unk_token_id", None)
    if unknown is not None and (ids == unknown).any():
        tokens.encode(text)


def _hash_into(digest: Any, document: Document) -> None:
    data = document.encode() if isinstance(document, str) else document.astype("<i8").tobytes()
    digest.update(len(data).to_bytes(8, "little"))
    digest.update(data)
