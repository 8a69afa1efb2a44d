"""Some whole rows of text with what every unit does at their tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from residuum.dictionaries.harvests.site_passes import PassRows
from residuum.dictionaries.harvests.token_table import TokenTable
from residuum.dictionaries.reading.bases import FeatureBasis
from residuum.dictionaries.reading.context_keys import context_keys
from residuum.stores import as_float32

_NUMBERS = 2**24


@dataclass(frozen=True, eq=False)
class Chunk:
    """What some rows of text show.

    Attributes:
        values: ``[token latent]`` float32, of the tokens that count.
        places: ``[token]`` where each stands in ``ids``, ascending.
        rows: ``[token]`` which row of text each is in, ascending.
        keys: ``[token]`` of the contexts.
        documents: ``[token]`` number of its text.
        row_keys: ``[row]`` of the whole rows.
        ids: ``[place]`` all tokens of these rows, those left out too.
        row_starts: ``[row + 1]`` where each row begins in ``ids``.
    """

    values: np.ndarray
    places: np.ndarray
    rows: np.ndarray
    keys: np.ndarray
    documents: np.ndarray
    row_keys: np.ndarray
    ids: np.ndarray
    row_starts: np.ndarray

    @cached_property
    def positions(self) -> np.ndarray:
        """``[token]`` position of each in its row, as the model read it."""
        return (self.places - self.row_starts[self.rows]).astype(np.int32)

    @cached_property
    def active(self) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and latents of the values above zero, by token."""
        return np.nonzero(self.values > 0)  # pyright: ignore[reportReturnType]

    def windows(
        self, tokens: np.ndarray, latents: np.ndarray, before: int, after: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and the latents' values around some tokens, ``[example window]`` each.

        Outside the row the id is -1; where a token was left out the value is NaN.
        """
        centre = self.places[tokens][:, None]
        around = centre + np.arange(-before, after + 1)
        row = self.rows[tokens]
        low, high = self.row_starts[row][:, None], self.row_starts[row + 1][:, None]
        inside = (around >= low) & (around < high)
        held = np.clip(around, 0, len(self.ids) - 1)
        ids = np.where(inside, self.ids[held], -1).astype(np.int32)
        at = np.clip(np.searchsorted(self.places, held), 0, len(self.places) - 1)
        known = inside & (self.places[at] == held)
        values = np.where(known, self.values[at, latents[:, None]], np.nan)
        return ids, values.astype(np.float32)


def chunks_of(part: PassRows, table: TokenTable, basis: FeatureBasis) -> Iterator[Chunk]:
    """One pass in chunks of whole rows, sized so that the units' values stay small in memory."""
    which = np.searchsorted(table.starts, part.places, side="right") - 1
    rows = np.unique(which)
    most = max(1, _NUMBERS // basis.n_latents)
    lengths = np.asarray(table.lengths(rows))
    turns = (np.cumsum(lengths) - 1) // most
    for turn in np.unique(turns):
        some = rows[turns == turn]
        keep = np.isin(which, some)
        yield _chunk(part, table, basis, some, keep, which)


def _chunk(
    part: PassRows, table: TokenTable, basis: FeatureBasis, rows: np.ndarray, keep: np.ndarray,
    which: np.ndarray,
) -> Chunk:  # fmt: skip
    ids = [np.asarray(table.row(int(row))) for row in rows]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in ids])])
    of_row = np.searchsorted(rows, which[keep])
    within = part.places[keep] - np.asarray(table.starts)[rows][of_row]
    places = starts[of_row] + within
    keys = np.concatenate([context_keys(each) for each in ids])
    row_keys = keys[starts[1:] - 1]
    x = torch.from_numpy(as_float32(part.rows.values[keep]))
    with torch.no_grad():
        values = basis.encode(x).float().cpu().numpy()
    documents = part.rows.documents[keep]
    flat = np.concatenate(ids)
    return Chunk(values, places, of_row, keys[places], documents, row_keys, flat, starts)
