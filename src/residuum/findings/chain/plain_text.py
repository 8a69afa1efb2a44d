"""Next-token loss on plain text, intact and with parts held at their mean over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from residuum.core import SILENT, Address, Edit, Mean, Progress, track
from residuum.directions.side_effects import plain_texts
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.replacement import random_parts, sites_of
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.specificity_evidence import Spared, TextLoss
from residuum.findings.record.specificity_rules import TEXT_UP
from residuum.models import Batch
from residuum.runs import Capture, Model, Task


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


def text_loss(
    bench: Bench, parts: Sequence[str], texts: Texts, sets: int, progress: Progress = SILENT
) -> TextLoss:
    """The loss before and after the parts are held at their mean over these texts.

    Args:
        bench: whose model reads them.
        parts: what is held.
        texts: at least two.
        sets: random sets of as many other parts, held for comparison.
        progress: told of each set.
    """
    batch = texts.batch()
    drawn = random_parts(bench.model, parts, sets, bench.seed)
    sites = sites_of([*parts, *(at for each in drawn for at in each)])
    asked = [Capture(Address.parse(site), reduce="mean") for site in sites]
    with torch.no_grad():
        means = bench.model.run(batch, capture=asked)
    assert means.logits is not None
    before = losses(bench.model, batch)
    ups = []
    for each in track([list(parts), *drawn], progress, "plain text", len(drawn) + 1):
        ups.append(losses(bench.model, batch, [Mean(at, means) for at in each]) - before)
    up, start = Estimate.of_mean(ups[0].tolist()), Estimate.of_mean(before.tolist())
    return TextLoss(
        source=texts.source,
        texts=len(texts.rows),
        tokens=sum(len(row) - 1 for row in texts.rows),
        before=start,
        up=up,
        random_up=tuple(float(each.mean()) for each in ups[1:]),
        verdict=_verdict(up, TEXT_UP * start.value, [float(each.mean()) for each in ups[1:]]),
    )


def losses(model: Model, batch: Batch, edits: Sequence[Edit] = ()) -> np.ndarray:
    """Next-token loss of each text, mean over its tokens, nats; ``[text]``."""
    with torch.no_grad():
        logits = model.run(batch, edits=list(edits)).logits
    assert logits is not None
    targets = batch.ids[:, 1:, None].to(logits.device)
    nats = -logits[:, :-1].double().log_softmax(-1).gather(-1, targets)[..., 0].cpu()
    real = torch.ones_like(nats) if batch.mask is None else batch.mask[:, 1:].to(nats)
    return ((nats * real).sum(1) / real.sum(1)).numpy()


def _verdict(up: Estimate, bound: float, random: Sequence[float]) -> Spared:
    if up.low > bound:
        return "as random" if up.value <= max(random, default=-np.inf) else "needed"
    return "spared" if up.high <= bound else "unclear"
