"""Direct logit attribution: a difference of logits as a sum over everything that writes into it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr

from residuum.core import SILENT, OptionError, Progress
from residuum.core.progress import track
from residuum.lenses.attribution_check import check_sum
from residuum.lenses.attribution_questions import (
    Questions,
    position_in,
    questions_of,
    refuse_same,
)
from residuum.lenses.attribution_terms import Terms, has_neurons, terms_of
from residuum.lenses.broken_numbers import need_finite
from residuum.lenses.final_norm import CONVENTION, need_sum, soft_cap
from residuum.lenses.logit_attribution import LogitAttribution
from residuum.lenses.verb_options import need_intervals
from residuum.models import Batch
from residuum.runs import (
    Model,
    need_model,
    prove_unembedding,
    prove_weights,
    refuse_unknown,
    whole_number,
)
from residuum.runs.arguments import yes_or_no


def direct_logit_attribution(
    model: Model,
    task_or_prompts: Any,
    *,
    answers: Any = None,
    wrong: Any = None,
    side: str = "clean",
    pos: int = -1,
    neurons: bool = False,
    sources: bool = False,
    batch_size: int = 16,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    progress: Progress = SILENT,
    **unknown: Any,
) -> LogitAttribution:
    """Split a logit difference into what each part of the stream writes straight into it.

    The last stream is the sum of the embeddings and of everything that heads, biases and MLPs add.
    With the final norm at the scale that it had in each run, the logits are linear in that sum, so
    that the terms add up to the difference exactly; LayerNorm and RMSNorm are taken as they are,
    unfolded, and norms behind attention and MLP (Gemma 2, OLMo 2) at their own frozen scale.

    Args:
        model: a loaded model whose stream is a sum.
        task_or_prompts: a task, whose answers and wrong answers are compared; or a text, texts, or
            token ids, with ``answers``.
        answers: for prompts: the token (or one for each prompt) as a word or an id.
        wrong: the same for what is subtracted; None attributes the answer's logit alone.
        side: ``"clean"`` or ``"corrupt"`` prompts of the task.
        pos: position whose logits are split, by default each prompt's last.
        neurons: also split each MLP by neuron.
        sources: also split each head's term by the position it was moved from.
        batch_size: prompts in one pass.
        level, resamples, seed: of the bootstrap intervals, by template where there are several.
        progress: who is told.

    Returns:
        Contributions in logits: see :class:`LogitAttribution`. With a soft cap on the logits
        (Gemma 2) they sum to the difference before the cap, and the record says so.

    Raises:
        OptionError: no model, an unknown option, answers missing or given twice, an answer that is
            also wrong, no neurons.
        TokenError: no prompt; an answer that is no single token, or out of range; a position out
            of range.
        AddressError: a model whose stream is no sum (BERT), of unknown make, or without an
            unembedding.
        CheckFailed: an adapter or a hook on what writes into the stream or the logits; terms that
            do not sum to the difference on this model.
        ShapeError: NaN or infinity in the model; the message names where they begin.

    Shows: direct effects. Does not show: effects through later parts (a head that others read
    from, an MLP that undoes it), what a part changes of the norm's scale, nor what happens without
    the part: for that, ablate it.

    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits" (paths of
    logits); the frozen scale and the name as in Wang et al. 2022, "Interpretability in the Wild",
    section 3. Sources by position: attention times values.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> found = direct_logit_attribution(model, "The capital of France is", answers="Paris")
    >>> bool(abs(found.total - found.logits).max() < 1e-4)
    True
    """
    options = "answers, wrong, side, pos, neurons, sources, batch_size, level, resamples, seed"
    refuse_unknown(unknown, "direct_logit_attribution", options)
    need_model(model, "direct_logit_attribution")
    need_sum(model.adapted.parts, "direct logit attribution")
    yes_or_no(neurons, "neurons")
    yes_or_no(sources, "sources")
    whole_number(batch_size, "batch_size", 1)
    need_intervals(level, resamples, seed, progress)
    if neurons and not any(has_neurons(layer) for layer in model.adapted.parts.layers):
        raise OptionError(
            "this model has no neurons to split by: it has no MLPs, or mixtures of experts",
            mend="leave neurons out",
        )
    prove_unembedding(model)
    prove_weights(model, model.adapted.parts.layers, "ow" if neurons else "o")
    asked = questions_of(model, task_or_prompts, answers, wrong, side)
    refuse_same(model, asked)
    pos = position_in(pos, asked.batch)
    rows = range(0, len(asked.batch.ids), batch_size)
    found = [
        terms_of(
            model,
            asked.batch.rows(start, start + batch_size),
            asked.answers[start : start + batch_size],
            asked.wrong[start : start + batch_size],
            pos=pos,
            neurons=neurons,
            sources=sources,
        )
        for start in track(rows, progress, "direct logit attribution", len(rows))
    ]
    numbers = [value for each in found for value in (*each.named.values(), each.logits)]
    need_finite(model, asked.batch, "the attribution", numbers)
    record = _record(model, asked, found, neurons, sources, (level, resamples, seed), (side, pos))
    check_sum(model, record, asked.batch)
    return record


def _record(
    model: Model,
    asked: Questions,
    found: list[Terms],
    neurons: bool,
    sources: bool,
    sure: tuple[float, int, int],
    where: tuple[str, int],
) -> LogitAttribution:
    names = list(found[0].named)
    for each in found[1:]:
        names += [name for name in each.named if name not in names]
    values = np.stack([
        np.concatenate([_or_zero(each, name) for each in found]) for name in names
    ])  # fmt: skip
    logits, pre_cap = (
        torch.cat([getattr(each, name) for each in found]).numpy() for name in ("logits", "pre_cap")
    )
    cap = soft_cap(model.adapted.parts)
    level, resamples, seed = sure
    metric = "logit_diff" if asked.wrong.shape[1] else "logit"
    side, pos = where
    strategy = f"direct_logit_attribution({metric}, side={side}, pos={pos})"
    width = int(asked.batch.starts[0]), int(asked.batch.lengths[0])
    return LogitAttribution(
        per_example=xr.DataArray(values, dims=("term", "example"), coords={"term": names}),
        logits=logits,
        pre_cap=pre_cap,
        cap=cap,
        metric=metric,
        convention=CONVENTION,
        gap=float(np.abs(values.sum(0) - (logits if cap is None else pre_cap)).max()),
        largest_logit=max(float(each.largest) for each in found),
        provenance=model.provenance(strategy=strategy, task_hash=asked.task_hash, seed=seed),
        neurons=_neurons(found, model.n_layers) if neurons else None,
        neuron_bias=_neuron_bias(found, model.n_layers) if neurons else None,
        sources=_sources(found, model.n_layers, asked.batch) if sources else None,
        tokens=tuple(model.to_str_tokens(asked.batch.ids[0, width[0] : sum(width)])),
        clusters=asked.clusters,
        level=level,
        resamples=resamples,
        seed=seed,
    )


def _or_zero(found: Terms, name: str) -> np.ndarray:
    value = found.named.get(name)
    return np.zeros(len(found.logits)) if value is None else value.numpy()


def _neurons(found: list[Terms], layers: int) -> xr.DataArray:
    width = max(value.shape[1] for value in found[0].neurons.values())
    examples = sum(len(each.logits) for each in found)
    values = np.full((layers, width, examples), np.nan)
    for layer in found[0].neurons:
        rows = torch.cat([each.neurons[layer] for each in found])
        values[layer, : rows.shape[1]] = rows.T.numpy()
    return xr.DataArray(values, dims=("layer", "neuron", "example"))


def _neuron_bias(found: list[Terms], layers: int) -> xr.DataArray:
    examples = sum(len(each.logits) for each in found)
    values = np.full((layers, examples), np.nan)
    for layer in found[0].neuron_bias:
        values[layer] = torch.cat([each.neuron_bias[layer] for each in found]).numpy()
    return xr.DataArray(values, dims=("layer", "example"))


def _sources(found: list[Terms], layers: int, batch: Batch) -> xr.DataArray:
    """``(layer, head, k_pos, example)``, positions counted from each prompt's first token."""
    width, lengths, starts = batch.ids.shape[1], batch.lengths.tolist(), batch.starts.tolist()
    heads = found[0].sources[0].shape[1]
    values = np.full((layers, heads, width, len(lengths)), np.nan)
    for layer in range(layers):
        rows = torch.cat([each.sources[layer] for each in found]).numpy()
        for i, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            values[layer, :, :length, i] = rows[i, :, start : start + length]
    return xr.DataArray(values, dims=("layer", "head", "k_pos", "example"))
