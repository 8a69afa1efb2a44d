"""Harvest the activations of a model over text, to be trained on: shards on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from residuum.core import SILENT, Address, OptionError, Progress, TokenError
from residuum.dictionaries.harvests.harvest_result import Harvest
from residuum.dictionaries.harvests.harvest_work import HarvestWork
from residuum.dictionaries.harvests.site_passes import TORCH_DTYPES, SitePasses, sites_of
from residuum.dictionaries.harvests.token_masks import SKIPPED_BY_DEFAULT, HighNorm, Skip
from residuum.dictionaries.harvests.token_table import Layout, TokenTable, token_table
from residuum.runs import Model, need_model, shown, whole_number
from residuum.runs.arguments import need_progress

_PASS_TOKENS = 4096


def harvest(
    model: Model,
    text: Any,
    sites: str | Address | Sequence[str | Address],
    *,
    keep: str | Path | None = None,
    tokens: int | None = None,
    context: int | None = None,
    packing: bool = False,
    column: str = "text",
    prepend_bos: bool | None = None,
    skip: Sequence[str | HighNorm] = SKIPPED_BY_DEFAULT,
    dtype: str | torch.dtype = "float16",
    rows_per_shard: int | None = None,
    batch_size: int | None = None,
    progress: Progress = SILENT,
) -> Harvest:
    """Run a model over text and keep what it holds at some sites, token by token, on disk.

    Args:
        model: a loaded model; each pass stops after the last site that is needed.
        text: any iterable of texts or of rows of token ids; a Hugging Face dataset, streamed or
            not; the path of a ``.txt`` (a text a line), ``.jsonl`` or ``.json`` file.
        sites: addresses or queries, such as ``"L1.resid_post"``; all of one width.
        keep: folder for the shards; the same call goes on where it was interrupted, after shards
            that are there were read and compared with their hashes. None takes a temporary one,
            which goes with the result.
        tokens: stop after so many tokens of text, before any is left out; None takes all.
        context: tokens in a row at most; None means the model's context, at most 1024.
        packing: False gives each text a row of its own (longer ones are cut), so that no token
            sees another text. True joins texts with the tokenizer's end token between them and
            cuts rows of exactly ``context`` tokens, each with BOS where the tokenizer puts one.
        column: of a dataset or of JSON objects, the column with the text (or token ids).
        prepend_bos: None does what the tokenizer does.
        skip: tokens that are run but not kept: ``"bos"``, ``"eos"``, ``"pad"``, ``"high_norm"``
            or ``HighNorm(times)``; ``()`` keeps all.
        dtype: ``"float16"`` (a number beyond its range is an error), ``"bfloat16"``,
            ``"float32"``.
        rows_per_shard: tokens in a shard, about; None makes shards of about 64 MiB.
        batch_size: rows of text in a pass; None takes about 4096 tokens.
        progress: who is told, in rows of text.

    Returns:
        The harvest; memory does not grow with the text, but for a few numbers a row.

    Raises:
        OptionError, AddressError, SiteRefused: options out of range; sites that hold no one vector
            a token, or of different widths.
        TokenError: no text, too little for one packed row, words or ids that the model lacks, no
            token left after the masks.
        ShapeError: NaN or infinity at a site; a number beyond float16.
        StoreError: ``keep`` holds something else or a damaged shard; a full disk; a file that
            cannot be read.

    Shows: what the model holds at these sites on this text. Does not show: what it holds on other
    text, nor what the vectors are used for.

    >>> import residuum as rz
    >>> from residuum.dictionaries import harvest
    >>> model = rz.load("microworld", check=False)
    >>> found = harvest(model, ["Mary went to the store .", "John gave a drink ."], "L1.resid_post")
    >>> found.n_tokens, found.skipped
    (11, {'bos': 2, 'pad': 0, 'high_norm': 0})
    """
    need_model(model, "harvest")
    need_progress(progress)
    name = dtype_name(dtype)
    addresses, masks = sites_of(model, sites), Skip.of(model, skip)
    if rows_per_shard is not None:
        whole_number(rows_per_shard, "rows_per_shard", 1)
    layout = Layout(context, packing, tokens, prepend_bos, column).settled(model)
    table = token_table(model, text, layout)
    size = rows_in_a_pass(table, batch_size)
    passes = SitePasses(model, table, addresses, name, masks, size)
    folder = tempfile.TemporaryDirectory(prefix="residuum-") if keep is None else None
    work = HarvestWork.open(passes, layout, folder.name if folder else keep, rows_per_shard)
    work.check_finished()
    progress.start("harvest", work.rows_to_do)
    try:
        work.finish(progress.advance)
    finally:
        progress.finish()
    found = Harvest.of(work.shards, folder)
    if not found.n_tokens:
        raise TokenError("every token of the text was left out", mend="give skip=() or more text")
    return found


def rows_in_a_pass(table: TokenTable, batch_size: int | None) -> int:
    """Rows of text in a pass: as asked for, or about 4096 tokens of the longest rows."""
    if batch_size is not None:
        return whole_number(batch_size, "batch_size", 1)
    return max(1, _PASS_TOKENS // int(np.diff(table.starts).max()))


def dtype_name(dtype: Any) -> str:
    """``"float16"``, ``"bfloat16"`` or ``"float32"``.

    Raises:
        OptionError: another one.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in TORCH_DTYPES:
        raise OptionError(
            f"dtype={shown(dtype)} is not stored", mend=f"use one of: {', '.join(TORCH_DTYPES)}"
        )
    return name
