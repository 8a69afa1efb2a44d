"""A task's pairs, each counted once: the same pair again is no further evidence."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.runs import Task

_PAIR = ("clean", "corrupt", "answers", "wrong")


@dataclass(frozen=True)
class DistinctPairs:
    """The different pairs of a task.

    Attributes:
        task: with the first of equal pairs, in their order.
        repeated: how many pairs were left out, for the same ids stand before them.
        prompts: a label for each pair that is left: the same for pairs of one clean prompt.
    """

    task: Task
    repeated: int
    prompts: tuple[str, ...]

    @property
    def share_prompts(self) -> int:
        """How many of the pairs have their clean prompt in common with one before them."""
        return len(self.prompts) - len(set(self.prompts))

    @property
    def warnings(self) -> list[str]:
        """What a reader must know of them."""
        said = []
        if self.repeated:
            said.append(
                f"{self.repeated} of {self.repeated + len(self.task)} pairs repeat another one and "
                "were not counted again"
            )
        if self.share_prompts:
            said.append(
                f"{self.share_prompts} of {len(self.task)} pairs have the clean prompt of another "
                "pair"
            )
        return said


def distinct_pairs(task: Task) -> DistinctPairs:
    """Leave out pairs whose prompts and answers stand in the task already.

    >>> ids = [[1, 2], [1, 2], [1, 2]]
    >>> task = Task.from_pairs(clean=ids, corrupt=[[3, 2], [3, 2], [4, 2]], answers=[[5]] * 3)
    >>> found = distinct_pairs(task)
    >>> len(found.task), found.repeated, found.share_prompts
    (2, 1, 1)
    """
    data = task.to_json()
    rows = [str(each) for each in zip(*(data[part] for part in _PAIR), strict=True)]
    first = {row: at for at, row in reversed(list(enumerate(rows)))}
    kept = [at for at, row in enumerate(rows) if first[row] == at]
    some = task if len(kept) == len(rows) else task.subset(kept)
    return DistinctPairs(some, len(rows) - len(kept), tuple(str(data["clean"][at]) for at in kept))
