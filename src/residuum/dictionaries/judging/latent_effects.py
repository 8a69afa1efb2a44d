"""What each latent matters: the rise of the cross-entropy when it is taken out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import Edit
from residuum.dictionaries.judging.judged_rows import JudgedBatch, JudgedRows, through
from residuum.dictionaries.judging.recovered import patch_of, predicted
from residuum.runs import Model


@dataclass(frozen=True, eq=False)
class LatentEffects:
    """How active each latent is, and what taking it out costs.

    Attributes:
        frequency: ``[latent]`` share of tokens in which it is active.
        strength: ``[latent]`` mean length of what it writes where it is active; 0 if it never is.
        effect_nats: ``[latent]`` rise of the summed cross-entropy of the text for each token in
            which the latent was taken out; NaN if it is never active.
    """

    frequency: np.ndarray
    strength: np.ndarray
    effect_nats: np.ndarray


@torch.no_grad()
def latent_effects(
    dictionary: Any, rows: JudgedRows, *, rows_each: int = 16, seed: int = 0
) -> LatentEffects:
    """Take each latent's own part out of the written sites, wherever it is active, one by one.

    What the dictionary misses stays in place. Each latent is tried on ``rows_each`` rows of text in
    which it is active, drawn at random.

    Args:
        dictionary: with one ``W_dec``.
        rows: the text.
        rows_each: rows for each latent, at most.
        seed: of the draws.

    Shows: what the latent's removal costs the next tokens of the rows where it is active. Does not
    show: what it does alone; others may stand in for it.
    """
    activity = _Activity(dictionary, rows)
    order = np.random.default_rng(seed).permutation(len(rows.table))
    chosen: list[list[int]] = [[] for _ in range(dictionary.n_latents)]
    for part in np.array_split(order, max(1, len(order) // 64)):
        ordered = part[np.argsort(rows.table.lengths(part), kind="stable")]
        for some in rows.parts(ordered):
            activity.add(rows.read(some), some, chosen, rows_each)
    pairs = [(latent, row) for latent, some in enumerate(chosen) for row in some]
    pairs.sort(key=lambda pair: (int(rows.table.lengths(np.array([pair[1]]))[0]), pair))
    rise, active = np.zeros((2, dictionary.n_latents))
    for latents, some in _chunks(pairs, rows):
        more, count = _taken_out(dictionary, rows.model, rows.read(some, logits=True), latents)
        np.add.at(rise, latents, more)
        np.add.at(active, latents, count)
    with np.errstate(invalid="ignore", divide="ignore"):
        effect = np.where(active > 0, rise / active, np.nan)
    return LatentEffects(activity.count / activity.tokens, activity.strength(), effect)


class _Activity:
    """Counts tokens and strength over the text, and gathers rows for each latent."""

    def __init__(self, dictionary: Any, rows: JudgedRows) -> None:
        self.dictionary, self.rows = dictionary, rows
        self.count, self.length = np.zeros((2, dictionary.n_latents))
        self.tokens = 0

    def add(
        self, read: JudgedBatch, some: np.ndarray, chosen: list[list[int]], rows_each: int
    ) -> None:
        latents = through(self.dictionary, read.values(self.dictionary.reads), "encode")
        latents = latents.cpu() * read.keep[..., None]
        self.count += (latents != 0).sum((0, 1)).double().numpy()
        self.length += latents.abs().sum((0, 1)).double().numpy()
        self.tokens += int(read.keep.sum())
        for row, latent in (latents != 0).any(1).nonzero().tolist():
            if len(chosen[latent]) < rows_each:
                chosen[latent].append(int(some[row]))

    def strength(self) -> np.ndarray:
        """Mean length of what each latent writes where it is active."""
        rows = self.dictionary.W_dec.detach().double().cpu().flatten(1) / self.dictionary.scale
        return self.length / np.maximum(self.count, 1) * rows.norm(dim=1).numpy()


def _chunks(pairs: list[tuple[int, int]], rows: JudgedRows) -> Iterator[tuple[Any, Any]]:
    table = np.array(pairs, np.int64).reshape(-1, 2)
    start = 0
    for some in rows.parts(table[:, 1]):
        yield table[start : start + len(some), 0], some
        start += len(some)


def _taken_out(
    dictionary: Any, model: Model, read: JudgedBatch, latents: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rise of the summed loss of each row without its latent, and the tokens it was active in."""
    which = torch.from_numpy(latents)
    encoded = through(dictionary, read.values(dictionary.reads), "encode")
    own = encoded[torch.arange(len(which)), :, which.to(encoded.device)]
    own = own * read.keep.to(own.device)
    written = dictionary.W_dec.to(own.device)[which.to(own.device)] / dictionary.scale
    edits: list[Edit] = []
    for index, at in enumerate(dictionary.writes):
        part = own[..., None] * written[:, None, index]
        edits.append(patch_of(read, at, read.run[at].flatten(2) - part))
    run = model.run(read.tokens, edits=edits)
    assert run.logits is not None and read.run.logits is not None
    rise = _row_losses(run.logits, read) - _row_losses(read.run.logits, read)
    return rise.cpu().double().numpy(), (own != 0).sum(1).cpu().numpy()


def _row_losses(logits: Tensor, read: JudgedBatch) -> Tensor:
    counted, following = predicted(read)
    logprobs = logits[:, :-1].float()[counted].log_softmax(-1)
    losses = torch.zeros(counted.shape, dtype=torch.float64)
    losses[counted] = -logprobs.gather(1, following[:, None])[:, 0].double().cpu()
    return losses.sum(1)
