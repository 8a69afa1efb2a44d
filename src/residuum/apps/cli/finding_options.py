"""What ``residuum investigate`` and ``residuum examine`` share: options, saving, showing."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import progress_for, put_json
from residuum.apps.cli.finding_view import tell
from residuum.apps.cli.loading import open_model, open_task
from residuum.apps.cli.parser import Parser, add_loading, add_seed

if TYPE_CHECKING:
    from residuum.findings import Finding
    from residuum.runs import Model, Task

ALL = 2**31
"""Pairs read from a file: all; the budget says how many are used."""


def add_asked(parser: Parser) -> None:
    """Declare what is asked, of which model, and where it goes."""
    parser.add_argument("--model", required=True, metavar="MODEL", help="name or folder")
    parser.add_argument(
        "--task", required=True, metavar="TASK",
        help="name (residuum tasks), a CSV/JSONL file of pairs in words or token ids, or a saved "
        "task",
    )  # fmt: skip
    parser.add_argument(
        "--budget",
        choices=("quick", "standard", "thorough"),
        default="quick",
        help="how many pairs and controls (default: quick)",
    )
    parser.add_argument(
        "--stages",
        metavar="NAMES",
        help="further stages to run, with commas; 'none' for the core alone (default: all)",
    )
    parser.add_argument(
        "--also", nargs="+", default=[], metavar="MODEL", help="other models, asked the same"
    )
    parser.add_argument(
        "--claim", type=_paragraph, metavar="TEXT",
        help="word the claim by hand; it is marked so",
    )  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="folder for finding.json and report.html")
    add_seed(parser, "pairs, intervals and random parts")
    add_loading(parser)


def _paragraph(text: str) -> str:
    """A text of one paragraph, as a claim is; refused here, before anything is measured."""
    if not text.strip() or "\n" in text.strip():
        raise ValueError(text)
    return text


_paragraph.__name__ = "paragraph of text"


def stages_of(arguments: argparse.Namespace) -> tuple[str, ...] | None:
    """The stages asked for; None for all.

    Raises:
        OptionError: one that there is not.
    """
    from residuum.findings.chain.further import chosen_stages

    names = arguments.stages
    if names is None:
        return None
    found = () if names == "none" else tuple(name.strip() for name in names.split(","))
    return tuple(each.name for each in chosen_stages(found))


def task_for(arguments: argparse.Namespace, model: Model) -> Task | str:
    """The pairs of a file; a name stays one, since the budget says how many pairs it makes."""
    from residuum.runs.task_files import is_task_file

    if not is_task_file(arguments.task):
        return arguments.task
    return open_task(arguments.task, model, n=ALL, seed=arguments.seed)


def options_of(arguments: argparse.Namespace, stages: tuple[str, ...] | None) -> dict[str, Any]:
    """The options of both verbs, from budget to the other models."""
    others = [argparse.Namespace(**{**vars(arguments), "model": name}) for name in arguments.also]
    return {
        "budget": arguments.budget,
        "seed": arguments.seed,
        "out": arguments.out,
        "progress": progress_for(arguments, lines=True),
        "stages": stages,
        "also": [open_model(each) for each in others],
    }


def put_finding(arguments: argparse.Namespace, finding: Finding) -> int:
    """Word the claim if asked to, save, and say what was found."""
    worded = finding if arguments.claim is None else finding.with_claim(arguments.claim)
    written = worded.save(arguments.out) if arguments.out else None
    if arguments.json:
        put_json(worded.to_json())
    else:
        tell(worded, written)
    return 0
