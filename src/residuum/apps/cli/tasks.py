"""``residuum tasks``: behaviours that a model can be asked about."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import put_json, put_table, put_text
from residuum.apps.cli.loading import open_model, open_task
from residuum.apps.cli.parser import Commands, add_command, add_loading, add_seed, counted
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.core import ContrastPair
    from residuum.runs import Model, Task


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "tasks", run, "list tasks with an example, or show one for a model",
        details="residuum tasks                        every task with an example\n"
        "residuum tasks MODEL                  those that can be asked of a model\n"
        "residuum tasks show NAME --model M    pairs in the model's tokens, and how well it does",
    )  # fmt: skip
    parser.add_argument("words", nargs="*", metavar="MODEL | show NAME")
    parser.add_argument("--model", metavar="MODEL", help="for show (default: microworld)")
    parser.add_argument("--n", type=counted, default=32, help="pairs to evaluate on (default: 32)")
    add_seed(parser, "the pairs")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """List or show."""
    words = arguments.words
    if words[:1] == ["show"]:
        if len(words) != 2:
            raise OptionError(
                "tasks show takes one name", mend="residuum tasks show ioi --model microworld"
            )
        arguments.model = arguments.model or "microworld"
        return _show(arguments, words[1])
    if len(words) > 1 or (words and arguments.model):
        raise OptionError(
            f"tasks cannot be read as {' '.join(words)!r}",
            mend="residuum tasks, residuum tasks MODEL, or residuum tasks show NAME --model MODEL",
        )
    if words:
        _check_model(words[0])
    arguments.model = arguments.model or (words[0] if words else None)
    return _list(arguments)


def _check_model(word: str) -> None:
    """Refuse a task's name where a model's is wanted."""
    from difflib import get_close_matches
    from pathlib import Path

    from residuum.models import EMBEDDED
    from residuum.worlds import ENGLISH_TASKS, MICROWORLD_TASKS

    if word in EMBEDDED or "/" in word or Path(word).is_dir():
        return
    near = get_close_matches(word, [*MICROWORLD_TASKS, *ENGLISH_TASKS], n=1)
    if near:
        raise OptionError(
            f"{word!r} is no model, but {'is' if near[0] == word else 'resembles'} a task's name",
            mend=f"residuum tasks show {near[0]}",
        )


def _list(arguments: argparse.Namespace) -> int:
    rows = [
        (world, name, pair)
        for world in _worlds(arguments)
        for name, pair in _examples(world, arguments.seed)
    ]
    if arguments.json:
        put_json([_pair(*row) for row in rows])
        return 0
    from residuum.figures import Table

    cells = [
        [world, name, pair.clean, _few(pair.answers), pair.corrupt] for world, name, pair in rows
    ]
    put_table(Table(["world", "task", "clean prompt", "answer", "corrupt prompt"], cells))
    print()
    put_text("The answer is the next word after the clean prompt, and not after the corrupt one.")
    return 0


def _worlds(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The worlds whose tasks are listed: both, or the one that the model has words for."""
    if arguments.model is None:
        return ("microworld", "English")
    from residuum.runs.named_tasks import speaks_microworld

    return ("microworld" if speaks_microworld(open_model(arguments)) else "English",)


def _examples(world: str, seed: int) -> list[tuple[str, ContrastPair]]:
    from residuum.worlds import ENGLISH_TASKS, MICROWORLD_TASKS, english_pairs, microworld_pairs

    if world == "microworld":
        return [(name, microworld_pairs(name, 1, seed)[0]) for name in MICROWORLD_TASKS]
    return [(name, english_pairs(name, 1, seed)[0]) for name in ENGLISH_TASKS]


def _pair(world: str, name: str, pair: ContrastPair) -> dict[str, Any]:
    return {
        "world": world,
        "task": name,
        "clean": pair.clean,
        "corrupt": pair.corrupt,
        "answers": list(pair.answers),
        "wrong": list(pair.wrong),
        "template": pair.template,
    }


def _few(words: tuple[str, ...] | list[str], most: int = 3) -> str:
    shown = ", ".join(word.strip() for word in words[:most])
    return f"{shown}, … ({len(words)})" if len(words) > most else shown


def _show(arguments: argparse.Namespace, name: str) -> int:
    model = open_model(arguments)
    task = open_task(name, model, n=arguments.n, seed=arguments.seed)
    check = task.evaluate(model)
    if arguments.json:
        put_json({"task": task.to_json(), "behaviour": check.to_json()})
        return 0
    put_text(task.describe())
    print()
    put_table(_pairs(model, task))
    print()
    put_table(_behaviour(check))
    return 0


def _pairs(model: Model, task: Task, most: int = 6) -> Any:
    from residuum.figures import Table

    rows = []
    for row in range(min(most, len(task))):
        end = int(task.lengths[row])
        rows.append(
            [
                task.templates[row],
                model.to_string(task.clean[row, :end]),
                _words(model, task.answers[row]),
                model.to_string(task.corrupt[row, :end]),
                _words(model, task.wrong[row]),
            ]
        )
    return Table(
        ["template", "clean prompt", "answer", "corrupt prompt", "wrong answer"], rows,
        title=f"The first {len(rows)} of {len(task)} pairs",
    )  # fmt: skip


def _words(model: Model, ids: Any) -> str:
    return _few(model.to_str_tokens([each for each in ids.tolist() if each >= 0]))


def _behaviour(check: Any) -> Any:
    from residuum.figures import Column, Table

    rows = [
        [name, 100 * side.accuracy, _ends(side.accuracy_interval, 100, 0), side.logit_diff,
         _ends(side.logit_diff_interval, 1, 2)]
        for name, side in (("clean", check.clean), ("corrupt", check.corrupt))
    ]  # fmt: skip
    columns = [
        "prompts", Column("answer is most likely", "%", digits=0), Column("95 %", align="right"),
        Column("logit difference", digits=2), Column("95 %", align="right"),
    ]  # fmt: skip
    return Table(
        columns, rows, title="How well the model does",
        caption=f"{check.n} pairs; logit difference: answers minus wrong answers. The same answers "
        "count on both sides.",
    )  # fmt: skip


def _ends(interval: tuple[float, float], scale: float, digits: int) -> str:
    return f"{scale * interval[0]:.{digits}f} to {scale * interval[1]:.{digits}f}"
