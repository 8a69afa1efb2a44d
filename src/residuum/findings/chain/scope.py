"""What a finding is about, and what it does not say."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from residuum.findings.chain.bench import Bench
from residuum.findings.chain.halves import shared_prompts
from residuum.findings.record.mechanism import Kind, Mechanism
from residuum.findings.record.rules import Rule
from residuum.findings.record.words import listed, metric_words
from residuum.runs import Task

_PARTS = {
    "components": "Kinds of part: attention heads and whole MLPs, at all positions; not single "
    "neurons, features or positions.",
    "circuit": "Kind of mechanism: a circuit of edges between heads, MLPs and the embedding.",
    "direction": "Kind of mechanism: one direction at one site, in the stream or a part of it.",
}


def scope(
    bench: Bench, mechanism: Mechanism | None, choose: Task, n_given: int, rules: Sequence[Rule]
) -> tuple[str, ...]:
    """What the claim is about; rules that do not decide narrow it in their own words.

    Args:
        bench: the measuring half.
        mechanism: what was measured; None where the behaviour is absent, so that nothing was.
        choose: the choosing half.
        n_given: pairs that the caller gave.
        rules: how they came out.
    """
    model, task, n_chosen = bench.model, bench.task, len(choose)
    taken = f" ({n_given} were given, the budget takes these, each once)"
    left = taken if n_given > n_chosen + len(task) else ""
    source = f", from {task.source}" if task.source else ""
    if mechanism is None:
        chosen = f"the behaviour was measured on {len(task)} pairs, and no part of the model was"
    elif mechanism.origin == "found":
        chosen = f"parts were chosen on {n_chosen} pairs and measured on {len(task)} others"
        known = shared_prompts(choose, task)
        chosen += f", {known} of which share a prompt with one of those" if known else ""
    else:
        chosen = f"what was stated is measured on {len(task)} pairs"
    return (
        f"One model: {model.name}, weights {model.adapted.weight_hash[:12]}, "
        f"{str(model.dtype).removeprefix('torch.')} on {model.device}.",
        f"One task: {task.name}{source}; {chosen}{left}.",
        f"One measure: the {metric_words(task.metric)} ({bench.metric.unit}) at the last "
        "token of the prompt.",
        *((_PARTS[mechanism.kind],) if mechanism is not None else ()),
        *(narrowed(rule) for rule in rules if not rule.decides and rule.asks != "each"),
    )


def narrowed(rule: Rule) -> str:
    """A rule that does not decide, as a line of the scope.

    >>> narrowed(Rule("Plain text is spared", "", "up 0.01 nats", "holds", "specificity", False))
    'Plain text is spared: yes; up 0.01 nats.'
    """
    came = {"holds": "yes", "fails": "no", "unclear": "not known"}[rule.outcome]
    return f"{rule.name}: {came}; {rule.found}."


def limits(
    clean: torch.Tensor,
    corrupt: torch.Tensor,
    lengths: torch.Tensor,
    untested: Sequence[str] = (),
    kind: Kind | None = "components",
) -> tuple[str, ...]:
    """What a finding about these pairs never says.

    Args:
        clean: token ids of the clean prompts, ``(pairs, positions)``.
        corrupt: the same of the corrupt prompts.
        lengths: tokens of each pair without padding, ``(pairs,)``.
        untested: what else nothing was measured on, such as ``other tasks``.
        kind: of the mechanism that was measured; None where the behaviour is absent.

    Returns:
        Sentences; the first counts the token positions in which the pairs differ.
    """
    inside = torch.arange(clean.shape[1], device=clean.device) < lengths.to(clean.device)[:, None]
    counts = ((clean != corrupt) & inside).sum(1).tolist()
    low, high = min(counts), max(counts)
    many = f"{low}" if low == high else f"{low} to {high}"
    noun = "position" if high == 1 else "positions"
    first = f"Clean and corrupt prompt of a pair differ in {many} token {noun}."
    if kind is None:
        return (first, *ABSENT, _INTERVALS)
    return (
        f"{first} What both prompts share is not seen by patching between them.",
        *LIMITS[kind],
        f"Nothing was tested on {listed(untested)}. {_INTERVALS}" if untested else _INTERVALS,
    )


_INTERVALS = "Intervals are about drawing more pairs from the same source."
ABSENT = (
    "That the behaviour is absent is said of these pairs: asked in other words, with examples, or "
    "by another measure, the model may show it.",
    "Nothing was patched and no part was looked for, so nothing is said about any part.",
)
"""What a finding without a behaviour never says."""
_BACKUP = (
    "may still be able to take over (a backup), and what is named may only pass on what something "
    "earlier found."
)
LIMITS: dict[Kind, tuple[str, ...]] = {
    "components": (
        "Naming a part says that its value matters, not what it computes. A mover is one by three "
        "measurements; what else it does was not examined.",
        "A part that is not named may still be able to take over (a backup), and a part that is "
        "named may only pass on what an earlier one found.",
        "Silencing a part (writing zeros) takes it out of its usual range; such numbers are given "
        "beside the others and decide nothing.",
    ),
    "circuit": (
        "That a circuit's edges carry the behaviour does not say what they compute, nor that each "
        "of them is needed: single edges were only left out, one by one.",
        f"Edges that are not in it {_BACKUP}",
    ),
    "direction": (
        "That the answer follows a direction does not say that the model computes it as one "
        "direction, or where it comes from.",
        f"Another direction or another place {_BACKUP}",
    ),
}
"""What a finding of this form never says, whatever its pairs are."""
