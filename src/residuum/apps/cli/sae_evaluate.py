"""``residuum sae evaluate``: how sparse and how exact a dictionary is, and what it costs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from residuum.apps.cli.console import progress_for, put_json, put_table, put_text
from residuum.apps.cli.lens import check_suffix
from residuum.apps.cli.loading import headline, open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading, add_seed
from residuum.apps.cli.sae_text import add_text, open_text, options_of

if TYPE_CHECKING:
    from residuum.dictionaries import DictionaryScores
    from residuum.figures import Table

SUFFIXES = (".html", ".svg", ".png", ".json", ".csv")
_DETAILS = """Runs the model over the text as it is, with the reconstruction in the site's place,
with zeros, and with the mean there. DICTIONARY is a folder that residuum or another tool wrote, or
a name on the hub. One that does not fit its site there is a failed check (exit code 1); one of
other weights, or of a site that the model lacks, is bad input (exit code 2). Give text that it was
not trained on.

example:
  residuum sae evaluate microworld my-sae microworld:1"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(
        verbs, "evaluate", run, "judge a dictionary on its model", details=_DETAILS
    )
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument("dictionary", metavar="DICTIONARY", help="folder, or name on the hub")
    add_text(parser)
    add_at(parser)
    parser.add_argument("--no-check", action="store_true", help="judge it though it does not fit")
    parser.add_argument("--out", metavar="FILE", help=f"also write {', '.join(SUFFIXES)}")
    add_seed(parser, "the intervals")
    add_loading(parser)


def add_at(parser: argparse.ArgumentParser) -> None:
    """The site, where another tool's files do not say it."""
    parser.add_argument(
        "--at", nargs="+", metavar="SITE",
        help="where the files do not say it: the site, or of a transcoder both",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Judge and show."""
    if arguments.out:
        check_suffix(arguments.out, SUFFIXES)
    text = open_text(arguments.text)
    from residuum.dictionaries import evaluate_dictionary, load_dictionary

    dictionary = load_dictionary(arguments.dictionary, at=arguments.at)
    model = open_model(arguments)
    scores = evaluate_dictionary(
        dictionary, model, text, check=not arguments.no_check, seed=arguments.seed,
        progress=progress_for(arguments), **options_of(arguments),
    )  # fmt: skip
    if arguments.out:
        scores.save(arguments.out)
    if arguments.json:
        put_json(scores.to_json())
        return 0
    put_text(headline(model))
    print()
    put_table(_table(scores))
    if arguments.out:
        print(f"\nwritten: {arguments.out}")
    return 0


def _table(scores: DictionaryScores) -> Table:
    from residuum.figures import Column, Table

    rows = [
        [
            row["figure"].removesuffix("_frac").replace("_", " "),
            *(row[name] for name in ("value", "low", "high", "unit")),
        ]
        for row in scores.to_dataframe().to_dict("records")
    ]
    numbers = [Column(name, digits=4) for name in ("value", "low", "high")]
    return Table(
        ["figure", *numbers, "unit"],
        rows,
        title=f"{scores.n_latents} latents of {', '.join(scores.sites)}",
        caption=f"{scores.n_tokens} tokens of {scores.n_documents} documents; {scores.level:.0%} "
        "intervals over documents. Recovered: share of the loss that zeros, or the mean, would "
        "cost and the dictionary does not.",
    )
