"""``residuum investigate``: from a behaviour to a claim, with a report."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import progress_for, put_facts, put_json, put_table, put_text
from residuum.apps.cli.loading import open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading, add_seed
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.findings import Finding

_DETAILS = (
    "Checks that the behaviour is there, reads every layer with the logit lens, patches the "
    "stream, every head and every MLP between clean and corrupt prompts, compares the "
    "strongest parts with random ones, and decides by stated rules: supported, not supported, "
    "undecided. Further stages: the circuit, who feeds whom, one direction, other tasks and plain "
    "text, other templates and draws, controls. Leaves finding.json and report.html in DIR; an "
    "interrupted investigation goes on where it stopped. With --mechanism nothing is searched "
    "for: what you state is examined by the same rules."
)

_ABSENT = (
    "look at the pairs in the report; give prompts in the form that the model was trained on, "
    "another task, or a model that does this one"
)


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "investigate", run, "find which parts a behaviour rests on; leaves a report",
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
    parser.add_argument(
        "--mechanism",
        nargs="+",
        metavar="PART",
        help="examine these heads and MLPs (L2.z[H3] L3.mlp_out), or what one JSON file holds: a "
        "circuit, a direction, or another finding",
    )
    parser.add_argument(
        "--stages",
        metavar="NAMES",
        help="further stages to run, with commas; 'none' for the core alone (default: all)",
    )
    parser.add_argument(
        "--also", nargs="+", default=[], metavar="MODEL", help="other models, asked the same"
    )
    parser.add_argument("--claim", metavar="TEXT", help="word the claim by hand; it is marked so")
    parser.add_argument("--out", metavar="DIR", help="folder for finding.json and report.html")
    add_seed(parser, "pairs, intervals and random parts")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Investigate or examine, save, and say what was found."""
    from residuum.findings import examine, investigate
    from residuum.runs import load

    stages = _stages(arguments.stages)
    stated = _stated(arguments.mechanism)
    options: dict[str, Any] = {
        "out": arguments.out,
        "progress": progress_for(arguments, lines=True),
        "stages": stages,
    }
    model = open_model(arguments)
    options["also"] = [load(name) for name in arguments.also]
    asked = (arguments.task, arguments.budget, arguments.seed)
    if stated is None:
        finding = investigate(model, *asked, **options)
    else:
        task, *more = asked
        finding = examine(model, task, stated, *more, **options)
    finding = finding.with_claim(arguments.claim) if arguments.claim is not None else finding
    written = finding.save(arguments.out) if arguments.out else None
    if arguments.json:
        put_json(finding.to_json())
    else:
        _tell(finding, written)
    return 0


def _stages(names: str | None) -> tuple[str, ...] | None:
    """The stages asked for; None for all."""
    from residuum.findings.chain.further import chosen_stages

    if names is None:
        return None
    found = () if names == "none" else tuple(name.strip() for name in names.split(","))
    return tuple(each.name for each in chosen_stages(found))


def _stated(parts: list[str] | None) -> Any:
    """What is to be examined: addresses, or what a JSON file holds; None for a search."""
    if parts is None or len(parts) > 1 or not parts[0].endswith(".json"):
        return parts
    from residuum.circuits import Circuit
    from residuum.directions import Direction
    from residuum.findings import Finding

    path = Path(parts[0])
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not JSON, {error}"
        raise OptionError(
            f"cannot read a mechanism from {path}: {reason}",
            mend="give the JSON file of a circuit, a direction or a finding, or addresses",
        ) from error
    known = data if isinstance(data, dict) else {}
    if "finding" in known:
        return Finding.from_json(data)
    if {"graph", "kept"} <= set(known):
        return Circuit.from_json(data)
    if {"at", "vector"} <= set(known):
        return Direction.from_json(data)
    raise OptionError(
        f"{path} holds no circuit, no direction and no finding",
        mend="give a file that one of these was saved to as JSON, or addresses",
    )


def _tell(finding: Finding, written: Path | None) -> None:
    """The finding on the terminal."""
    put_text(f"{finding.status.upper()}: {finding.claim}")
    if finding.where is None:
        put_text(f"    mend: {_ABSENT}")
    print()
    if finding.parts is not None:
        _tell_parts(finding)
    put_table(_rules(finding))
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


def _rules(finding: Finding) -> Any:
    from residuum.figures import Table

    rows = [
        [rule.outcome, rule.name, "yes" if rule.decides else "", rule.found]
        for rule in finding.rules
    ]
    return Table(["outcome", "rule", "decides", "found"], rows, title="How the status was decided")


def _tell_parts(finding: Finding) -> None:
    from residuum.findings.report.head_pictures import (
        control_table,
        head_table,
        removal_table,
        role_table,
    )
    from residuum.findings.report.sentences import control, movers, together

    assert finding.parts is not None
    for table in (head_table, control_table, removal_table):
        put_table(table(finding))
        print()
    main = finding.parts.main
    put_text(f"{together(main, finding.unit)} {control(main, finding.unit)}")
    print()
    if finding.roles is not None and finding.roles.heads:
        put_table(role_table(finding))
        print()
        put_text(movers(finding.roles, finding.unit))
        print()
