"""Examples of latents whose rule is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from residuum.dictionaries.labels import Entries, LatentExamples

WORDS = (
    ".", "ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kite", "lark",
    "moth", "newt", "owl", "pig", "quail", "rat", "seal", "toad",
)  # fmt: skip
Truth = Callable[[np.ndarray], np.ndarray]
"""From ids ``[context pos]`` to bool ``[context pos]``."""


def on(token: int) -> Truth:
    return lambda ids: ids == token


def after(token: int) -> Truth:
    return lambda ids: np.roll(ids == token, 1, axis=1) & (np.arange(ids.shape[1]) > 0)


def since(token: int) -> Truth:
    """In a sentence (tokens up to 0) after the token."""

    def truth(ids: np.ndarray) -> np.ndarray:
        found = np.zeros(ids.shape, bool)
        for row, each in enumerate(ids):
            inside = False
            for at, own in enumerate(each):
                found[row, at] = inside
                inside = (inside or own == token) and own != 0
        return found

    return truth


def noise(seed: int, share: float = 0.05) -> Truth:
    return lambda ids: np.random.default_rng(seed).random(ids.shape) < share


def sample(
    truths: dict[int, Truth], *, documents: int = 300, contexts: int = 2, length: int = 10,
    seed: int = 0, words: tuple[str, ...] = WORDS,
) -> LatentExamples:  # fmt: skip
    """Random words; each latent is active where its rule says, with random strengths."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, len(words), (documents * contexts, length)).astype(np.int32)
    entries = {}
    for latent, truth in truths.items():
        row, at = np.nonzero(truth(ids))
        entries[latent] = Entries(row, at, rng.uniform(0.5, 2.0, len(row)).astype(np.float32))
    offsets = np.tile(np.arange(contexts) * length, documents)
    return LatentExamples(
        ids, np.repeat(np.arange(documents), contexts), offsets, entries,
        {i: f" {each}" for i, each in enumerate(words)},
    )  # fmt: skip
