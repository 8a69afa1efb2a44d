"""How well a language model has microworld's behaviours: accuracies with intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import torch

from residuum.worlds.microworld import (
    MICROWORLD_TASKS,
    belief_cells,
    microworld_pairs,
    right_answers,
)

if TYPE_CHECKING:
    from residuum.models.embedded import PreTrainedModel, PreTrainedTokenizerBase

Asked = list[tuple[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Score:
    """Share of prompts whose most likely next word is right, with a 95 % Wilson interval."""

    n: int
    accuracy: float
    low: float
    high: float

    @staticmethod
    def of(right: int, n: int) -> Score:
        """The score of ``right`` hits among ``n``."""
        z = 1.959964
        share, spread = right / n, z * z / n
        centre = (share + spread / 2) / (1 + spread)
        half = z * sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
        return Score(n, share, max(0.0, centre - half), min(1.0, centre + half))


@dataclass(frozen=True)
class WorldScores:
    """Scores of a model on microworld.

    Attributes:
        clean: by task, on the clean prompts.
        corrupt: by task, on the corrupt prompts, where another answer is right.
        cells: sycophancy by mode word and belief, such as ``polite/wrong``.
    """

    clean: dict[str, Score]
    corrupt: dict[str, Score]
    cells: dict[str, Score]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def share_right(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, asked: Asked) -> Score:
    """Ask a model for the next word of each prompt.

    Args:
        model: any causal language model.
        tokenizer: its tokenizer; each answer must be one token.
        asked: prompts with the words that count as right.

    Returns:
        The share whose arg-max is among the right words.
    """
    right = sum(
        word in answers
        for word, (_, answers) in zip(
            next_words(model, tokenizer, [prompt for prompt, _ in asked]), asked, strict=True
        )
    )
    return Score.of(right, len(asked))


def next_words(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[str]
) -> list[str]:
    """The most likely next token after each prompt, as text."""
    rows = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for row, tokens in zip(ids, rows, strict=True):
        row[: len(tokens)] = torch.tensor(tokens)
    with torch.no_grad():
        logits = model(ids.to(model.device)).logits
    best = logits[torch.arange(len(rows)), lengths - 1].argmax(-1).tolist()
    return [str(tokenizer.decode([token])).strip() for token in best]


def evaluate_microworld(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    n: int = 200,
    seed: int = 0,
    prefix: str = "",
) -> WorldScores:
    """Held-out accuracy on the ten behaviours, both directions, and sycophancy's four cells.

    Args:
        model: any causal language model that knows microworld's words, in memory.
        tokenizer: its tokenizer.
        n: pairs for each task.
        seed: which held-out pairs.
        prefix: text put before every prompt, such as ``"Thursday : "``.

    Returns:
        Scores with 95 % Wilson intervals. Right is an arg-max among the right answers (for
        ``greater_than`` any later year of the century).

    Shows:
        the behaviour on combinations that training text never held.
    Does not show:
        that the behaviour holds outside microworld's sentence patterns.
    """
    clean, corrupt = {}, {}
    for task in MICROWORLD_TASKS:
        pairs = microworld_pairs(task, n, seed)
        clean[task] = share_right(model, tokenizer, [(prefix + p.clean, p.answers) for p in pairs])
        other = [(prefix + p.corrupt, right_answers(task, p.corrupt)) for p in pairs]
        corrupt[task] = share_right(model, tokenizer, other)
    cells = {
        cell: share_right(model, tokenizer, [(prefix + p.clean, p.answers) for p in pairs])
        for cell, pairs in belief_cells(min(n, 100), seed).items()
    }
    return WorldScores(clean, corrupt, cells)
