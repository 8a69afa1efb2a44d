"""``residuum features effects``: what each latent does to a task's answers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from residuum.apps.cli.console import put_json, put_table, put_text
from residuum.apps.cli.lens import check_suffix
from residuum.apps.cli.loading import headline, open_model, open_task
from residuum.apps.cli.parser import Commands, add_command, add_loading, add_seed, counted
from residuum.apps.cli.sae_evaluate import add_at

if TYPE_CHECKING:
    from residuum.dictionaries import FeatureEffects
    from residuum.figures import Table

SUFFIXES = (".html", ".svg", ".png", ".json", ".csv")
_DETAILS = """Changes one latent at a time; what the dictionary does not explain stays as it is.
--way ablate takes it out of clean prompts; --way patch gives corrupt prompts its clean value.

example:
  residuum features effects microworld my-sae --task ioi"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(verbs, "effects", run, "what latents do to answers", details=_DETAILS)
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument("dictionary", metavar="DICTIONARY", help="folder, or name on the hub")
    parser.add_argument("--task", required=True, metavar="TASK", help="name, or a CSV/JSONL file")
    add_at(parser)
    parser.add_argument("--way", choices=("ablate", "patch"), default="ablate", help="see above")
    parser.add_argument("--pos", type=int, metavar="TOKEN", help="only there (default: all)")
    parser.add_argument("--gradient", action="store_true", help="predict by gradients, and check")
    parser.add_argument("--n", type=counted, default=32, help="pairs (default: 32)")
    parser.add_argument("--top", type=counted, default=15, help="rows (default: 15)")
    parser.add_argument("--no-check", action="store_true", help="use it though it does not fit")
    parser.add_argument("--out", metavar="FILE", help=f"also write {', '.join(SUFFIXES)}")
    add_seed(parser, "pairs and intervals")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and show."""
    if arguments.out:
        check_suffix(arguments.out, SUFFIXES)
    from residuum.dictionaries import Exact, Gradient, feature_effects, load_dictionary

    model = open_model(arguments)
    task = open_task(arguments.task, model, n=arguments.n, seed=arguments.seed)
    dictionary = load_dictionary(
        arguments.dictionary, model, arguments.at, check=not arguments.no_check
    )
    effects = feature_effects(
        model, dictionary, task,  # pyright: ignore[reportArgumentType]
        method=Gradient() if arguments.gradient else Exact(),
        way=arguments.way, pos=arguments.pos, seed=arguments.seed,
    )  # fmt: skip
    if arguments.out:
        effects.save(arguments.out)
    if arguments.json:
        put_json(effects.to_json())
        return 0
    put_text(headline(model))
    print()
    put_table(_table(effects, arguments.top))
    if arguments.out:
        print(f"\nwritten: {arguments.out}")
    return 0


def _table(effects: FeatureEffects, top: int) -> Table:
    from residuum.figures import Column, Table

    rows = [
        [str(row["latent"]), row["effect"], row["low"], row["high"], row["gap_frac"], row["label"]]
        for row in effects.to_dataframe().head(top).to_dict("records")
    ]
    numbers = [Column(name, digits=3) for name in ("effect", "low", "high", "of the gap")]
    return Table(
        ["latent", *numbers, "label"],
        rows,
        title=f"Latents of {effects.at}: change of {effects.metric} ({effects.way})",
        caption=f"{len(effects.latents)} of {effects.n_latents} latents are active in the prompts, "
        f"{len(rows)} shown; 95 % intervals by template; {effects.method}.",
    )
