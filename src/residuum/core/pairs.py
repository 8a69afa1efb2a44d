"""Contrast pairs as text: what a task is made of before a tokenizer has seen it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ContrastPair:
    """One clean prompt, its corrupt twin, and what each should be answered with.

    Attributes:
        clean: prompt text; the answer is the next word.
        corrupt: text of the same number of tokens that differs where it matters.
        answers: words that are right after ``clean`` (any of them counts).
        wrong: words that would be right after ``corrupt``, or that a model without the
            behaviour would say.
        positions: named token positions in the prompt, counted from 0 in words for worlds whose
            tokenizer is word-level (``{"S2": 9, "end": 13}``).
        template: name of the sentence pattern; statistics cluster by it.
    """

    clean: str
    corrupt: str
    answers: tuple[str, ...]
    wrong: tuple[str, ...]
    positions: Mapping[str, int] = field(default_factory=dict)
    template: str = ""
