"""Some pairs of the data as text, with what the model says to them."""

from __future__ import annotations

from residuum.findings.chain.bench import Bench
from residuum.findings.record.evidence import Sample

SHOWN = 6


def samples(bench: Bench, count: int = SHOWN) -> tuple[Sample, ...]:
    """The first pairs as text, with what the model says to each."""
    few = Bench(bench.model, bench.task.head(count), bench.seed)
    clean, corrupt = few.logits("clean"), few.logits("corrupt")
    says = [few.strings(logits.argmax(dim=-1)) for logits in (clean, corrupt)]
    values = few.measure(clean), few.measure(corrupt)
    model, task = bench.model, few.task
    found = []
    for row in range(len(task)):
        end = int(task.lengths[row])
        found.append(
            Sample(
                clean=model.to_string(task.clean[row, :end]),
                corrupt=model.to_string(task.corrupt[row, :end]),
                answers=few.strings(task.answers[row])[:4],
                wrong=few.strings(task.wrong[row])[:4],
                says_clean=says[0][row],
                says_corrupt=says[1][row],
                metric_clean=float(values[0][row]),
                metric_corrupt=float(values[1][row]),
            )
        )
    return tuple(found)
