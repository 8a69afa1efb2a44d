"""Interchange accuracy: whether each part of a model does what the program's part does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address
from residuum.organisms.compiled.interchange.answers import UNASKED, Answers
from residuum.organisms.compiled.interchange.parts_run import nodes_of, run_parts


@dataclass(frozen=True)
class InterchangeScores:
    """How well a model implements a program, as shares of answers from 0 to 1.

    Shows: that exchanging a part's output between prompts changes the answers as the program says.
    Does not show: that the parts hold nothing else, or what happens when two are exchanged.

    Attributes:
        accuracy: right answers on single prompts.
        inside: part of the circuit -> answers that are as the program says with its own part from
            the source prompt.
        outside: other part -> answers that stay right when it comes from the source prompt.
        moves: every part -> mean move of a logit when it comes from the source prompt, in logits.
        changed: part of the circuit -> share of answers that the program itself changes then.
        inside_changed: as ``inside``, of these answers alone; a part that does nothing gets 0.
        prompts: how many prompts; every ordered pair of them was tried.
    """

    accuracy: float
    inside: dict[str, float] = field(default_factory=dict)
    outside: dict[str, float] = field(default_factory=dict)
    moves: dict[str, float] = field(default_factory=dict)
    changed: dict[str, float] = field(default_factory=dict)
    inside_changed: dict[str, float] = field(default_factory=dict)
    prompts: int = 0

    @property
    def interchange_accuracy(self) -> float:
        """The mean over the parts of the circuit."""
        return sum(self.inside.values()) / len(self.inside)

    @property
    def worst(self) -> float:
        """The least of all shares."""
        shares = (self.inside, self.inside_changed, self.outside)
        return min(self.accuracy, *(share for each in shares for share in each.values()))


def score(hf: Any, answers: Answers, rows: Sequence[int]) -> InterchangeScores:
    """Score a model on every ordered pair of these prompts."""
    bases = [base for base in rows for _ in rows]
    sources = [source for _ in rows for source in rows]
    found: dict[str, dict[str, float]] = {
        name: {} for name in ("inside", "outside", "moves", "changed", "inside_changed")
    }
    with torch.no_grad():
        kept: dict[Address, Tensor] = {}
        run_parts(hf, answers.ids[sources], keep=kept)
        own, whole = answers.of(None, bases, sources), run_parts(hf, answers.ids[bases])
        for node in nodes_of(hf):
            wanted = answers.of(node, bases, sources)
            logits = run_parts(hf, answers.ids[bases], {node: kept[node]})
            side = "inside" if node in answers.circuit else "outside"
            found[side][str(node)] = _right(logits, wanted)
            found["moves"][str(node)] = float((logits - whole)[:, 1:].abs().mean())
            if node in answers.circuit:
                new = (wanted != own) & (wanted != UNASKED)
                found["changed"][str(node)] = float(new.sum() / (wanted != UNASKED).sum())
                there = torch.where(new, wanted, UNASKED)
                found["inside_changed"][str(node)] = _right(logits, there)
        alone = _right(run_parts(hf, answers.ids[list(rows)]), answers.of(None, rows, rows))
    return InterchangeScores(alone, **found, prompts=len(rows))


def _right(logits: Tensor, wanted: Tensor) -> float:
    """Share of right answers where one is asked for; 1 where none is."""
    asked = wanted != UNASKED
    right = (logits[:, 1:].argmax(-1) == wanted)[asked]
    return float(right.float().mean()) if right.numel() else 1.0
