"""What the numbers on heads come to, in one plain sentence each."""

from __future__ import annotations

from collections.abc import Sequence

from residuum.findings.record.evidence import Estimate
from residuum.findings.record.part_evidence import (
    MEAN,
    RESAMPLE,
    SWAP,
    ZERO,
    RemovalEvidence,
    RolesEvidence,
)
from residuum.findings.record.rules import number
from residuum.findings.record.words import listed, short
from residuum.findings.report.named import noun, others

WAYS = {
    SWAP: ("its corrupt value", "Given their corrupt values"),
    RESAMPLE: ("another prompt's value", "Given the values of other prompts"),
    MEAN: ("its mean over the prompts", "Held at their means"),
    ZERO: ("zeros", "Silenced"),
}
"""Way of removal -> what is written, and the start of a sentence about several heads."""


def together(removal: RemovalEvidence, unit: str) -> str:
    """What the heads cost together, against the sum of each alone: is there a backup."""
    start = WAYS[removal.how][1]
    joint, parts = removal.together[-1].value, removal.parts
    if len(parts) == 1:
        return (
            f"{start.replace('their', 'its')}, {short(parts[0])} costs {_amount(joint)} {unit}; "
            f"with one {noun(parts, one=True)} there is nothing to compare its removal with."
        )
    return (
        f"{start}, the {len(parts)} {noun(parts)} together cost {_amount(joint)} {unit}; "
        f"one by one they would sum to {_amount(removal.summed)}: {_backup(removal.backup)}."
    )


def _backup(backup: Estimate) -> str:
    if backup.low != backup.low:
        return "too few pairs to say whether others stand in for a missing one"
    found = f"({_amount(backup.value)}, 95 % {_amount(backup.low)} to {_amount(backup.high)})"
    if backup.low > 0:
        return f"others stand in for a missing one {found}"
    if backup.high < 0:
        return f"they overlap, and no backup is shown {found}"
    return f"no backup is shown, the interval of the difference holds zero {found}"


def control(removal: RemovalEvidence, unit: str) -> str:
    """What random heads cost, removed in the same way."""
    sets, size = len(removal.random), len(removal.parts)
    if not sets:
        return f"No random set is possible: there are fewer {others(removal.parts)} than these."
    beside = others(removal.parts)
    single = f"{beside}, one at a time," if size == 1 else f"sets of {size} {beside}"
    joint, mean = removal.together[-1].value, removal.control
    largest = max(abs(each) for each in removal.random)
    them = noun(removal.parts)
    drawn = (
        f"They have as many {them} in each layer."
        if removal.layers_matched
        else f"They are of any layer: too few different sets have as many {them} in each layer as "
        "these, so layers are not matched."
    )
    return (
        f"{sets} random {single} treated in the same way change the answer by {_amount(mean)} "
        f"{unit} on average, whichever way, and by {_amount(largest)} at most: "
        f"{_times(joint, mean, removal.parts)}. {drawn}"
    )


def _times(joint: float, random: float, parts: Sequence[str]) -> str:
    one = len(parts) == 1
    cost = f"this {noun(parts, one=True)} costs" if one else f"these {noun(parts)} cost"
    if joint <= random:
        return f"no less than {cost}"
    if not random > 0:
        return f"only {cost} anything"
    ratio = joint / random
    return f"on average {ratio:.{0 if ratio >= 10 else 1}f} times less than {cost}"


def movers(roles: RolesEvidence, unit: str) -> str:
    """Which heads move the answer, on what evidence; or why none is named."""
    found = [head for head in roles.heads if head.mover]
    if found:
        noun = "Mover head" if len(found) == 1 else "Mover heads"
        direct = _range([head.direct for head in found])
        lost = _range([head.removal for head in found])
        given = "given its corrupt value" if len(found) == 1 else "given one's corrupt value"
        return (
            f"{noun}: {listed([short(head.at) for head in found])}. From the last token "
            f"{_percents([head.attends_answer for head in found])} of the attention goes to the "
            f"answer, {_percents([head.attends_wrong for head in found])} to the wrong one; direct "
            f"path {direct} {unit}; {given}, the clean run loses {lost} {unit}."
        )
    if all(head.attends_answer is None for head in roles.heads):
        return (
            "No head is called a mover: the answer does not stand in every clean prompt, so it "
            "cannot be moved from there."
        )
    return "No head is called a mover: none of these fulfils all three conditions."


def writers(roles: RolesEvidence, unit: str) -> str:
    """Who puts most of the answer into the logits directly: an MLP or a head."""
    senders = {short(head.at): head.direct for head in roles.heads}
    mlps = {
        f"the MLP of layer {at.removeprefix('L').split('.')[0]}": effect
        for at, effect in zip(roles.mlps, roles.mlp_direct, strict=True)
    }
    if not senders:
        return _mlp_writer(mlps, unit)
    head = max(senders, key=lambda name: senders[name].value)
    said = f"Of the heads below {head} has the largest direct path, {number(senders[head])} {unit}"
    if not mlps:
        return f"{said}."
    mlp = max(mlps, key=lambda name: mlps[name].value)
    if mlps[mlp].value <= senders[head].value:
        return f"{said}; of the MLPs {mlp}, {number(mlps[mlp])}."
    return (
        f"{said}; {mlp} has {number(mlps[mlp])}, so most of what tells clean from corrupt enters "
        "the logits there, not straight from a head."
    )


def _mlp_writer(mlps: dict[str, Estimate], unit: str) -> str:
    """The same where no head is described."""
    if not mlps:
        return "No head is described here, and the model has no MLP."
    mlp = max(mlps, key=lambda name: mlps[name].value)
    return (
        f"No head is described here; of the MLPs {mlp} has the largest direct path, "
        f"{number(mlps[mlp])} {unit}."
    )


def cannot(left_out: Sequence[str]) -> str:
    """What these pairs did not allow."""
    return f"Not done: {'; '.join(left_out)}." if left_out else ""


def _amount(value: float) -> str:
    """A number with three digits or so; two where it is small.

    >>> _amount(11.19), _amount(1.58), _amount(0.0267), _amount(0.0)
    ('11.2', '1.58', '0.027', '0')
    """
    if abs(value) < 0.095:
        return f"{value:.2g}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _range(values: Sequence[Estimate]) -> str:
    """One value with its interval, or the lowest and the highest of several."""
    if len(values) == 1:
        return number(values[0])
    ordered = sorted(each.value for each in values)
    return f"{_amount(ordered[0])} to {_amount(ordered[-1])}"


def _percents(values: Sequence[Estimate | None]) -> str:
    found = sorted(100 * each.value for each in values if each is not None)
    low, high = f"{found[0]:.0f}", f"{found[-1]:.0f}"
    return f"{low} %" if low == high else f"{low} to {high} %"
