"""What each head is, by its attention and by its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from residuum.core import SILENT, Progress, ResiduumError
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.parts_stage import numbers
from residuum.findings.record.budget import Budget
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.head_reading import Attending, ComposedScore, HeadKind, HeadReading
from residuum.heads import Composition, FactoredMatrix, HeadTable, composition, detect_heads, ov, qk
from residuum.heads.reading import embedding, unembedding
from residuum.runs import Model

MOST_HEADS = 400
"""Heads of a model up to which composition scores of all its pairs are worked out."""
MOST_TOKENS = 256
_DRAWS = 200
_DETECTORS = ("previous_token", "induction", "duplicate_token", "first_token", "name_mover",
              "s_inhibition")  # fmt: skip


@dataclass(frozen=True, eq=False)
class TokenWeights:
    """Embedding and unembedding of the task's tokens, norms folded.

    Attributes:
        embed: ``[token d_model]``.
        unembed: ``[d_model token]``.
    """

    model: Model
    embed: Tensor
    unembed: Tensor

    @staticmethod
    def of(bench: Bench, left_out: list[str]) -> TokenWeights | None:
        """Of the tokens of the clean prompts; None, with the reason, where they cannot be read."""
        ids = task_tokens(bench)
        try:
            columns, _ = unembedding(bench.model, fold=True)
            return TokenWeights(bench.model, embedding(bench.model, ids), columns[:, ids])
        except ResiduumError as error:
            left_out.append(f"reading the weights in tokens: {error.what}")
            return None

    def __len__(self) -> int:
        return len(self.embed)

    def writes_own(self, at: str) -> float:
        """Share of tokens that raise their own logit most when the head attends to them."""
        return _own(self.embed @ _dense(self._ov(at)) @ self.unembed)

    def asks_own(self, at: str) -> float:
        """Share of tokens that, as a query, score highest for themselves."""
        return _own(self.embed @ _dense(self._qk(at)) @ self.embed.T)

    def through(self, sender: str, receiver: str, reads: str) -> float:
        """Share of tokens that match themselves through both heads; see ``ComposedScore.own``."""
        sent = self.embed @ _dense(self._ov(sender))
        if reads == "v":
            return _own(sent @ _dense(self._ov(receiver)) @ self.unembed)
        asks = _dense(self._qk(receiver))
        if reads == "k":
            return _own(self.embed @ asks @ sent.T)
        return _own(sent @ asks @ self.embed.T)

    def _ov(self, at: str) -> FactoredMatrix:
        return ov(self.model, *numbers(at)).matrix

    def _qk(self, at: str) -> FactoredMatrix:
        return qk(self.model, *numbers(at)).matrix


def task_tokens(bench: Bench) -> Tensor:
    """Ids that the clean prompts hold, padding left out; at most 256, drawn with the seed."""
    task = bench.task
    inside = torch.arange(task.clean.shape[1])[None] < task.lengths[:, None]
    ids = task.clean[inside].unique()
    if len(ids) <= MOST_TOKENS:
        return ids
    drawn = np.random.default_rng(bench.seed).choice(len(ids), MOST_TOKENS, replace=False)
    return ids[torch.as_tensor(np.sort(drawn))]


def _dense(matrix: FactoredMatrix) -> Tensor:
    return matrix.dense(force=True)


def _own(table: Tensor) -> float:
    """Share of rows whose largest entry is their own."""
    return float((table.argmax(dim=1).cpu() == torch.arange(len(table))).double().mean())


def head_readings(
    bench: Bench,
    heads: Sequence[str],
    named: Sequence[str],
    weights: TokenWeights | None,
    spend: Budget,
    left_out: list[str],
    progress: Progress = SILENT,
) -> tuple[HeadReading, ...]:
    """Kinds by attention on random repeats and on the task, and copying by weights."""
    if not heads:
        return ()
    half = max(4, spend.n // 2)
    table: HeadTable | None = None
    try:
        table = detect_heads(
            bench.model, task=bench.task, n=half, removal_n=half, seed=bench.seed,
            progress=progress,
        )  # fmt: skip
    except ResiduumError as error:
        left_out.append(f"kinds of heads: {error.what}")
    return tuple(_reading(at, at in named, table, weights) for at in heads)


def _reading(
    at: str, named: bool, table: HeadTable | None, weights: TokenWeights | None
) -> HeadReading:
    nan = float("nan")
    place = numbers(at)
    kinds = () if table is None else table.head(*place).types
    return HeadReading(
        at=at,
        named=named,
        kinds=tuple(HeadKind(each.name, each.status, each.on) for each in kinds),
        attends=() if table is None else _attends(table, place),
        copying=nan if table is None else float(table.ov_copying[place]),
        writes_own=nan if weights is None else weights.writes_own(at),
        asks_own=nan if weights is None else weights.asks_own(at),
        tokens=0 if weights is None else len(weights),
    )


def _attends(table: HeadTable, at: tuple[int, int]) -> tuple[Attending, ...]:
    found = []
    for name in _DETECTORS:
        score = table.scores.get(name)
        if score is not None and score.prompts:
            value, low, high = (float(e[at]) for e in (score.values, score.low, score.high))
            share = Estimate(value, low, high, score.prompts)
            found.append(Attending(name, share, float(score.null[at])))
    return tuple(found)


def composed(
    bench: Bench,
    heads: Sequence[str],
    weights: TokenWeights | None,
    spend: Budget,
    left_out: list[str],
) -> tuple[ComposedScore, ...]:
    """Composition scores of the pairs among these heads, and what they do to a token."""
    pairs = [(a, b) for a, b in combinations(heads, 2) if numbers(a)[0] < numbers(b)[0]]
    if not pairs:
        return ()
    count = sum(part.projections.n_heads for part in bench.model.adapted.parts.layers)
    if count > MOST_HEADS:
        left_out.append(f"composition scores: {count} heads are too many pairs")
        return ()
    found: list[ComposedScore] = []
    try:
        for kind in ("Q", "K", "V"):
            table = composition(bench.model, kind, draws=_DRAWS, seed=bench.seed)
            found += [_score(table, weights, *pair) for pair in pairs]
    except ResiduumError as error:
        left_out.append(f"composition scores: {error.what}")
        return ()
    return tuple(found)


def _score(
    table: Composition, weights: TokenWeights | None, sender: str, receiver: str
) -> ComposedScore:
    (one, first), (two, second) = numbers(sender), numbers(receiver)
    pair, reads = table.pair(f"L{one}H{first}", f"L{two}H{second}"), table.kind.lower()
    return ComposedScore(
        sender=sender,
        receiver=receiver,
        reads=reads,
        score=pair.score,
        baseline=pair.baseline[1],
        high=pair.baseline[2],
        p=pair.p,
        own=float("nan") if weights is None else weights.through(sender, receiver, reads),
        tokens=0 if weights is None else len(weights),
    )
