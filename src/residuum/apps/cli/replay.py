"""``residuum replay``: run a finding again and compare every number, or try it elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import progress_for, put_json, put_table, put_text
from residuum.apps.cli.finding_view import tell_written
from residuum.apps.cli.loading import open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.findings import Finding

_DETAILS = (
    "Runs every stage anew and compares all numbers within a stated tolerance. Exit code 1 where a "
    "number is not reproduced or the file was changed after it was written; another model and "
    "other data are refused. With --transfer the finding is tried on another model instead, and "
    "leaves a new finding there that names the first and says: holds, does not hold, or cannot be "
    "said."
)
_ELSEWHERE = ("out", "task", "budget", "same_components")


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "replay", run, "run a finding again, or try it on another model",
        details=_DETAILS,
    )  # fmt: skip
    parser.add_argument("file", metavar="FILE", help="finding.json, or its folder")
    parser.add_argument("--model", metavar="MODEL", help="where the finding's own model is now")
    parser.add_argument("--transfer", metavar="MODEL", help="try the finding on this other model")
    parser.add_argument(
        "--same-components",
        action="store_true",
        help="with --transfer: examine exactly what the finding names, search for nothing",
    )
    parser.add_argument(
        "--task", metavar="TASK", help="with --transfer: pairs for the other model (name or file)"
    )
    parser.add_argument(
        "--budget",
        choices=("quick", "standard", "thorough"),
        help="with --transfer (default: the finding's)",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="with --transfer: folder for the new finding and its report"
    )
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Replay or transfer, and report."""
    if arguments.transfer is not None:
        return _elsewhere(arguments)
    idle = [name for name in _ELSEWHERE if getattr(arguments, name)]
    if idle:
        raise OptionError(
            f"--{idle[0].replace('_', '-')} goes with --transfer",
            mend="give --transfer MODEL to try the finding on another model, or leave it out",
        )
    return _again(arguments)


def _again(arguments: argparse.Namespace) -> int:
    """The same again; the exit code is 1 where it is not the same."""
    from residuum.findings import Finding, replay

    recorded = Finding.load(arguments.file)
    model = None
    if arguments.model or arguments.dtype or arguments.device:
        arguments.model = arguments.model or recorded.provenance.model_id
        model = open_model(arguments)
    progress = progress_for(arguments, lines=True)
    result = replay(arguments.file, model, check=False, progress=progress)
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


def _differences(differences: Any) -> Any:
    from residuum.figures import Table

    rows = [
        [each.where, str(each.recorded)[:40], str(each.found)[:40]] for each in differences[:12]
    ]
    more = len(differences) - len(rows)
    return Table(
        ["value", "recorded", "found now"], rows, title="Not reproduced",
        caption=f"{more} more." if more else "",
    )  # fmt: skip


def _elsewhere(arguments: argparse.Namespace) -> int:
    """A finding on the other model; the exit code says nothing about the verdict."""
    from residuum.findings import Finding, transfer

    if arguments.model:
        raise OptionError(
            "--model is for the finding's own model, --transfer for another one",
            mend="give one of the two",
        )
    first = Finding.load(arguments.file)
    model = open_model(argparse.Namespace(**{**vars(arguments), "model": arguments.transfer}))
    there = transfer(
        first, model, same_components=arguments.same_components, task=arguments.task,
        budget=arguments.budget, out=arguments.out, progress=progress_for(arguments, lines=True),
    )  # fmt: skip
    written = there.save(arguments.out) if arguments.out else None
    if arguments.json:
        put_json(there.to_json())
    else:
        _tell(there, written)
    return 0


def _tell(there: Finding, written: Path | None) -> None:
    """Verdict, the rules behind it, and where the new finding is."""
    from residuum.figures import Table
    from residuum.findings.record.transfer_rules import transfer_words

    assert there.transfer is not None
    words = transfer_words(there.transfer, there.provenance.model_id)
    put_text(f"{there.transfer.verdict.upper()}: {words}")
    print()
    rules = [rule for rule in there.rules if rule.asks == "transfer"]
    rows = [[rule.outcome, rule.name, rule.found] for rule in rules]
    put_table(Table(["outcome", "rule", "found"], rows, title="How that was decided"))
    print()
    put_text(f"Pairs: {there.transfer.pairs}.")
    print()
    own, _, _ = there.claim.partition(" Transfer: ")
    put_text(f"{there.status.upper()} there: {own}")
    tell_written(written)
