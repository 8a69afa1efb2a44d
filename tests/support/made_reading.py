"""Readings made of chunks of chosen numbers, without a model."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch

from residuum.core import Provenance
from residuum.dictionaries.reading import Accumulator, FeatureReading, Sizes
from residuum.dictionaries.reading.chunk import Chunk
from residuum.dictionaries.reading.context_keys import context_keys
from residuum.dictionaries.reading.directions_written import neighbours

SIZES = Sizes(top=3, sample=6, before=3, after=2, company=40)


def row_chunk(
    rows: list[np.ndarray], values: list[np.ndarray], kept: list[np.ndarray], first: int = 0
) -> Chunk:
    """Rows of ids, their values ``[token latent]`` and which tokens count; each row is a text."""
    starts = np.concatenate([[0], np.cumsum([len(each) for each in rows])])
    places = np.flatnonzero(np.concatenate(kept))
    which = np.concatenate([np.full(len(each), i) for i, each in enumerate(rows)])
    keys = np.concatenate([context_keys(each) for each in rows])
    ids = np.concatenate(rows)
    shown = np.concatenate(values)[places]
    row_keys = keys[starts[1:] - 1]
    own = which[places]
    return Chunk(shown, places, own, keys[places], own + first, row_keys, ids, starts)


def random_rows(
    seed: int, n_rows: int, n_latents: int, n_tokens: int, share: float, signed: bool = False
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows of (ids, values, kept); some rows begin alike, some activations are equal.

    As in a causal model, what stands in a row up to a token decides the values there.
    """
    draw = np.random.default_rng(seed)
    rows = []
    for index in range(n_rows):
        ids = draw.integers(0, n_tokens, draw.integers(2, 9))
        if index % 4 == 3:
            ids[:2] = rows[index - 1][0][:2]
        rows.append((ids, _values(ids, n_latents, share, signed), np.arange(len(ids)) > 0))
    return rows


def _values(ids: np.ndarray, n_latents: int, share: float, signed: bool) -> np.ndarray:
    out = np.zeros((len(ids), n_latents), np.float32)
    for at, key in enumerate(context_keys(ids)):
        draw = np.random.default_rng(int(key))
        strength = np.exp(draw.normal(size=n_latents)) * (draw.random(n_latents) < share)
        strength[: n_latents // 2] = np.round(strength[: n_latents // 2])
        signs = draw.choice([-1, 1], n_latents) if signed else 1
        out[at] = strength * signs
    return out


def gathered(rows: list[Any], n_latents: int, cuts: list[int], sizes: Sizes = SIZES) -> Accumulator:
    """An accumulator that read rows in chunks that begin at the cuts."""
    made = Accumulator(n_latents, sizes)
    edges = [0, *cuts, len(rows)]
    for first, last in pairwise(edges):
        if first < last:
            columns = (list(each) for each in zip(*rows[first:last], strict=True))
            made.update(row_chunk(*columns, first))
    made.counts.documents[0] = len(rows)
    return made


def made_reading(
    n_latents: int, tokens: list[str], *, n_rows: int = 60, share: float = 0.2,
    sizes: Sizes = SIZES, labels: dict[int, str] | None = None, signed: bool = False,
) -> FeatureReading:  # fmt: skip
    """A whole reading over random rows of these tokens."""
    rows = random_rows(0, n_rows, n_latents, len(tokens), share, signed)
    counted = gathered(rows, n_latents, list(range(20, n_rows, 20)), sizes)
    written = torch.randn(n_latents, 8, generator=torch.Generator().manual_seed(0))
    draw, k = np.random.default_rng(1), min(10, len(tokens))
    ids = np.stack([draw.permutation(len(tokens))[:k] for _ in range(n_latents)]).astype(np.int32)
    values = -np.sort(-(draw.normal(size=ids.shape).astype(np.float32) ** 2), axis=1)
    return FeatureReading(
        name="latents of a made dictionary", basis_hash="0" * 64, counted=counted,
        tokens=dict(enumerate(tokens)), near=neighbours(written, 8), labels=labels or {},
        effects={"up": ids, "up_values": values, "down": ids[:, ::-1], "down_values": -values},
        texts=("f" * 64,), left_out={"bos": n_rows}, provenance=Provenance(model_id="made"),
        noun="unit" if signed else "latent",
    )  # fmt: skip
