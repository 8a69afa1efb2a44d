"""Prompts as token ids. Token ids, not text, are the identity of a prompt; BOS is made visible."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Number
from typing import Any

import torch
from torch import Tensor

from residuum.core import TokenError


@dataclass(frozen=True)
class Batch:
    """Prompts ready to run.

    Attributes:
        ids: ``[batch pos]``.
        mask: ``[batch pos]`` bool, true at real tokens; None when nothing is padded.
    """

    ids: Tensor
    mask: Tensor | None = None

    @property
    def lengths(self) -> Tensor:
        """Real tokens of each prompt, ``[batch]``."""
        if self.mask is None:
            return torch.full((self.ids.shape[0],), self.ids.shape[1])
        return self.mask.sum(dim=1).cpu()

    @property
    def starts(self) -> Tensor:
        """Column of each prompt's first real token, ``[batch]``."""
        if self.mask is None:
            return torch.zeros(self.ids.shape[0], dtype=torch.long)
        return self.mask.int().argmax(dim=1).cpu()

    def rows(self, start: int, stop: int) -> Batch:
        """Some of the prompts."""
        mask = None if self.mask is None else self.mask[start:stop]
        return Batch(self.ids[start:stop], mask)


class Tokens:
    """A tokenizer seen through the questions that interpretability asks.

    Args:
        tokenizer: a Hugging Face tokenizer, or None (then only token ids can be run).
        d_vocab: rows of the model's embedding.
        n_ctx: longest prompt, or None.
    """

    def __init__(self, tokenizer: Any, d_vocab: int, n_ctx: int | None) -> None:
        self.tokenizer = tokenizer
        self.d_vocab = d_vocab
        self.n_ctx = n_ctx
        self._hash = ""
        if tokenizer is not None and len(tokenizer) > d_vocab:
            raise TokenError(
                f"the tokenizer has {len(tokenizer)} tokens, the model's embedding {d_vocab}",
                mend="give the tokenizer that belongs to this model (tokenizer=...)",
            )

    @property
    def bos_id(self) -> int | None:
        """Id of the beginning-of-sequence token, if there is one."""
        value = getattr(self.tokenizer, "bos_token_id", None)
        return value if isinstance(value, int) else None

    @property
    def prepends_bos(self) -> bool:
        """Whether the tokenizer itself puts BOS in front."""
        if self.tokenizer is None or self.bos_id is None:
            return False
        ids = self._plain_ids("a", special=True)
        return bool(ids) and ids[0] == self.bos_id

    @property
    def pad_id(self) -> int:
        """Id written into padded places (they are masked; any id does)."""
        for name in ("pad_token_id", "eos_token_id", "bos_token_id"):
            value = getattr(self.tokenizer, name, None)
            if isinstance(value, int):
                return value
        return 0

    def hash(self) -> str:
        """SHA-256 over vocabulary and special tokens; empty without a tokenizer."""
        if self.tokenizer is None:
            return ""
        if self._hash:
            return self._hash
        content = [sorted(self.tokenizer.get_vocab().items()), self.tokenizer.special_tokens_map]
        self._hash = hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()
        return self._hash

    def encode(
        self, text: str, prepend_bos: bool | None = None, allow_unknown: bool = False
    ) -> list[int]:
        """Token ids of one text.

        Args:
            prepend_bos: None does what the tokenizer does; True and False overrule it.

        Raises:
            TokenError: no tokenizer, an empty text, or words the vocabulary does not hold.
        """
        if self.tokenizer is None:
            raise TokenError(
                "this model has no tokenizer", mend="give token ids, or load with tokenizer=..."
            )
        if not self._plain_ids(text, special=False):
            raise TokenError(
                "the prompt is empty", mend="give at least one token; token ids may be BOS alone"
            )
        ids = self._plain_ids(text, special=prepend_bos is not False)
        if prepend_bos:
            ids = self._with_bos(ids)
        if not ids:
            raise TokenError("the prompt is empty", mend="give at least one token")
        if not allow_unknown:
            self._refuse_unknown(text, ids)
        return ids

    def _plain_ids(self, text: str, *, special: bool) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=special)["input_ids"])

    def _with_bos(self, ids: list[int]) -> list[int]:
        if self.bos_id is None:
            raise TokenError("the tokenizer has no BOS token", mend="leave prepend_bos out")
        return ids if ids and ids[0] == self.bos_id else [self.bos_id, *ids]

    def _refuse_unknown(self, text: str, ids: list[int]) -> None:
        unk = getattr(self.tokenizer, "unk_token_id", None)
        token = getattr(self.tokenizer, "unk_token", None)
        if unk is None or unk not in ids or (token and token in text):
            return
        words = [w for w in text.split() if unk in self._plain_ids(w, special=False)]
        raise TokenError(
            f"not in the vocabulary: {', '.join(map(repr, words)) or repr(text)}",
            mend="use words the model knows, or pass token ids",
        )

    def batch(self, prompts: Any, prepend_bos: bool | None = None, left: bool = False) -> Batch:
        """Make a batch of texts, lists of ids or an integer tensor; ragged ones are padded.

        Raises:
            TokenError: see :meth:`encode`; also ids out of range and prompts beyond the context.
        """
        if isinstance(prompts, Batch):
            return self._checked(prompts)
        if isinstance(prompts, Tensor):
            return self._checked(Batch(_integer_rows(prompts)))
        if isinstance(prompts, str):
            prompts = [prompts]
        if isinstance(prompts, Sequence) and prompts and isinstance(prompts[0], Number):
            prompts = [prompts]
        if not isinstance(prompts, Sequence) or not prompts:
            raise TokenError(
                f"cannot run a prompt of type {type(prompts).__name__}",
                mend="give a text, a list of texts, or an integer tensor [batch pos]",
            )
        rows = [self.encode(p, prepend_bos) if isinstance(p, str) else _ids(p) for p in prompts]
        return self._checked(_padded(rows, self.pad_id, left))

    def _checked(self, batch: Batch) -> Batch:
        ids = batch.ids
        if ids.shape[1] == 0 or ids.shape[0] == 0:
            raise TokenError("the prompt is empty", mend="give at least one token")
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= self.d_vocab:
            raise TokenError(
                f"token id {low if low < 0 else high} is out of range",
                mend=f"ids go from 0 to {self.d_vocab - 1}; is this the model's own tokenizer?",
            )
        longest = int(batch.lengths.max())
        if self.n_ctx is not None and longest > self.n_ctx:
            raise TokenError(
                f"the prompt has {longest} tokens, the model's context {self.n_ctx}",
                mend="shorten the prompt",
            )
        return batch

    def single(self, word: str) -> int:
        """Id of a word that is one token.

        Raises:
            TokenError: it is several tokens, or none.
        """
        ids = self.encode(word, prepend_bos=False)
        if len(ids) != 1:
            parts = ", ".join(repr(each) for each in self.strings(ids))
            raise TokenError(
                f"{word!r} is {len(ids)} tokens: {parts}",
                mend="choose a single-token word (a leading space often makes it one)",
            )
        return ids[0]

    def strings(self, ids: Any) -> list[str]:
        """Each token as text, as it stands in the prompt."""
        flat = ids.tolist() if isinstance(ids, Tensor) else list(ids)
        if self.tokenizer is None:
            return [f"<{each}>" for each in flat]
        return [self.tokenizer.decode([each]) for each in flat]


def _ids(row: Any) -> list[int]:
    """One prompt's ids from a list, a tuple, an array or a tensor of integers."""
    values = row.tolist() if hasattr(row, "tolist") else row
    whole = isinstance(values, Sequence) and not isinstance(values, (str, bytes))
    if not whole or not all(isinstance(v, Integral) and not isinstance(v, bool) for v in values):
        raise TokenError(
            f"token ids must be integers, got {str(row)[:40]}",
            mend="give texts, or lists of ids, or an integer tensor [batch pos]",
        )
    return [int(value) for value in values]


def _integer_rows(ids: Tensor) -> Tensor:
    if ids.dtype not in (torch.int64, torch.int32, torch.int16, torch.uint8):
        raise TokenError(
            f"token ids must be integers, got {ids.dtype}", mend="give an integer tensor"
        )
    if ids.ndim not in (1, 2):
        raise TokenError(
            f"token ids must be [pos] or [batch pos], got shape {tuple(ids.shape)}",
            mend="give one row of ids for each prompt",
        )
    return ids.long().unsqueeze(0) if ids.ndim == 1 else ids.long()


def _padded(rows: list[list[int]], pad: int, left: bool) -> Batch:
    longest = max(len(row) for row in rows)
    if any(not row for row in rows):
        raise TokenError("the prompt is empty", mend="give at least one token in each prompt")
    if all(len(row) == longest for row in rows):
        return Batch(torch.tensor(rows))
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for index, row in enumerate(rows):
        where = slice(longest - len(row), None) if left else slice(0, len(row))
        ids[index, where] = torch.tensor(row)
        mask[index, where] = True
    return Batch(ids, mask)
