"""Plain text for a model, as token ids, and how well a run foretells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from residuum.directions.side_effects import plain_texts
from residuum.findings.chain.bench import Bench
from residuum.models import Batch
from residuum.runs import Run, Task


@dataclass(frozen=True)
class Texts:
    """Texts as token ids, and where they come from.

    Attributes:
        source: in words.
        rows: ids of each text.
    """

    source: str
    rows: tuple[tuple[int, ...], ...]

    def batch(self) -> Batch:
        """All texts, padded on the right."""
        width = max(map(len, self.rows))
        ids = torch.zeros(len(self.rows), width, dtype=torch.long)
        mask = torch.zeros(len(self.rows), width, dtype=torch.bool)
        for at, row in enumerate(self.rows):
            ids[at, : len(row)], mask[at, : len(row)] = torch.tensor(row), True
        return Batch(ids, None if bool(mask.all()) else mask)

    @property
    def tokens(self) -> int:
        """How many tokens are foretold."""
        return sum(len(row) - 1 for row in self.rows)


def texts_of(bench: Bench, others: Sequence[Task], most: int) -> Texts | None:
    """Plain text for this model; None where there is none.

    For a model of microworld's words held-in sentences of every family but the task's; for
    another the prompts of its other tasks, of which every token is foretold, not the answer.
    """
    model = bench.model
    drawn = plain_texts(model, bench.task.name, bench.seed)[:most]
    if drawn:
        rows = [model.to_tokens(text)[0] for text in drawn]
        source = "sentences of microworld's other families"
    else:
        rows = [row[: int(end)] for task in others
                for row, end in zip(task.clean, task.lengths, strict=True)]  # fmt: skip
        rows = rows[:: max(1, len(rows) // most)][:most]
        source = "prompts of the other tasks, every token foretold"
    kept = [tuple(row.tolist()[: model.n_ctx]) for row in rows]
    kept = [row for row in kept if len(row) > 2]
    return Texts(source, tuple(kept)) if len(kept) > 1 else None


def losses(run: Run, batch: Batch) -> np.ndarray:
    """Next-token loss of each text of a run, mean over its tokens, nats; ``[text]``."""
    assert run.logits is not None
    nats = torch.stack([
        _nats(logits[:-1], ids[1:]) for logits, ids in zip(run.logits, batch.ids, strict=True)
    ])  # fmt: skip
    real = torch.ones_like(nats) if batch.mask is None else batch.mask[:, 1:].to(nats)
    return ((nats * real).sum(1) / real.sum(1)).numpy()


def _nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Loss of each token of one text: in double precision, many words take much memory at once."""
    chosen = targets[:, None].to(logits.device)
    return -logits.double().log_softmax(-1).gather(-1, chosen)[:, 0].cpu()
