"""Activations of examples at many sites and tokens at once, streamed to disk when they are many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from residuum.core import SILENT, Address, AddressError, Progress, ShapeError
from residuum.core.progress import track
from residuum.directions.activation_writer import ArrayWriter, ShardWriter, writer_for
from residuum.directions.activations import Activations
from residuum.directions.examples import Examples
from residuum.directions.reading_places import Cell, cells_of
from residuum.directions.site_values import SiteValues
from residuum.runs import Capture, Model, need_model, whole_number
from residuum.runs.arguments import need_progress

__all__ = ["Activations", "SiteValues", "harvest_examples"]


def harvest_examples(
    model: Model,
    examples: Examples,
    sites: str | Address | Sequence[str | Address] = "resid_post",
    layers: Sequence[int] | None = None,
    *,
    positions: Sequence[int] | int | None = None,
    keep: str | Path | None = None,
    batch_size: int = 64,
    progress: Progress = SILENT,
) -> Activations:
    """Run examples forward, keep what they hold at each site; public as ``rz.harvest_examples``.

    Args:
        model: a loaded model; the passes stop after the last site that is needed.
        examples: what is run.
        sites: site names (``"resid_post"``), queries (``"L2:4.z[H*]"``) or addresses, all of one
            width.
        layers: of the sites named without one; all by default.
        positions: tokens to read, the same in every example (negative: from the last real one);
            None reads the token that each example names.
        keep: folder for the shards; the same call goes on where it was interrupted. None keeps
            little in memory and much in a temporary folder, which goes with the result.
        batch_size: examples in one pass.
        progress: who is told.

    Returns:
        The activations, float32; memory does not grow with the number of examples.

    Raises:
        OptionError, AddressError: sites that hold no one vector a token, or of different widths; a
            token that an example does not have.
        TaskError: examples of another tokenizer.
        ShapeError: NaN or infinity at a site.
        StoreError: ``keep`` holds another harvest.

    >>> import residuum as rz
    >>> from residuum.directions import harvest_examples
    >>> model = rz.load("microworld", check=False)
    >>> data = rz.Examples.from_task(rz.task("agreement", model, n=4))
    >>> harvest_examples(model, data, "resid_post").layer(0).all().shape == (8, model.dims.d_model)
    True
    """
    need_model(model, "harvest")
    whole_number(batch_size, "batch_size", 1)
    need_progress(progress)
    examples.check_fits(model)
    cells = cells_of(model, examples, sites, layers, positions)
    width = _read(model, examples, cells, 0, 1).shape[-1]
    work = {
        "model": model.adapted.weight_hash,
        "dtype": str(model.dtype),
        "examples": examples.hash,
        "cells": [str(cell.at) for cell in cells],
    }
    shape = (len(examples), len(cells), width)
    writer, folder = writer_for(shape, keep, work, batch_size)
    with writer:
        todo = list(_batches(writer.missing, batch_size))
        for start, stop in track(todo, progress, "activations", len(todo)):
            writer.take(start, _read(model, examples, cells, start, stop))
    return _activations(cells, examples, width, writer, folder)


def _batches(runs: list[range], batch_size: int) -> Iterator[tuple[int, int]]:
    for run in runs:
        for start in range(run.start, run.stop, batch_size):
            yield start, min(start + batch_size, run.stop)


def _activations(
    cells: tuple[Cell, ...],
    examples: Examples,
    width: int,
    writer: ArrayWriter | ShardWriter,
    folder: Any,
) -> Activations:
    """What was written, with the mean norms, for which it is read once."""
    array, store = None, None
    if isinstance(writer, ArrayWriter):
        array = writer.array
    else:
        store = writer.store
    total = np.zeros(len(cells))
    for piece in writer.pieces():
        total += np.linalg.norm(piece, axis=-1).sum(0, dtype=np.float64)
    return Activations(cells, examples, width, total / len(examples), store, array, folder)


def _read(
    model: Model, examples: Examples, cells: Sequence[Cell], start: int, stop: int
) -> np.ndarray:
    """``[row cell d]`` of some examples."""
    captured = list(dict.fromkeys(cell.captured for cell in cells))
    requests = [Capture(at, dtype=torch.float32, device="cpu") for at in captured]
    run = model.run(examples.batch(start, stop), capture=requests, logits=False)
    own = examples.positions[start:stop]
    lengths = examples.lengths[start:stop]
    columns = [cell.read(run[cell.captured], own, lengths) for cell in cells]
    widths = {column.shape[-1] for column in columns}
    if len(widths) > 1:
        raise AddressError(
            f"the sites hold vectors of different widths: {sorted(widths)}",
            mend="harvest sites of one width at a time",
        )
    values = torch.stack(columns, dim=1)
    finite = values.isfinite().all(-1)
    if not bool(finite.all()):
        row, column = (int(each) for each in (~finite).nonzero()[0])
        raise ShapeError(
            f"example {start + row} holds NaN or infinity there",
            mend="look at its text and at the model's weights; nothing can be fitted on it",
            where=str(cells[column].at),
        )
    return values.numpy()
