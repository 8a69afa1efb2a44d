"""``residuum replay``: run a finding again and compare every number."""

from __future__ import annotations

import argparse

from residuum.apps.cli.console import progress_for, put_json, put_table, put_text
from residuum.apps.cli.loading import open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "replay", run, "run a finding again and compare every number",
        details="Exit code 1 where a number is not reproduced or the file was changed.",
    )  # fmt: skip
    parser.add_argument("file", metavar="FILE", help="finding.json, or its folder")
    parser.add_argument("--model", metavar="MODEL", help="use this model, whatever weights it has")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Replay and report."""
    from residuum.findings import Finding, replay

    if arguments.model is None:
        recorded = Finding.load(arguments.file, verify=False)
        arguments.model = recorded.provenance.model_id
        model = None if not (arguments.dtype or arguments.device) else open_model(arguments)
    else:
        model = open_model(arguments)
    result = replay(
        arguments.file, model, check=False, progress=progress_for(arguments, lines=True)
    )
    if arguments.json:
        put_json(result.to_json())
    else:
        put_text(f"{result.found.status.upper()}: {result.found.claim}")
        print()
        put_text(
            f"{result.numbers} numbers compared, {len(result.differences)} values differ by more "
            f"than {result.absolute:g} + {result.relative:g} × the recorded number; the largest "
            f"difference is {100 * result.worst:.2g} % of that."
        )
        if result.differences:
            print()
            put_table(_differences(result.differences))
    result.check()
    return 0


def _differences(differences):
    from residuum.figures import Table

    rows = [
        [each.where, str(each.recorded)[:40], str(each.found)[:40]] for each in differences[:12]
    ]
    more = len(differences) - len(rows)
    return Table(
        ["value", "recorded", "found now"], rows, title="Not reproduced",
        caption=f"{more} more." if more else "",
    )  # fmt: skip
