"""Examples from whatever was given: a dictionary with text, or what was read of it before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from residuum.core import SILENT, OptionError, Progress
from residuum.dictionaries.labels.gathering import latent_examples
from residuum.dictionaries.labels.latent_examples import Entries, LatentExamples
from residuum.dictionaries.reading.feature_reading import FeatureReading
from residuum.runs import Model
from residuum.runs.arguments import shown

SHARED_RUN = 8
"""Examples of a reading that share so many tokens in a row count as of one document."""
_OTHERS = 500
_UNKNOWN_PLACE = -(2**30)


def examples_of(
    source: Any, model: Model | None, text: Any, latents: Iterable[int] | None,
    progress: Progress = SILENT,
) -> LatentExamples:  # fmt: skip
    """Examples of some latents.

    Raises:
        OptionError: a model and text that are needed, or are of no use; a latent without examples.
    """
    if not isinstance(source, (LatentExamples, FeatureReading)):
        if model is None or text is None:
            raise OptionError(
                f"label_features needs a model and text to read {shown(source)}",
                mend="label_features(dictionary, model, text), or give a reading or LatentExamples",
            )
        return latent_examples(source, model, text, latents=latents, progress=progress)
    if model is not None or text is not None:
        raise OptionError(
            "a model or text beside examples that are there already",
            mend="leave them out, or give the dictionary in place of the examples",
        )
    if isinstance(source, FeatureReading):
        return from_reading(source, latents)
    if latents is None:
        return source
    return replace(source, entries={i: source.entries_of(i) for i in dict.fromkeys(latents)})


def from_reading(reading: FeatureReading, latents: Iterable[int] | None) -> LatentExamples:
    """The examples of a reading.

    A reading does not know the documents of its examples: those that share eight tokens in a row
    count as of one. Nor does it know where a unit is inactive: other units' examples that are none
    of its own are taken for that, wrongly for as many as the unit is active in. Both are known
    when labels are made from the dictionary, the model and text.

    Raises:
        OptionError: no unit of a number.
    """
    wanted = list(range(reading.n_latents) if latents is None else dict.fromkeys(latents))
    if latents is not None:
        for each in wanted:
            reading.latent(each)  # refuses a number that is none
    step = max(1, reading.n_latents // _OTHERS)
    rows: dict[tuple[int, ...], int] = {}
    found: dict[int, list[tuple[int, int, float]]] = {}
    for latent in dict.fromkeys([*wanted, *range(0, reading.n_latents, step)]):
        for each in reading.examples(latent):
            row = rows.setdefault(each.ids, len(rows))
            pairs = enumerate(each.activations)
            found.setdefault(latent, []).extend((row, at, v) for at, v in pairs if v > 0)
    ids = np.full((len(rows), max(map(len, rows), default=1)), -1, np.int32)
    for row, each in enumerate(rows):
        ids[row, : len(each)] = each
    entries = {each: _entries(found[each]) for each in wanted if each in found}
    record = {"of": reading.name, "basis_hash": reading.basis_hash, "texts": list(reading.texts)}
    return LatentExamples(
        ids, documents_by_content(list(rows)), np.full(len(rows), _UNKNOWN_PLACE), entries,
        dict(reading.tokens), False, record, reading.provenance, reading.noun,
    )  # fmt: skip


def documents_by_content(rows: Sequence[tuple[int, ...]], run: int = SHARED_RUN) -> np.ndarray:
    """``[row]`` a number that rows share if they share ``run`` tokens in a row, or are joined by
    others that do.

    >>> documents_by_content([(1, 2, 3), (2, 3, 4), (5, 6, 7)], run=2).tolist()
    [0, 0, 2]
    """
    above = list(range(len(rows)))

    def root(row: int) -> int:
        while above[row] != row:
            above[row] = above[above[row]]
            row = above[row]
        return row

    first: dict[tuple[int, ...], int] = {}
    for row, ids in enumerate(rows):
        for start in range(max(1, len(ids) - run + 1)):
            other = root(first.setdefault(ids[start : start + run], row))
            own = root(row)
            above[max(own, other)] = min(own, other)
    return np.array([root(row) for row in range(len(rows))], np.int64)


def _entries(found: list[tuple[int, int, float]]) -> Entries:
    values = {(row, at): value for row, at, value in found}
    order = sorted(values)
    rows, places = zip(*order, strict=True) if order else ((), ())
    return Entries(
        np.array(rows, np.int64), np.array(places, np.int64),
        np.array([values[each] for each in order], np.float32),
    )  # fmt: skip
