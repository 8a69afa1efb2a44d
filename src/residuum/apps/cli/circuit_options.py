"""What the verbs of ``residuum circuit`` share: pairs in two halves, files, and opening them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.lens import check_suffix
from residuum.apps.cli.loading import open_model, open_task
from residuum.apps.cli.parser import add_loading, counted, seeded
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.circuits import Circuit
    from residuum.runs import Model, Task

RESULTS = (".json", ".csv", ".html", ".svg", ".png")
"""Suffixes of a result that is no circuit."""

CIRCUITS = (".json", ".mib.json", ".graphml", ".csv", ".html", ".svg", ".png")
"""Endings of a circuit's file; ``.mib.json`` is the MIB benchmark's layout."""

HALVES = ("first", "second", "all")


def add_pairs(parser: argparse.ArgumentParser, half: str, *, several: bool = False) -> None:
    """The task, its pairs, and which half of them is used.

    Args:
        half: used by default.
        several: whether the task may be given several times.
    """
    more = "; may be given several times" * several
    parser.add_argument(
        "--task", required=True, metavar="TASK", action="append" if several else "store",
        help=f"name (residuum tasks), a CSV/JSONL file, or a saved task{more}",
    )  # fmt: skip
    parser.add_argument("--n", type=counted, default=64, help="pairs, of both halves (default: 64)")
    parser.add_argument(
        "--half", choices=HALVES, default=half,
        help="of the templates, drawn by --seed; of the pairs where there is one template "
        f"(default: {half})",
    )  # fmt: skip
    parser.add_argument("--metric", default="", help="by default the task's own")
    parser.add_argument(
        "--seed", type=seeded, default=0, help="of the pairs and all else drawn (default: 0)"
    )
    parser.add_argument(
        "--max-memory", metavar="SIZE", help="beyond the model itself, such as '2 GB'"
    )


def add_circuit(parser: argparse.ArgumentParser) -> None:
    """The model, and a circuit of it."""
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument("circuit", metavar="CIRCUIT", help=".json, .mib.json or .graphml")


def add_out(parser: argparse.ArgumentParser, suffixes: tuple[str, ...]) -> None:
    """Files to write besides."""
    parser.add_argument(
        "--out", action="append", metavar="FILE", default=[],
        help=f"also write {', '.join(suffixes)}; may be given several times",
    )  # fmt: skip
    add_loading(parser)


def check_out(arguments: argparse.Namespace, suffixes: tuple[str, ...] = RESULTS) -> None:
    """Refuse file names that cannot be written, before any work is done."""
    for path in arguments.out:
        check_suffix(path, suffixes)


def written(arguments: argparse.Namespace, result: Any) -> None:
    """Write the files; what is told of them waits for :func:`told_written`."""
    for path in arguments.out:
        result.save(path)


def told_written(arguments: argparse.Namespace) -> None:
    """Say which files were written."""
    if arguments.out:
        print(f"\nwritten: {', '.join(arguments.out)}")


def open_circuit(arguments: argparse.Namespace) -> tuple[Model, Circuit]:
    """The circuit and its model; a file that is none is refused before the model is loaded."""
    from residuum.circuits import load_circuit

    mib = is_mib(arguments.circuit)
    circuit = None if mib else load_circuit(arguments.circuit)
    model = open_model(arguments)
    if circuit is None:
        return model, load_circuit(arguments.circuit, model)
    circuit.check_fits(model)
    return model, circuit


def is_mib(path: str) -> bool:
    """Whether a file's name says that it is in the MIB benchmark's layout."""
    return path.endswith(".mib.json")


def open_pairs(arguments: argparse.Namespace, model: Model) -> tuple[Task, Task | None]:
    """The half of the pairs that was asked for, and the other one (None of all pairs).

    Raises:
        TaskError: no such task, or too few pairs for two halves.
    """
    task = _opened(arguments, model)
    if arguments.half == "all":
        return task, None
    first, second = halves(task, arguments.seed)
    return (first, second) if arguments.half == "first" else (second, first)


def _opened(arguments: argparse.Namespace, model: Model) -> Task:
    from residuum.runs import Task

    path = Path(arguments.task)
    if path.suffix == ".json" and path.is_file() and _is_task(path):
        task = Task.load(path).head(arguments.n)
        task.check_fits(model)
        return task
    return open_task(
        arguments.task, model, n=arguments.n, seed=arguments.seed, metric=arguments.metric
    )


def _is_task(path: Path) -> bool:
    """Whether ``Task.save`` wrote this file, and not someone pairs in words."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and "format" in data


def halves(task: Task, seed: int) -> tuple[Task, Task]:
    """The pairs in two parts that share no template; no pair where there is one template.

    Raises:
        OptionError: a single pair.
    """
    from residuum.directions import template_halves

    if len(set(task.templates)) > 1:
        return template_halves(task, seed)
    if len(task) < 2:
        raise OptionError("one pair has no two halves", mend="give more pairs, or --half all")
    middle = (len(task) + 1) // 2
    return task.subset(range(middle)), task.subset(range(middle, len(task)))


def half_line(arguments: argparse.Namespace, task: Task) -> str:
    """One line about the pairs in use."""
    if arguments.half == "all":
        return task.describe()
    parts = "templates" if len(set(task.templates)) > 0 and any(task.templates) else "pairs"
    return f"{task.describe()} ({arguments.half} half of the {parts})"
