"""Training of translators: each layer's stream, moved so that the unembedding reads the output."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from residuum.core import CheckFailed, Progress
from residuum.lenses.broken_numbers import refuse_broken
from residuum.lenses.corpus import Corpus
from residuum.lenses.lens_state import TrainingState, keep_state
from residuum.models import Batch, final_logits, logits_of
from residuum.runs import Model


def translated(stream: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
    """``stream + stream · matrix + bias``, in the stream's dtype; ``[... d_model]``."""
    wide = stream.to(matrix.dtype)
    return (wide + wide @ matrix + bias).to(stream.dtype)


def streams_of(model: Model, batch: Batch) -> tuple[list[Tensor], Tensor]:
    """The stream before each block, and the last one, at real tokens: ``[token d_model]``."""
    sites = [f"L{i}.resid_pre" for i in range(model.n_layers)]
    last = f"L{model.n_layers - 1}.resid_post"
    run = model.run(batch, capture=[*sites, last], logits=False)
    real = torch.ones_like(batch.ids).bool() if batch.mask is None else batch.mask
    found = [run[site][real.to(run[site].device)] for site in (*sites, last)]
    return found[:-1], found[-1]


def final_log_probs(model: Model, stream: Tensor) -> Tensor:
    """The model's own prediction from its last stream, ``[token d_vocab]``."""
    with torch.no_grad():
        return _log_probs(final_logits(model.adapted.parts, stream))


def kl_nats(model: Model, stream: Tensor, final: Tensor) -> Tensor:
    """KL(final || what the lens reads off ``stream``) of each token, ``[token]``, nats."""
    norm = model.adapted.parts.final_norm
    normed = stream if norm is None else norm(stream)
    log = _log_probs(logits_of(model.adapted.parts, normed))
    return (final.exp() * (final - log)).sum(-1)


def _log_probs(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)


def one_step(model: Model, state: TrainingState, batch: Batch) -> float:
    """One step of Adam on every translator; the mean KL before it, nats.

    Gradients are taken of the translators alone: the model's own parameters stay untouched.
    """
    streams, last = streams_of(model, batch)
    final = final_log_probs(model, last)
    total = 0.0
    for row, stream in enumerate(streams):
        own = [each.detach().requires_grad_() for each in state.parameters[2 * row : 2 * row + 2]]
        with torch.enable_grad():
            loss = kl_nats(model, translated(stream.detach(), own[0], own[1]), final).mean()
            grads = torch.autograd.grad(loss, own)
        for parameter, grad in zip(state.parameters[2 * row : 2 * row + 2], grads, strict=True):
            parameter.grad = grad
        total += float(loss.detach())
    state.optimiser.step()
    state.optimiser.zero_grad()
    return total / len(streams)


def train_to(
    model: Model,
    state: TrainingState,
    corpus: Corpus,
    *,
    steps: int,
    lr: float,
    batch_size: int,
    spec: dict[str, Any],
    folder: Path | None,
    keep_every: int,
    progress: Progress,
) -> None:
    """Go on from ``state.step`` to ``steps``; the rate falls in a straight line to zero."""
    progress.start("tuned lens", steps)
    try:
        progress.advance(state.step)
        while state.step < steps:
            for group in state.optimiser.param_groups:
                group["lr"] = lr * (1 - state.step / steps)
            rows = torch.randint(len(corpus), (batch_size,), generator=state.generator)
            with model.adapted.passing():
                loss = one_step(model, state, corpus.batch(rows.tolist()))
            if not math.isfinite(loss):
                refuse_broken(model, corpus.batch(rows.tolist()))
                raise _diverged(state.step, lr)
            state.losses.append(loss)
            state.step += 1
            if folder is not None and (state.step % keep_every == 0 or state.step == steps):
                keep_state(folder, state, spec)
            progress.advance()
    finally:
        progress.finish()


def _diverged(step: int, lr: float) -> CheckFailed:
    return CheckFailed(
        f"the loss is NaN or infinite at step {step}", mend=f"train with a smaller lr than {lr:g}"
    )
