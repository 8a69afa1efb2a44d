"""Sentences of a finding, built from its numbers: claim, falsifier, scope and limits."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from residuum.findings.chain.bench import Bench
from residuum.findings.record.evidence import BehaviourEvidence
from residuum.findings.record.part_evidence import PartsEvidence
from residuum.findings.record.rules import (
    ALPHA,
    ENOUGH,
    Rule,
    Status,
    number,
    percent,
    present,
    share,
)
from residuum.findings.record.words import listed, metric_words, model_name, short

INTERVENTION = (
    "patching `z`, what a head hands to its output projection, at all positions: clean values "
    "into the corrupt run, and corrupt values into the clean run"
)


def data_name(bench: Bench) -> str:
    """How many pairs of what: ``32 held-out ioi prompts``."""
    held_out = "held-out " if "split=test" in bench.task.source else ""
    return f"{len(bench.task)} {held_out}{bench.task.name} prompts"


def claim(
    bench: Bench,
    behaviour: BehaviourEvidence,
    parts: PartsEvidence | None,
    rules: tuple[Rule, ...],
    status: Status,
) -> str:
    """The claim as one sentence."""
    model, where = model_name(bench.model.name), f"On {data_name(bench)}"
    if not present(rules) or parts is None:
        return (
            f"{where}, {model} does not show the behaviour: it ranks the right answer above the "
            f"wrong one for {share(behaviour.choice)} of them, where random labels give "
            f"{percent(behaviour.shuffled.value)}, and clean and corrupt prompts differ by "
            f"{number(behaviour.contrast)} {bench.metric.unit}."
        )
    measure = f"{metric_words(bench.task.metric)} {number(behaviour.metric_clean)}"
    answer = f"{model}'s answer ({measure}, accuracy {percent(behaviour.accuracy.value)})"
    names = listed([short(head.at) for head in parts.named])
    noun = "head" if len(parts.named) == 1 else "heads"
    return f"{where}, {answer} {_verdict(parts, f'{noun} {names}', status)}"


def _verdict(parts: PartsEvidence, heads: str, status: Status) -> str:
    joint = parts.together
    best = max(joint.random_recovered, default=float("nan"))
    its, sets = ("its", "heads") if len(parts.named) == 1 else ("their", "sets of as many heads")
    said = (
        f"given {its} clean values, a corrupt run regains {share(joint.recovered)} of the answer; "
        f"given {its} corrupt values, a clean run loses {share(joint.swap_drop)}; the best of "
        f"{len(joint.random_recovered)} random {sets} regains {percent(best)}."
    )
    apart = by_themselves(parts)
    said += f" In the joint test over all heads {apart}." if apart else ""
    if status == "supported":
        return f"depends on {heads}: {said}"
    if status == "undecided":
        return f"may depend on {heads}, but the evidence is mixed: {said}"
    return f"was not traced to a few heads; the strongest are {heads}: {said}"


def by_themselves(parts: PartsEvidence) -> str:
    """Which of the named heads are not shown by themselves; empty where all are.

    >>> by_themselves(PartsEvidence((), None, (), (), 0.01))  # type: ignore[arg-type]
    ''
    """
    said: list[str] = []
    for verdict in ("undecided", "not shown"):
        heads = [short(head.at) for head in parts.named if head.verdict == verdict]
        if heads:
            lowest = min(head.p for head in parts.named if head.verdict == verdict)
            alone = "by itself" if len(heads) == 1 else "by themselves"
            are = "is" if len(heads) == 1 else "are"
            said.append(f"{listed(heads)} {are} {verdict} {alone} (joint p from {lowest:.2g})")
    if said and parts.floor > ALPHA:
        said.append(f"these pairs have too few templates for any p below {parts.floor:.2g}")
    return "; ".join(said)


def falsifier(bench: Bench, named: Sequence[str], found: bool) -> str:
    """What would refute the claim."""
    task = bench.task.name
    if not found:
        return (
            f"Refuted if, on other {task} pairs for the same weights, the right answer is "
            "preferred more often than under random labels and the metric is higher on clean "
            "than on corrupt prompts."
        )
    heads = listed([short(at) for at in named])
    together, them = ("", "it") if len(named) == 1 else (" together", "them")
    return (
        f"Refuted if, on new {task} pairs for the same weights, patching {heads}{together} "
        f"recovers less than {percent(ENOUGH)} of the distance from corrupt to clean, or no more "
        f"than random heads do, or if giving {them} corrupt values costs less than "
        f"{percent(ENOUGH)} of it."
    )


def scope(bench: Bench, n_chosen: int, n_given: int) -> tuple[str, ...]:
    """What the claim is about."""
    model, task = bench.model, bench.task
    left = (
        f" ({n_given} were given, the budget takes these)" if n_given > n_chosen + len(task) else ""
    )
    source = f", from {task.source}" if task.source else ""
    return (
        f"One model: {model.name}, weights {model.adapted.weight_hash[:12]}, "
        f"{str(model.dtype).removeprefix('torch.')} on {model.device}.",
        f"One task: {task.name}{source}; heads were chosen on {n_chosen} pairs and measured on "
        f"{len(task)} others{left}.",
        f"One measure: the {metric_words(task.metric)} ({bench.metric.unit}) at the last "
        "token of the prompt.",
        "One kind of part: attention heads. MLPs are shown by layer, and are not named.",
    )


def limits(clean: torch.Tensor, corrupt: torch.Tensor, lengths: torch.Tensor) -> tuple[str, ...]:
    """What a finding about these pairs never says.

    Args:
        clean: token ids of the clean prompts, ``(pairs, positions)``.
        corrupt: the same of the corrupt prompts.
        lengths: tokens of each pair without padding, ``(pairs,)``.

    Returns:
        Sentences; the first counts the token positions in which the pairs differ.
    """
    inside = torch.arange(clean.shape[1], device=clean.device) < lengths.to(clean.device)[:, None]
    counts = ((clean != corrupt) & inside).sum(1).tolist()
    low, high = min(counts), max(counts)
    many = f"{low}" if low == high else f"{low} to {high}"
    noun = "position" if high == 1 else "positions"
    first = (
        f"Clean and corrupt prompt of a pair differ in {many} token {noun}. What both prompts "
        "share is not seen by patching between them."
    )
    return (first, *LIMITS)


LIMITS = (
    "Naming a head says that its value matters, not what it computes. A mover is one by three "
    "measurements; what else it does, and how the heads work together, was not examined.",
    "A head that is not named may still be able to take over (a backup), and a head that is named "
    "may only pass on what an earlier one found.",
    "Silencing a head (writing zeros) takes it out of its usual range; such numbers are given "
    "beside the others and decide nothing.",
    "Nothing was tested on other tasks, other templates or other models. Intervals are about "
    "drawing more pairs from the same source.",
)
"""What a finding of this form never says, whatever its pairs are."""
