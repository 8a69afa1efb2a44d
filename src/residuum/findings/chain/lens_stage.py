"""Stage 2: the logit lens on an example, and the answer's lead by layer over all prompts."""

from __future__ import annotations

import torch
from torch import Tensor

from residuum.core import SILENT, Progress
from residuum.findings.chain.bench import Bench
from residuum.findings.record.evidence import Estimate, LensEvidence
from residuum.lenses import logit_lens
from residuum.lenses.logit_lens import unembed
from residuum.runs.metrics import logit_diff, prob


def lens(bench: Bench, example: int = 0, progress: Progress = SILENT) -> LensEvidence:
    """Read the stream after each layer through the final norm and the unembedding.

    Args:
        bench: model and pairs.
        example: row of the prompt to show in full.
        progress: told of the two readings.

    Shows: where the answer becomes readable. Does not show: that later layers read it so.
    """
    progress.start("logit lens", 2)
    task = bench.task
    row = task.clean[example, : int(task.lengths[example])]
    tracked = [int(ids[example, 0]) for ids in (task.answers, task.wrong) if ids.shape[1]]
    tracked = [each for each in tracked if each >= 0]
    reading = logit_lens(bench.model, row[None], top=1, track=tracked)
    progress.advance()
    difference = tuple(_lead(bench, stream) for stream in _last_streams(bench))
    progress.advance()
    progress.finish()
    return LensEvidence(
        layers=reading.layers,
        difference=difference,
        tokens=bench.prompt("clean", example),
        words=tuple(tuple(words[0] for words in layer) for layer in reading.top_words),
        probabilities=_numbers(reading.top_probs[..., 0]),
        tracked=bench.strings(torch.tensor(tracked)),
        tracked_probs=_numbers(reading.tracked_probs[:, -1]),
    )


def _last_streams(bench: Bench) -> list[Tensor]:
    """The stream before the first and after each block at the answer position, ``[example d]``."""
    layers = range(bench.model.n_layers)
    sites = ["L0.resid_pre@-1", *(f"L{layer}.resid_post@-1" for layer in layers)]
    run = bench.run("clean", capture=sites)
    return [run[site] for site in sites]


def _lead(bench: Bench, stream: Tensor) -> Estimate:
    """Lens logits of answers minus wrong answers; without wrong ones, their log probability."""
    logits = unembed(bench.model, stream).double().cpu()
    if bench.has_wrong:
        values = logit_diff(logits, bench.task.answers, bench.task.wrong)
    else:
        values = prob(logits, bench.task.answers).log()
    return Estimate.of_mean([float(each) for each in values])


def _numbers(values: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(each), 6) for each in row) for row in values)
