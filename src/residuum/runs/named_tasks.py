"""Tasks by name: microworld's own for its vocabulary, ordinary English for other models."""

from __future__ import annotations

from residuum.core import TaskError
from residuum.runs.arguments import need_model, whole_number
from residuum.runs.pair_rows import TaskModel
from residuum.runs.task import Task
from residuum.worlds import (
    ENGLISH_TASKS,
    MICROWORLD_TASKS,
    english_pairs,
    microworld_pairs,
    microworld_vocabulary,
)

MASS_TASKS = frozenset({"greater_than"})
"""Tasks measured by probability mass (``prob_diff``): many answers are right at once."""


def speaks_microworld(model: TaskModel) -> bool:
    """Whether the model's tokenizer holds microworld's words under microworld's ids."""
    if model.tokenizer is None:
        return False
    held = model.tokenizer.get_vocab()
    return all(held.get(word) == index for index, word in enumerate(microworld_vocabulary()))


def task_names(model: TaskModel) -> tuple[str, ...]:
    """Names of the tasks that can be asked of this model; none without a tokenizer.

    Args:
        model: microworld's vocabulary has microworld's tasks, any other ordinary English.

    Shows: what :func:`make_task` makes. Does not show: that the model can do it, nor that its
    tokenizer holds the words as single tokens.

    >>> import residuum as rz
    >>> rz.task_names(rz.load("microworld", check=False))[:3]
    ('induction', 'ioi', 'greater_than')
    """
    need_model(model, "task_names")
    if model.tokenizer is None:
        return ()
    return tuple(MICROWORLD_TASKS if speaks_microworld(model) else ENGLISH_TASKS)


def make_task(
    name: str,
    model: TaskModel,
    n: int = 64,
    seed: int = 0,
    split: str = "test",
    *,
    metric: str = "",
    skip_misfits: bool = False,
) -> Task:
    """A named task with ``n`` contrast pairs, in the model's own tokens.

    Args:
        name: one of :func:`task_names`.
        model: microworld's vocabulary gets microworld's sentences, any other ordinary English.
        n: number of pairs.
        seed: the same seed gives the same pairs.
        split: microworld only: ``test`` for combinations that training never held, or ``train``.
        metric: by default ``logit_diff``; ``prob_diff`` for ``greater_than``.
        skip_misfits: leave out pairs whose words are no single tokens, recorded in ``dropped``.

    Returns:
        The task: ids [batch pos] of both prompts, answers and wrong ones [batch n], named
        positions [batch].

    Raises:
        TaskError: no such task, no tokenizer, or words that are no single tokens of this model,
            listed.
        OptionError: no model; no such metric; ``n`` or ``seed`` that is no whole number.

    Shows: what counts as right. Does not show: that the model does it; for that,
    ``task.evaluate(model)``.

    >>> import residuum as rz
    >>> task = rz.task("ioi", rz.load("microworld", check=False), n=4, seed=1)
    >>> len(task), task.metric, task.clean.shape == task.corrupt.shape
    (4, 'logit_diff', True)
    """
    need_model(model, "task")
    whole_number(n, "n", 1)
    whole_number(seed, "seed", 0)
    if model.tokenizer is None:
        raise TaskError(
            "a named task needs a tokenizer",
            mend="load with tokenizer=..., or use Task.from_pairs with ids",
        )
    names = task_names(model)
    if not isinstance(name, str) or name not in names:
        raise TaskError(f"no task {name!r} for this model", mend=f"one of: {', '.join(names)}")
    if speaks_microworld(model):
        world, pairs = "microworld", microworld_pairs(name, n, seed, split)
    else:
        world, pairs = "english", english_pairs(name, n, seed)
    task = Task.from_pairs(
        pairs,
        model,
        name=name,
        metric=metric or ("prob_diff" if name in MASS_TASKS else "logit_diff"),
        skip_misfits=skip_misfits,
    )
    origin = f"{world}:{name} n={n} seed={seed}" + (f" split={split}" if world != "english" else "")
    return task.with_source(origin)
