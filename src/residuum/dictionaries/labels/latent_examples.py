"""Contexts with what some latents do at their tokens: what labels are made from and judged on."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from residuum.core import OptionError, Provenance, ShapeError, content_hash
from residuum.runs.arguments import shown


@dataclass(frozen=True, eq=False)
class Entries:
    """Where one latent is active.

    Attributes:
        contexts: ``[entry]`` index of the context, ascending.
        positions: ``[entry]`` of the token in it.
        values: ``[entry]`` float32, above zero.
    """

    contexts: np.ndarray
    positions: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class LatentExamples:
    """Contexts of some tokens each, and where in them latents are active.

    Attributes:
        ids: ``[context pos]`` token ids; -1 beyond a context's end. No context stands there twice.
        documents: ``[context]`` number of the document that each is from.
        offsets: ``[context]`` position in its row of text of each context's first token.
        entries: latent -> where it is active; a latent that never is has empty ones.
        words: id -> text as it stands behind another token, of the tokens that occur.
        exact: whether a latent without an entry in a context is known to be inactive there.
        record: plain data: where the examples are from.
        provenance: of the model.
        noun: what a latent is called.

    Raises:
        ShapeError: columns of different lengths; an entry outside the contexts.
    """

    ids: np.ndarray
    documents: np.ndarray
    offsets: np.ndarray
    entries: Mapping[int, Entries]
    words: Mapping[int, str]
    exact: bool = True
    record: Mapping[str, Any] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=lambda: Provenance(""))
    noun: str = "latent"

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.ids.ndim != 2 or len(self.documents) != n or len(self.offsets) != n:
            raise ShapeError(
                f"ids {self.ids.shape}, documents {self.documents.shape}, offsets "
                f"{self.offsets.shape} do not go together",
                mend="give ids [context pos] and a document and an offset for each context",
            )
        for latent, each in self.entries.items():
            inside = (each.contexts < n) & (each.positions < self.ids.shape[1])
            if not bool(inside.all()):
                raise ShapeError(
                    f"latent {latent} has an entry outside the {n} contexts",
                    mend="give indices of contexts and positions that are there",
                )

    @property
    def latents(self) -> tuple[int, ...]:
        """Their numbers."""
        return tuple(self.entries)

    def activations(self, latent: int, contexts: np.ndarray) -> np.ndarray:
        """``[context pos]`` float32 of some contexts; 0 where it is inactive."""
        own = self.entries_of(latent)
        place = np.full(len(self.ids), -1)
        place[contexts] = np.arange(len(contexts))
        found = np.zeros((len(contexts), self.ids.shape[1]), np.float32)
        rows = place[own.contexts]
        inside = rows >= 0
        found[rows[inside], own.positions[inside]] = own.values[inside]
        return found

    def strengths(self, latent: int) -> np.ndarray:
        """``[context]`` float32: its largest activation in each; 0 where it is inactive."""
        own, found = self.entries_of(latent), np.zeros(len(self.ids), np.float32)
        np.maximum.at(found, own.contexts, own.values)
        return found

    def length(self, context: int) -> int:
        """Tokens of a context."""
        return int((self.ids[context] >= 0).sum())

    def pieces(self, context: int) -> list[str]:
        """A context's tokens as text that, joined, is its text."""
        found = [self.words[i] for i in self.ids[context].tolist() if i >= 0]
        return [each.removeprefix(" ") if at == 0 else each for at, each in enumerate(found)]

    @cached_property
    def hash(self) -> str:
        """Of ids, documents and all entries."""
        import hashlib

        digest = hashlib.sha256()
        for each in (self.ids, self.documents, self.offsets):
            digest.update(np.ascontiguousarray(each, np.int64).tobytes())
        for latent, own in self.entries.items():
            digest.update(str(latent).encode())
            for each in (own.contexts, own.positions):
                digest.update(np.ascontiguousarray(each, np.int64).tobytes())
            digest.update(np.ascontiguousarray(own.values, np.float32).tobytes())
        return content_hash([digest.hexdigest(), sorted(self.words.items())])

    def entries_of(self, latent: int) -> Entries:
        """Where a latent is active.

        Raises:
            OptionError: there are no examples of it.
        """
        if not isinstance(latent, Hashable) or latent not in self.entries:
            raise OptionError(
                f"there are no examples of {self.noun} {shown(latent)}",
                mend=f"gather them: the examples are of {_some(self.latents)}",
            )
        return self.entries[latent]

    def __repr__(self) -> str:
        n = len(np.unique(self.documents))
        return (
            f"LatentExamples({len(self.latents)} {self.noun}s, {len(self.ids)} contexts "
            f"of {n} documents)"
        )


def _some(latents: tuple[int, ...]) -> str:
    few = ", ".join(map(str, latents[:6]))
    return few + (f" and {len(latents) - 6} others" if len(latents) > 6 else "") or "none"
