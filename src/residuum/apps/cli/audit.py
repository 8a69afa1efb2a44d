"""``residuum audit``: a safety review, with what was not tested."""

from __future__ import annotations

import argparse

from residuum.apps.cli.console import progress_for, put_facts, put_json, put_table, put_text
from residuum.apps.cli.loading import open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading

_DETAILS = (
    "Asks every question of a suite: is refusal bypassed by one direction, is truth separable "
    "from pleasing, which behaviours rest on few parts, does a monitor hold where it was not "
    "fitted, what differs from a clean twin. Each is answered by stated rules, and what was not "
    "tested stands beside. Leaves audit.json and audit.html in DIR; an interrupted review goes on "
    "where it stopped."
)


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "audit", run, "a safety review by a suite of questions; leaves a page",
        details=_DETAILS,
    )  # fmt: skip
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument(
        "--suite", default="microworld", metavar="SUITE",
        help="a TOML file, or a suite that ships: microworld, chat (default: microworld)",
    )  # fmt: skip
    parser.add_argument(
        "--against", metavar="MODEL", help="the clean twin that MODEL was fine-tuned from"
    )
    parser.add_argument("--out", metavar="DIR", help="folder for audit.json and audit.html")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Review, save, and say what was found."""
    from residuum.findings.audit.audit import PAGE
    from residuum.findings.audit.auditing import audit
    from residuum.findings.audit.suite import Suite

    suite = Suite.load(arguments.suite)
    model = open_model(arguments)
    twin = None
    if arguments.against:
        twin = open_model(argparse.Namespace(**{**vars(arguments), "model": arguments.against}))
    review = audit(
        model, suite, against=twin, out=arguments.out, progress=progress_for(arguments, lines=True)
    )
    written = review.save(arguments.out) if arguments.out else None
    if arguments.json:
        put_json(review.to_json())
        return 0
    put_text(review.summary)
    print()
    put_table(review.figure())
    print()
    put_text("Not tested:")
    for each in review.not_tested:
        put_text(f"  {each}")
    if written is not None:
        print()
        put_facts([("page", str(written.with_name(PAGE))), ("audit", str(written))])
    return 0
