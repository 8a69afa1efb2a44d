"""``residuum investigate``: from a behaviour to a claim, with a report."""

from __future__ import annotations

import argparse

from residuum.apps.cli.console import progress_for, put_facts, put_json, put_table, put_text
from residuum.apps.cli.loading import open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading, add_seed

_DETAILS = (
    "Checks that the behaviour is there, reads every layer with the logit lens, patches the "
    "stream, every head and every MLP between clean and corrupt prompts, compares the "
    "strongest heads with random ones, and decides by stated rules: supported, not supported, "
    "undecided. Leaves finding.json and report.html in DIR; an interrupted investigation goes "
    "on where it stopped."
)


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "investigate", run, "find which heads a behaviour rests on; leaves a report",
        details=_DETAILS,
    )  # fmt: skip
    parser.add_argument("--model", required=True, metavar="MODEL", help="name or folder")
    parser.add_argument(
        "--task", required=True, metavar="TASK", help="name (residuum tasks), or a CSV/JSONL file"
    )
    parser.add_argument(
        "--budget",
        choices=("quick", "standard", "thorough"),
        default="quick",
        help="how many pairs and controls (default: quick)",
    )
    parser.add_argument("--out", metavar="DIR", help="folder for finding.json and report.html")
    add_seed(parser, "pairs, intervals and random heads")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Investigate, save, and say what was found."""
    from residuum.findings import investigate

    model = open_model(arguments)
    finding = investigate(
        model,
        arguments.task,
        arguments.budget,
        arguments.seed,
        out=arguments.out,
        progress=progress_for(arguments, lines=True),
    )
    written = finding.save(arguments.out) if arguments.out else None
    if arguments.json:
        put_json(finding.to_json())
        return 0
    put_text(f"{finding.status.upper()}: {finding.claim}")
    print()
    if finding.parts is not None:
        from residuum.findings.report.head_pictures import (
            control_table,
            head_table,
            removal_table,
            role_table,
        )
        from residuum.findings.report.sentences import control, movers, together

        put_table(head_table(finding))
        print()
        put_table(control_table(finding))
        print()
        put_table(removal_table(finding))
        print()
        main = finding.parts.main
        put_text(f"{together(main, finding.unit)} {control(main, finding.unit)}")
        print()
        if finding.roles is not None:
            put_table(role_table(finding))
            print()
            put_text(movers(finding.roles, finding.unit))
            print()
    put_text(finding.falsifier)
    if written is not None:
        print()
        put_facts(
            [
                ("report", str(written.with_name("report.html"))),
                ("finding", str(written)),
                ("again", f"residuum replay {written}"),
            ]
        )
    return 0
