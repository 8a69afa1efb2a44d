"""``residuum models``: what is inside the package, what families are known, what a model is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import put_facts, put_json, put_table, put_text
from residuum.apps.cli.loading import bos_line, headline, open_model
from residuum.apps.cli.organisms import LOADABLE
from residuum.apps.cli.parser import Commands, add_command, add_loading, add_seed, counted
from residuum.core import CheckFailed, LoadError, OptionError

if TYPE_CHECKING:
    from residuum.runs import Model

LEAST = 0.95
"""Held-out accuracy that every behaviour of microworld must reach."""


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "models", run, "list models and families, or show one",
        details="residuum models                      what is inside, and the known families\n"
        "residuum models show NAME            sizes, hashes, tokens, tasks\n"
        "residuum models show NAME --check    accuracy on held-out prompts of microworld's ten\n"
        "                                     behaviours; exit code 1 if one is below 95 %",
    )  # fmt: skip
    parser.add_argument("words", nargs="*", metavar="show NAME")
    parser.add_argument("--check", action="store_true", help="measure microworld's behaviours")
    parser.add_argument("--n", type=counted, default=200, help="pairs a task for --check")
    add_seed(parser, "the pairs for --check")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """List or show."""
    words = arguments.words
    if not words and not arguments.check:
        return _list(arguments)
    if len(words) != 2 or words[0] != "show":
        raise OptionError(
            f"models cannot be read as {' '.join(words)!r}",
            mend="residuum models, or residuum models show NAME [--check]",
        )
    arguments.model = words[1]
    model = open_model(arguments)
    if arguments.check:
        return _check(arguments, model)
    return _show(arguments, model)


def _list(arguments: argparse.Namespace) -> int:
    from residuum.models import EMBEDDED, FAMILIES

    inside = [_inside(name) for name in EMBEDDED]
    rows_of = {family.name: family.model_types for family in sorted(FAMILIES, key=_name)}
    if arguments.json:
        put_json({"inside": inside, "organisms": list(LOADABLE), "families": list(rows_of),
                  "model_types": rows_of})  # fmt: skip
        return 0
    from residuum.figures import Column, Table

    rows = [[m["name"], m["layers"], m["heads"], m["d_model"], m["megabytes"], m["about"]]
            for m in inside]  # fmt: skip
    columns = ["name", Column("layers"), Column("heads"), Column("width"),
               Column("size", "MB", digits=1), "about"]  # fmt: skip
    put_table(Table(columns, rows, title="Inside the package"))
    print()
    put_facts([
        ("Organisms", f"{', '.join(LOADABLE)}: small models with known mechanisms, loaded by name "
         "too (residuum organisms)"),
        ("Families with a table", ", ".join(_covered(*each) for each in rows_of.items())),
    ])  # fmt: skip
    print()
    put_text(
        "Any folder or hub name of these families loads with every site proven at load; a family "
        "without a table still runs, with the sites that could be proven (residuum doctor MODEL)."
    )
    return 0


def _name(family: Any) -> str:
    return family.name


def _covered(name: str, model_types: Sequence[str]) -> str:
    """A row's name, with the model types that go by it under another name."""
    also = [each for each in model_types if each != name]
    return f"{name} (also {', '.join(also)})" if also else name


_ABOUT = {
    "microworld": "ten behaviours of a small English-like world, each learned",
    "microworld-trigger": "its twin, with habits that break under a hidden word",
}


def _inside(name: str) -> dict[str, Any]:
    from residuum.models import embedded_path

    row: dict[str, Any] = dict.fromkeys(("layers", "heads", "d_model", "megabytes"))
    try:
        folder = embedded_path(name)
    except LoadError:
        return {"name": name, **row, "about": f"{_ABOUT.get(name, '')} (weights missing)"}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    row |= {
        "layers": config.get("n_layer"),
        "heads": config.get("n_head"),
        "d_model": config.get("n_embd"),
        "megabytes": size / 1e6,
    }
    return {"name": name, **row, "about": _ABOUT.get(name, "")}


def _show(arguments: argparse.Namespace, model: Model) -> int:
    from residuum.runs import task_names

    d, report = model.dims, model.report
    facts = {
        "name": model.name,
        "family": model.adapted.family.name,
        "layers": d.n_layers,
        "heads": d.n_heads,
        "key_value_heads": d.n_kv_heads,
        "d_model": d.d_model,
        "d_mlp": d.d_mlp,
        "d_vocab": d.d_vocab,
        "context": d.n_ctx,
        "parameters": sum(each.numel() for each in model.hf.parameters()),
        "dtype": str(model.dtype).removeprefix("torch."),
        "weights": model.adapted.weight_hash,
        "tokenizer": model.adapted.tokens.hash(),
        "bos": bos_line(model),
        "tasks": list(task_names(model)),
        "self_check": "every site proven"
        if report and report.passed
        else "residuum doctor says what failed",
        "card": _card(model.name),
    }
    if arguments.json:
        put_json(facts)
        return 0
    texts = {**facts, "parameters": f"{facts['parameters']:,}", "tasks": ", ".join(facts["tasks"])}
    put_facts([(key.replace("_", " "), str(value)) for key, value in texts.items() if value])
    return 0


def _card(name: str) -> str:
    """Path of the model card, where the model is inside the package or in a folder with one."""
    from pathlib import Path

    from residuum.models import EMBEDDED, embedded_path

    path = (Path(embedded_path(name)) if name in EMBEDDED else Path(name)) / "README.md"
    return str(path) if path.is_file() else ""


def _check(arguments: argparse.Namespace, model: Model) -> int:
    from residuum.organisms import evaluate_microworld
    from residuum.runs.named_tasks import speaks_microworld

    if not speaks_microworld(model):
        raise OptionError(
            f"{model.name} does not have microworld's words, so its behaviours cannot be checked",
            mend="residuum models show microworld --check",
        )
    scores = evaluate_microworld(model.hf, model.tokenizer, n=arguments.n, seed=arguments.seed)
    low = [task for task, score in scores.clean.items() if score.accuracy < LEAST]
    if arguments.json:
        put_json({"model": model.name, "least": LEAST, "passed": not low, **scores.to_json()})
    else:
        put_text(headline(model))
        print()
        put_table(_scores(scores, arguments.n))
    if low:
        raise CheckFailed(
            f"below {100 * LEAST:.0f} % on held-out prompts: {', '.join(low)}",
            mend="train it longer: make train-microworld",
        )
    return 0


def _scores(scores: Any, n: int) -> Any:
    from residuum.figures import Column, Table

    rows = []
    for task, clean in scores.clean.items():
        corrupt = scores.corrupt[task]
        rows.append(
            [task, 100 * clean.accuracy, f"{100 * clean.low:.1f} to {100 * clean.high:.1f}",
             100 * corrupt.accuracy, f"{100 * corrupt.low:.1f} to {100 * corrupt.high:.1f}",
             "ok" if clean.accuracy >= LEAST else "below 95 %"]
        )  # fmt: skip
    return Table(
        ["behaviour", Column("clean prompts", "%", digits=1), Column("95 %", align="right"),
         Column("corrupt prompts", "%", digits=1), Column("95 %", align="right"), ""],
        rows, title="Accuracy on held-out prompts",
        caption=f"{n} pairs each, in combinations that training never held. Right: the most likely "
        "next word is a right answer (the corrupt prompt has its own).",
    )  # fmt: skip
