"""Loss on plain text, before and after an edit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from residuum.core import Progress
from residuum.core.progress import track
from residuum.directions.facts.keys import batches_of
from residuum.runs import Model, bootstrap_mean_interval


@dataclass(frozen=True)
class Loss:
    """Plain text before and after, mean over tokens, nats.

    Attributes:
        change_frac: (after - before) / before.
        interval: of ``change_frac``, over texts, paired.
    """

    before_nats: float
    after_nats: float
    change_frac: float
    interval: tuple[float, float]
    n: int


def losses_of(model: Model, texts: Sequence[str], progress: Progress) -> np.ndarray:
    """``[text 2]``: summed loss in nats and tokens predicted."""
    found: list[list[float]] = []
    batches = batches_of(model, texts)
    for batch in track(batches, progress, "plain text", len(batches)):
        run = model.run(batch.ids, attention_mask=batch.mask)
        assert run.logits is not None
        log_probs = run.logits[:, :-1].log_softmax(dim=-1)
        nats = -log_probs.gather(-1, batch.ids[:, 1:, None].to(log_probs.device))[..., 0].double()
        if batch.mask is not None:
            nats = nats * batch.mask[:, 1:].to(nats.device)
        tokens = batch.lengths - 1
        found += [[a, b] for a, b in zip(nats.sum(dim=1).tolist(), tokens.tolist(), strict=True)]
    return np.array(found)


def compared(before: np.ndarray, after: np.ndarray, level: float, seed: int) -> Loss:
    """Two times :func:`losses_of`, paired by text."""
    tokens, base = before[:, 1].sum(), before[:, 0].sum()
    changes = (after[:, 0] - before[:, 0]) * len(before) / base
    interval = bootstrap_mean_interval(changes.tolist(), level, seed=seed)
    return Loss(
        float(base / tokens),
        float(after[:, 0].sum() / tokens),
        float(changes.mean()),
        interval,
        len(before),
    )
