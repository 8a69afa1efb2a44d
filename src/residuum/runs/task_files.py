"""A task from a file: one that was saved, or a table of pairs in words or as token ids."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from residuum.core import TaskError
from residuum.runs.pair_rows import TaskModel
from residuum.runs.task import Task

SUFFIXES = (".csv", ".jsonl", ".json")
"""Of files that hold a task."""


def is_task_file(name: str) -> bool:
    """Whether a task is asked for by file, not by name."""
    return Path(name).suffix.lower() in SUFFIXES


def task_in(path: str | Path, model: TaskModel, metric: str = "") -> Task:
    """The task in a CSV, JSONL or JSON file.

    Args:
        path: what :meth:`Task.save` wrote, or a table of pairs as :meth:`Task.from_pairs` reads it.
        model: whose tokenizer reads words, and whose vocabulary ids must fit.
        metric: name of a metric; empty for the file's own.

    Raises:
        TaskError: no such file, or pairs that do not fit the model.
    """
    path = Path(path)
    if not path.is_file():
        raise TaskError(f"no file {str(path)!r}", mend="give an existing file, or a task's name")
    if not _was_saved(path):
        return Task.from_pairs(path, model, metric=metric)
    found = Task.load(path)
    found.check_fits(model)
    return replace(found, metric=metric) if metric else found


def _was_saved(path: Path) -> bool:
    """Whether the file is one JSON object with the parts of a task; other files are tables."""
    if path.suffix.lower() != ".json":
        return False
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        return False
    return isinstance(data, dict) and {"format", "clean", "corrupt"} <= set(data)
