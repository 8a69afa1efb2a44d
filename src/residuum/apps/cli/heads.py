"""``residuum heads``: what every head attends to, copies, and is good for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from residuum.apps.cli.console import progress_for, put_json, put_table, put_text
from residuum.apps.cli.lens import check_suffix
from residuum.apps.cli.loading import headline, open_model, open_task
from residuum.apps.cli.parser import Commands, add_command, add_loading, add_seed, counted
from residuum.apps.cli.texts import read_texts

if TYPE_CHECKING:
    from residuum.heads import HeadTable

SUFFIXES = (".html", ".svg", ".png", ".json", ".csv")


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "heads", run, "name every attention head by what it does",
        details="Detectors on random repeats with random periods, beside what removing each head "
        "costs. A head that only attends is marked with '?'.",
    )  # fmt: skip
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument(
        "--task", metavar="T",
        help="a task's name or a file of pairs: adds name movers, S-inhibition, copy suppression",
    )  # fmt: skip
    parser.add_argument("--text", metavar="FILE", help="one's own texts besides, one in each line")
    parser.add_argument("--n", type=counted, default=50, help="prompts of a kind (default: 50)")
    parser.add_argument("--length", type=counted, help="tokens of a prompt (default: 49)")
    parser.add_argument(
        "--removal", choices=("mean", "zero", "none"), default="mean",
        help="how a head is removed; none is fast and confirms nothing (default: mean)",
    )  # fmt: skip
    parser.add_argument(
        "--removal-n", type=counted, default=24, help="prompts for the removal (default: 24)"
    )
    parser.add_argument("--all", action="store_true", help="also the heads without a type")
    parser.add_argument("--out", metavar="FILE", help=f"also write {', '.join(SUFFIXES)}")
    add_seed(parser, "the prompts")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Detect and show."""
    if arguments.out:
        check_suffix(arguments.out, SUFFIXES)
    texts = None if arguments.text is None else read_texts(arguments.text)
    from residuum.heads import detect_heads

    model = open_model(arguments)
    task = None
    if arguments.task:
        task = open_task(arguments.task, model, n=arguments.n, seed=arguments.seed)
    table = detect_heads(
        model, texts, task=task, n=arguments.n, length=arguments.length,
        removal=None if arguments.removal == "none" else arguments.removal,
        removal_n=arguments.removal_n, seed=arguments.seed, progress=progress_for(arguments),
    )  # fmt: skip
    if arguments.out:
        table.save(arguments.out)
    if arguments.json:
        put_json(table.to_json())
        return 0
    put_text(headline(model))
    print()
    _show(table, everything=arguments.all)
    if arguments.out:
        print(f"\nwritten: {arguments.out}")
    return 0


def _show(table: HeadTable, *, everything: bool) -> None:
    from residuum.heads.head_figures import HOW_TO_READ, type_tables

    shown = type_tables(table, everything=everything)
    for each in shown:
        put_table(each)
        print()
    put_text(HOW_TO_READ if shown else "No head has a type.")
    for note in table.notes:
        put_text(f"note: {note}")
