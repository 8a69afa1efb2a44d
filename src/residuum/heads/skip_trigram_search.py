"""The strongest ``A … B → C`` in the weights of one layer, and the strongest that noise would have.

With ``x`` a token's embedding through the norm, B asks for A with ``x_B W_Q · x_A W_K``, and A
raises C by ``x_A W_V W_O W_U``. The null turns both circuits against the embedding at random: all
singular values, gains and the embedding itself stay, what fits what is left to chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from residuum.heads.factored import FactoredMatrix
from residuum.heads.reading import (
    embedding,
    norm_map,
    output_of,
    projection,
    unembedding,
    write_gain,
)
from residuum.runs import Model

BAND = 2**24
"""Entries of a circuit that are made at a time."""
_DRAWS = 20
_SMALL = 4096


@dataclass(frozen=True, order=True)
class Triple:
    """One product, as it was found.

    Attributes:
        strength: ``score`` × ``raised``.
        head: its number in layer 0.
        source, here, predicted: token ids A, B, C.
        score: attention score of A asked by B, above the mean over A.
        raised: logit that A adds to C, above the mean over C, at the final norm's size 1.
    """

    strength: float
    head: int
    source: int
    here: int
    predicted: int
    score: float
    raised: float


@dataclass(frozen=True, eq=False)
class Search:
    """The weights that triples are made of.

    Attributes:
        tokens: ``[d_vocab d_model]`` embeddings through the first norm.
        unembed: ``[d_model d_vocab]``, the final norm folded in.
    """

    model: Model
    tokens: Tensor
    unembed: Tensor

    @staticmethod
    def of(model: Model) -> Search:
        """Read off a model of one layer."""
        tokens = embedding(model)
        norm = norm_map(model.adapted.parts.layers[0].ln1, model.dims.d_model)
        normed = tokens if norm is None else norm.apply(tokens) / norm.size(tokens)
        return Search(model, normed, unembedding(model, fold=True)[0])

    def strongest(
        self, heads: Sequence[int], n: int, width: int, turns: tuple[Tensor, Tensor] | None = None
    ) -> list[Triple]:
        """The ``n`` strongest triples of positive strength, largest first.

        Args:
            turns: rotations ``[d_model d_model]`` of what queries and values read.
        """
        found: list[Triple] = []
        for head in heads:
            found = sorted([*found, *self._of_head(head, n, width, turns)], reverse=True)[:n]
        return found

    def by_chance(self, heads: Sequence[int], draws: int, seed: int) -> float:
        """The largest strength in ``draws`` of these heads' circuits, turned at random."""
        generator = torch.Generator().manual_seed(seed)
        size = self.tokens.shape[1]
        largest = 0.0
        for _ in range(draws):
            one, two = (
                torch.linalg.qr(torch.randn(size, size, generator=generator))[0].to(self.tokens)
                for _ in range(2)
            )
            found = self.strongest(heads, 1, 1, (one, two))
            largest = max(largest, found[0].strength if found else 0.0)
        return largest

    def _of_head(
        self, head: int, n: int, width: int, turns: tuple[Tensor, Tensor] | None
    ) -> list[Triple]:
        asked, raised = self._circuits(head, turns)
        found: list[Triple] = []
        vocabulary = len(self.tokens)
        step = max(1, BAND // max(vocabulary, 1))
        for start in range(0, vocabulary, step):
            rows = torch.arange(start, min(start + step, vocabulary))
            scores, here = asked.rows(rows).topk(min(width, asked.shape[1]))
            logits, predicted = raised.rows(rows).topk(min(width, raised.shape[1]))
            product = scores.clamp_min(0)[:, :, None] * logits.clamp_min(0)[:, None, :]
            best = product.flatten().topk(min(n, product.numel()))
            for value, at in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                a, b, c = (int(i) for i in np.unravel_index(at, product.shape))
                found.append(
                    Triple(value, head, start + a, int(here[a, b]), int(predicted[a, c]),
                           float(scores[a, b]), float(logits[a, c]))
                )  # fmt: skip
        return sorted((each for each in found if each.strength > 0), reverse=True)[:n]

    def _circuits(
        self, head: int, turns: tuple[Tensor, Tensor] | None
    ) -> tuple[FactoredMatrix, FactoredMatrix]:
        """Scores ``[A B]``, centred over A, and logits ``[A C]``, centred over C."""
        part = self.model.adapted.parts.layers[0]
        kv_head = head // (part.projections.n_heads // part.projections.n_kv_heads)
        w_q, w_k, w_v = (projection(part, slot, head if slot == "q" else kv_head) for slot in "qkv")
        if turns is not None:
            w_q, w_v = turns[0] @ w_q, turns[1] @ w_v
        scale = float(getattr(part.attn, "scaling", self.model.dims.d_head**-0.5))
        asked = FactoredMatrix(_centred(self.tokens @ w_k * scale), (self.tokens @ w_q).T)
        out, after = output_of(part, head), write_gain(part, self.model.dims.d_model)
        writes = (out if after is None else after.apply(out)) @ self.unembed
        return asked, FactoredMatrix(self.tokens @ w_v, _centred(writes.T).T)


def default_draws(vocabulary: int) -> int:
    """20 up to 4,096 tokens; fewer beyond, so that the null costs what 20 searches there cost."""
    return max(1, min(_DRAWS, int(_DRAWS * (_SMALL / vocabulary) ** 2)))


def _centred(rows: Tensor) -> Tensor:
    return rows - rows.mean(0, keepdim=True)
