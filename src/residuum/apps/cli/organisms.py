"""``residuum organisms``: models with known mechanisms, listed, shown and trained again."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from residuum.apps.cli.console import progress_for, put_facts, put_json, put_table, put_text
from residuum.apps.cli.parser import Commands, add_command, counted, seeded
from residuum.core import OptionError

ABOUT = {
    "induction_2l": "two attention layers that learn induction in a phase change",
    "induction_2l_nopos": "the same without position embedding",
    "induction_1l": "one layer: the plateau to compare with",
    "skip_trigram_1l": "one layer that learns A … B → C",
    "handmade_induction": "induction with weights set by hand: every path is known",
    "superposition": "five features in a plane, by sparsity",
    "superposition_importance": "the same with importance 0.9 ** i",
    "superposition_pairs": "three features in a plane, of varying value",
    "superposition_triangle": "three features in a plane, each 0 or 1",
}
LOADABLE = ("induction_2l", "induction_2l_nopos", "skip_trigram_1l", "handmade_induction")
_MICROWORLD = {
    "show": "residuum models show {}",
    "train": "python -m residuum.apps.train microworld trains microworld",
}
_CURVES = ("induction_2l", "induction_2l_nopos")


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "organisms", run, "models with known mechanisms: list, show, train",
        details="residuum organisms                    what there is\n"
        "residuum organisms show NAME          measured scores; --figure FILE draws them\n"
        "residuum organisms train NAME         train it again (a few minutes); --resume goes on",
    )  # fmt: skip
    parser.add_argument("words", nargs="*", metavar="list | show NAME | train NAME")
    parser.add_argument("--figure", type=Path, help="for show: a file .html, .svg, .png or .json")
    parser.add_argument("--out", type=Path, help="for train: folder (default: trained/NAME)")
    parser.add_argument("--steps", type=counted, help="for train (default: the recipe's)")
    parser.add_argument("--seed", type=seeded, help="for train: weights and data (default: 0)")
    parser.add_argument("--resume", action="store_true", help="for train: go on where it stopped")


def run(arguments: argparse.Namespace) -> int:
    """List, show or train."""
    words = arguments.words or ["list"]
    _refuse_idle(words[0], arguments)
    if words == ["list"]:
        return _list(arguments)
    if len(words) == 2 and words[0] in ("show", "train"):
        if words[1] not in ABOUT:
            raise OptionError(
                f"no organism {words[1]!r}",
                mend=_MICROWORLD[words[0]].format(words[1])
                if words[1] in ("microworld", "microworld-trigger")
                else f"one of: {', '.join(ABOUT)}",
            )
        return (_show if words[0] == "show" else _train)(arguments, words[1])
    raise OptionError(
        f"organisms cannot be read as {' '.join(words)!r}",
        mend="residuum organisms, residuum organisms show NAME, or residuum organisms train NAME",
    )


def _refuse_idle(verb: str, arguments: argparse.Namespace) -> None:
    """Refuse options that this verb would ignore."""
    takes = {"show": ("figure",), "train": ("out", "steps", "seed", "resume")}.get(verb, ())
    for name in ("figure", "out", "steps", "seed", "resume"):
        if name not in takes and getattr(arguments, name) not in (None, False):
            raise OptionError(
                f"organisms {verb} does not take --{name}", mend=f"leave --{name} out"
            )


def _list(arguments: argparse.Namespace) -> int:
    rows = [[name, about, _how(name)] for name, about in ABOUT.items()]
    if arguments.json:
        put_json([dict(zip(("name", "about", "python"), row, strict=True)) for row in rows])
        return 0
    from residuum.figures import Table

    put_table(Table(["name", "what it is", "in Python"], rows, title="Organisms"))
    return 0


def _how(name: str) -> str:
    if name in LOADABLE:
        return f'rz.load("{name}")'
    if name.startswith("superposition"):
        return f'residuum.organisms.shipped_superposition("{name}")'
    return f"train it: residuum organisms train {name}"


def _show(arguments: argparse.Namespace, name: str) -> int:
    result = _result(name)
    if arguments.figure is not None:
        if result is None:
            raise OptionError(f"{name} has no figure", mend="leave --figure out")
        result.figure().save(arguments.figure)
    facts = _facts(name)
    if arguments.json:
        put_json({"name": name, "about": ABOUT[name], **facts, **_data(result)})
        return 0
    put_facts([(key.replace("_", " "), str(value)) for key, value in facts.items()])
    if result is not None:
        print()
        put_table(result.table())
    if arguments.figure is not None:
        put_text(f"figure: {arguments.figure}")
    return 0


def _result(name: str) -> Any:
    """What can be drawn: a phase change, or toy models."""
    from residuum.organisms import phase_change, shipped_superposition

    if name in _CURVES:
        return phase_change(name)
    return shipped_superposition(name) if name.startswith("superposition") else None


def _data(result: Any) -> dict[str, Any]:
    return {} if result is None else {"result": result.to_json()}


def _facts(name: str) -> dict[str, Any]:
    """Measured scores where a trained model is in the package."""
    from residuum.models import embedded_path

    if name not in LOADABLE or name == "handmade_induction":
        return {"about": ABOUT[name], "python": _how(name)}
    folder = Path(embedded_path(name))
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    kept = {
        key: scores[key]
        for key in ("early_nats", "late_nats", "icl_nats", "repeated_nats", "accuracy")
        if key in scores
    }
    heads = {
        f"{key}_best_head": max(max(row) for row in scores[key])
        for key in ("prefix_matching", "previous_token")
        if key in scores
    }
    facts = {"about": ABOUT[name], "python": _how(name), "parameters": scores["parameters"]}
    return {**facts, **kept, **heads, "card": str(folder / "README.md")}


def _train(arguments: argparse.Namespace, name: str) -> int:
    from residuum.organisms import ATTENTION_RECIPES, TOY_RECIPES

    out = arguments.out or Path("trained") / name
    if name in ATTENTION_RECIPES:
        found = _train_attention(arguments, name, out)
    elif name in TOY_RECIPES:
        found = _train_toys(arguments, name, out)
    else:
        raise OptionError(f"{name} is set by hand, not trained", mend=_how(name))
    if arguments.json:
        put_json({"name": name, "out": str(out), **found})
    else:
        put_text(f"written: {out}")
    return 0


def _make(out: Path) -> None:
    """The folder to write to, made before minutes of training.

    Raises:
        OptionError: it cannot be made, or not be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(out, os.W_OK) else "it is read-only"
    except FileExistsError:
        reason = "there is a file of that name"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise OptionError(
            f"cannot make the folder {out}: {reason}", mend="--out another, one that can be made"
        )


def _train_attention(arguments: argparse.Namespace, name: str, out: Path) -> dict[str, Any]:
    from residuum.organisms import ATTENTION_RECIPES, train_attention_only

    if not arguments.resume:
        _make(out)
    recipe = ATTENTION_RECIPES[name].with_seed(arguments.seed or 0)
    if arguments.steps:
        recipe = recipe.with_steps(arguments.steps)
    progress = progress_for(arguments, lines=True)
    return train_attention_only(recipe, out, resume=arguments.resume, progress=progress)


def _train_toys(arguments: argparse.Namespace, name: str, out: Path) -> dict[str, Any]:
    from dataclasses import replace

    from residuum.organisms import TOY_RECIPES, train_toys

    if arguments.resume:
        raise OptionError(
            "toy models are not resumed: they take a minute or two", mend="leave --resume out"
        )
    _make(out)
    recipe = replace(TOY_RECIPES[name], seed=arguments.seed or 0)
    if arguments.steps:
        recipe = replace(recipe, steps=arguments.steps)
    found = train_toys(recipe, progress_for(arguments, lines=True))
    found.save(out / f"{name}.json")
    found.figure().save(out / "dimensionality.svg")
    found.geometry_figure().save(out / "geometry.svg")
    if not arguments.json:
        put_table(found.table())
    return {"geometries": {str(d): list(found.geometries(d)) for d in found.densities}}
