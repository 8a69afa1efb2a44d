"""The two halves of a task: one to choose parts on, one to measure on, with no prompt in common."""

from __future__ import annotations

from residuum.findings.chain.joining import prompts, unshared
from residuum.runs import Task

SMALLEST = 0.25
"""Share of the pairs that either half must have; where shared prompts leave less, they are cut."""


def halves(task: Task) -> tuple[Task, Task]:
    """The pairs that a finding chooses parts on, and those that it measures on.

    Every other pair. Where pairs share a prompt, on either side, they stay in one half, so that
    nothing is measured on a prompt that was chosen on; the halves are then as even as that allows.
    If nearly all pairs hang together (one corrupt prompt for all), every other pair again:
    :func:`shared_prompts` counts what is shared then.

    Args:
        task: pairs, at least 2.

    Returns:
        The choosing half and the measuring half.

    >>> import residuum as rz
    >>> task = rz.task("ioi", rz.load("microworld", check=False), n=8)
    >>> [len(half) for half in halves(task)]
    [4, 4]
    """
    groups = _linked(task)
    if len(groups) == len(task):
        return task[0::2], task[1::2]
    sides: tuple[list[int], list[int]] = ([], [])
    for group in sorted(groups, key=len, reverse=True):
        min(sides, key=len).extend(group)
    if min(map(len, sides)) < SMALLEST * len(task):
        return task[0::2], task[1::2]
    return task.subset(sorted(sides[0])), task.subset(sorted(sides[1]))


def shared_prompts(choose: Task, measure: Task) -> int:
    """How many measured pairs share a prompt with one that parts were chosen on."""
    return len(measure) - len(unshared(measure, choose))


def _linked(task: Task) -> list[list[int]]:
    """Rows that hang together by shared prompts, each group in order, by its first row."""
    group = list(range(len(task)))
    first: dict[tuple[int, ...], int] = {}
    for row, pair in enumerate(prompts(task)):
        for each in pair:
            a, b = _root(group, first.setdefault(each, row)), _root(group, row)
            group[max(a, b)] = min(a, b)
    found: dict[int, list[int]] = {}
    for row in range(len(task)):
        found.setdefault(_root(group, row), []).append(row)
    return list(found.values())


def _root(group: list[int], row: int) -> int:
    while group[row] != row:
        row = group[row]
    return row
