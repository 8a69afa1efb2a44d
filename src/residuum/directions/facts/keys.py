"""Keys: what enters an MLP's output matrix, and its second moment over text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from residuum.core import OptionError, Progress
from residuum.core.progress import track
from residuum.directions.facts.fact import FactRows
from residuum.models import Batch
from residuum.runs import Model, shown

_ROWS = 64


def need_texts(texts: object) -> tuple[str, ...]:
    """Texts, checked.

    Raises:
        OptionError: none, or something else.
    """
    found = tuple(texts) if isinstance(texts, (list, tuple)) else ()
    if not found or not all(isinstance(each, str) and each.strip() for each in found):
        raise OptionError(
            f"texts={shown(texts)} holds no texts",
            mend="give a list of plain sentences, some thousands of tokens",
        )
    return found


def batches_of(model: Model, texts: Sequence[str]) -> list[Batch]:
    """The texts, some at a time, those of similar length together."""
    rows = sorted((model.adapted.tokens.encode(text)[: model.n_ctx] for text in texts), key=len)
    return [
        model.adapted.tokens.batch(rows[start : start + _ROWS])
        for start in range(0, len(rows), _ROWS)
    ]


def second_moments(
    model: Model, layers: Sequence[int], texts: Sequence[str], progress: Progress
) -> dict[int, Tensor]:
    """``C = E[k kᵀ]`` of each layer over every token, ``[d_mlp d_mlp]`` float64.

    A thousandth of the mean diagonal is added to the diagonal, so that it can be inverted.

    Raises:
        OptionError: fewer tokens than the matrix has rows.
    """
    sums: dict[int, Tensor] = {}
    count = 0
    batches = batches_of(model, texts)
    for batch in track(batches, progress, "covariance of keys", len(batches)):
        sites = [f"L{layer}.mlp_act" for layer in layers]
        run = model.run(
            batch.ids, attention_mask=batch.mask, capture=sites, logits=False
        )  # fmt: skip
        mask = torch.ones_like(batch.ids, dtype=torch.bool) if batch.mask is None else batch.mask
        count += int(mask.sum())
        for layer, site in zip(layers, sites, strict=True):
            keys = run[site][mask.to(run[site].device)].double().cpu()
            sums[layer] = sums.get(layer, torch.zeros(())) + keys.T @ keys
    width = len(sums[layers[0]])
    if count < width:
        raise OptionError(
            f"{count} tokens of text for keys of {width} numbers", mend="give more texts"
        )
    return {layer: _steadied(total / count) for layer, total in sums.items()}


def _steadied(moment: Tensor) -> Tensor:
    ridge = 1e-3 * float(moment.diagonal().mean())
    return moment + ridge * torch.eye(len(moment), dtype=moment.dtype)


def subject_states(model: Model, rows: FactRows, sites: Sequence[str]) -> dict[str, Tensor]:
    """Each site at the subject's last token, ``[row d]`` float64."""
    run = model.run(rows.batch.ids, attention_mask=rows.batch.mask, capture=list(sites))
    index = torch.arange(len(rows))
    return {site: run[site].cpu()[index, rows.last].double() for site in sites}


def mean_by_fact(values: Tensor, prefixes: int) -> Tensor:
    """``[fact d]`` from ``[fact·prefix d]``."""
    return values.unflatten(0, (-1, prefixes)).mean(dim=1)
