"""``residuum sae label``: what latents are active at, in words, and how far that is true."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import progress_for, put_json, put_table, put_text
from residuum.apps.cli.lens import check_suffix
from residuum.apps.cli.loading import headline, open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading, add_seed, counted, seeded
from residuum.apps.cli.sae_evaluate import add_at
from residuum.apps.cli.sae_text import add_text, open_text, options_of
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.dictionaries import Dictionary
    from residuum.dictionaries.labels import Endpoint, Estimate, Labels
    from residuum.figures import Table

SUFFIXES = (".html", ".svg", ".png", ".json", ".csv")
_OF_ENDPOINT = ("name", "key_env", "price", "max_cost", "yes", "keep")
_DETAILS = """Labels are rules about tokens, found by statistics; with --endpoint they are written
by a language model behind an address that speaks OpenAI's chat protocol (extra: labels). Either
way each is judged on documents that no label was made from, beside another latent's label. What an
endpoint will cost is shown, and has to be agreed to, before anything is asked.

examples:
  residuum sae label microworld my-sae microworld:1 --latents 3 5 31
  residuum sae label microworld my-sae microworld:1 --endpoint http://localhost:8000/v1 \\
      --name my-model --keep answers.jsonl --out labels.json"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(verbs, "label", run, "label latents, and judge labels", details=_DETAILS)
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument("dictionary", metavar="DICTIONARY", help="folder, or name on the hub")
    add_text(parser)
    add_at(parser)
    parser.add_argument("--latents", type=seeded, nargs="+", metavar="N", help="which (all)")
    parser.add_argument("--endpoint", metavar="URL", help="ask a language model there")
    parser.add_argument("--name", metavar="MODEL", help="its name there")
    parser.add_argument(
        "--key-env", metavar="VARIABLE",
        help="environment variable with the key (default: OPENAI_API_KEY; none: no key)",
    )  # fmt: skip
    parser.add_argument(
        "--price", type=float, nargs=2, metavar=("IN", "OUT"), help="of a million tokens"
    )
    parser.add_argument("--max-cost", type=float, help="in the price's currency")
    parser.add_argument("--yes", action="store_true", help="agree to the cost")
    parser.add_argument("--keep", metavar="FILE", help="keep every answer there; resumes")
    parser.add_argument("--into", metavar="DIR", help="write the dictionary with its labels there")
    parser.add_argument("--top", type=counted, default=25, help="rows (default: 25)")
    parser.add_argument("--no-check", action="store_true", help="label it though it does not fit")
    parser.add_argument("--out", metavar="FILE", help=f"also write {', '.join(SUFFIXES)}")
    add_seed(parser, "split, questions and control")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Label, judge and show."""
    if arguments.out:
        check_suffix(arguments.out, SUFFIXES)
    _refuse_idle(arguments)
    text = open_text(arguments.text)
    from residuum.dictionaries import load_dictionary
    from residuum.dictionaries.labels import label_features, latent_examples

    by = _endpoint(arguments)
    model = open_model(arguments)
    dictionary = load_dictionary(
        arguments.dictionary, model, arguments.at, check=not arguments.no_check
    )
    progress = progress_for(arguments)
    source = latent_examples(
        dictionary, model, text, latents=arguments.latents, progress=progress,
        **options_of(arguments),
    )  # fmt: skip
    options: dict[str, Any] = {} if by is None else {
        "confirm": lambda cost: _agreed(arguments, cost), "max_cost": arguments.max_cost,
        "keep": arguments.keep,
    }  # fmt: skip
    labels = label_features(source, by=by, seed=arguments.seed, progress=progress, **options)
    if arguments.into:
        _labelled(dictionary, labels).save(arguments.into)
    if arguments.out:
        labels.save(arguments.out)
    if arguments.json:
        put_json(labels.to_json())
        return 0
    put_text(headline(model))
    print()
    put_table(_table(labels, arguments.top))
    for path in filter(None, (arguments.out, arguments.into)):
        print(f"\nwritten: {path}")
    return 0


def _labelled(dictionary: Any, labels: Labels) -> Dictionary:
    """The dictionary with these labels, which come before those that it had.

    Raises:
        OptionError: it has no place for labels.
    """
    from residuum.dictionaries import Dictionary

    if not isinstance(dictionary, Dictionary):
        raise OptionError(
            f"a {dictionary.kind} keeps no labels", mend="use --out instead of --into"
        )
    return replace(dictionary, labels={**dictionary.labels, **labels.texts})


def _refuse_idle(arguments: argparse.Namespace) -> None:
    if arguments.endpoint is None:
        for option in _OF_ENDPOINT:
            if getattr(arguments, option) not in (None, False):
                name = option.replace("_", "-")
                raise OptionError(f"--{name} goes with --endpoint", mend=f"leave --{name} out")
    elif arguments.name is None:
        raise OptionError("an endpoint needs a model", mend="--name its name there")


def _endpoint(arguments: argparse.Namespace) -> Endpoint | None:
    from residuum.dictionaries.labels import Endpoint, Price

    if arguments.endpoint is None:
        return None
    key = "OPENAI_API_KEY" if arguments.key_env is None else arguments.key_env
    price = None if arguments.price is None else Price(*arguments.price)
    return Endpoint(
        arguments.endpoint, arguments.name, key_env=None if key == "none" else key, price=price
    )


def _agreed(arguments: argparse.Namespace, cost: Estimate) -> bool:
    """Whether the cost is agreed to: beforehand, or by an answer on the terminal.

    Raises:
        OptionError: nobody is there to agree.
    """
    if arguments.yes or arguments.max_cost is not None:
        print(f"labelling takes {cost}", file=sys.stderr)
        return True
    if arguments.json or not sys.stdin.isatty():
        raise OptionError(
            f"labelling takes {cost}", mend="agree with --yes, or with --price and --max-cost"
        )
    print(f"labelling takes {cost}. Begin? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _table(labels: Labels, top: int) -> Table:
    from residuum.figures import Column, Table

    frame = labels.to_dataframe()
    names = ("detection", "detection_control", "fuzzing", "fuzzing_control")
    rows = [
        [str(row["latent"]), *(row[name] for name in names), row["label"] or row["lacks"]]
        for row in frame.head(top).to_dict("records")
    ]
    cut = f" {len(rows)} of {len(frame)} rows; --top shows more." if len(rows) < len(frame) else ""
    return Table(
        ["latent", *(Column(name.replace("_", " "), digits=2) for name in names), "label"],
        rows,
        title=repr(labels),
        caption="Balanced accuracy, chance 0.5, on documents that no label was made from: is the "
        "latent active in the context; are the marked tokens those. Control: another latent's "
        f"label.{cut}",
    )
