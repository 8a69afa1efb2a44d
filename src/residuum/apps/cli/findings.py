"""``residuum findings``: findings in a folder, searched, compared, held against each other."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import put_facts, put_json, put_table, put_text
from residuum.apps.cli.parser import Commands, add_command, command_group
from residuum.core import CheckFailed

if TYPE_CHECKING:
    from residuum.findings import Finding, Registry

_ASKED = ("model", "task", "status", "component", "text")
_DETAILS = (
    "A registry is a folder of findings, each under the hash of its content. The index beside them "
    "is rebuilt from the files whenever it does not fit; a file that was changed after it was "
    "written is said and left out."
)


def add(commands: Commands) -> None:
    """Declare the command and its verbs."""
    _, verbs = command_group(
        commands, "findings", "a folder of findings: add, list, show, compare, contradictions",
        details=_DETAILS,
    )  # fmt: skip
    adding = _verb(verbs, "add", put_in, "copy findings into the folder")
    adding.add_argument("files", nargs="+", metavar="FILE", help="finding.json, or its folder")
    listing = _verb(verbs, "list", show_all, "what is there; options narrow it")
    listing.add_argument("--model", default="", help="part of the name, or of the weight hash")
    listing.add_argument("--task", default="", help="name of the task")
    listing.add_argument(
        "--status", default="", metavar="STATUS", help="supported, 'not supported', undecided"
    )
    listing.add_argument("--component", default="", metavar="AT", help="L2.z[H3], or a layer: L2")
    listing.add_argument("--text", default="", help="part of the claim")
    showing = _verb(verbs, "show", show_one, "one finding; --out writes its report")
    showing.add_argument("finding", metavar="HASH", help="the hash or its beginning")
    showing.add_argument("--out", metavar="DIR", help="folder for finding.json and report.html")
    comparing = _verb(verbs, "compare", show_two, "two findings side by side")
    comparing.add_argument("first", metavar="HASH", help="the hash or its beginning")
    comparing.add_argument("second", metavar="HASH", help="the same of another")
    clashing = _verb(verbs, "contradictions", show_clashes, "which findings do not go together")
    clashing.add_argument(
        "--check", action="store_true", help="exit code 1 if there are any, or damaged files"
    )


def _verb(verbs: Commands, name: str, run: Any, about: str) -> Any:
    parser = add_command(verbs, name, run, about)
    parser.add_argument("folder", metavar="DIR", help="the registry")
    return parser


def _opened(arguments: argparse.Namespace) -> Registry:
    from residuum.findings import registry

    return registry(arguments.folder)


def put_in(arguments: argparse.Namespace) -> int:
    """Copy findings into the folder."""
    from residuum.findings import Finding
    from residuum.findings.registry.registry import entry_table

    kept = _opened(arguments)
    findings = [Finding.load(file) for file in arguments.files]
    kept.add(*findings)
    added = [finding.hash for finding in findings]
    if arguments.json:
        put_json({"added": added, "findings": len(kept)})
        return 0
    entries = tuple(each for each in kept.entries if each.hash in added)
    put_table(entry_table(entries, title="Added"))
    put_text(f"{arguments.folder} holds {len(kept)} now.")
    return 0


def show_all(arguments: argparse.Namespace) -> int:
    """The findings that fit what is asked."""
    from residuum.findings.record.plain import to_plain
    from residuum.findings.registry.registry import entry_table

    kept = _opened(arguments)
    found = kept.search(**{name: getattr(arguments, name) for name in _ASKED})
    damaged = kept.damaged
    if arguments.json:
        put_json({"findings": to_plain(found), "damaged": to_plain(damaged)})
        return 0
    put_table(entry_table(found))
    _tell_damaged(damaged)
    return 0


def _tell_damaged(damaged: Any) -> None:
    if damaged:
        print()
        put_text("Left out:")
    for each in damaged:
        put_text(f"  {each.name}: {each.why}")


def show_one(arguments: argparse.Namespace) -> int:
    """One finding: the claim, the rules, and where it comes from."""
    finding = _opened(arguments).get(arguments.finding)
    written = finding.save(arguments.out) if arguments.out else None
    if arguments.json:
        put_json(finding.to_json())
        return 0
    put_text(f"{finding.status.upper()}: {finding.claim}")
    if finding.claim_built:
        print()
        put_text("This claim was worded by hand. The status belongs to the one that was built:")
        put_text(finding.claim_built)
    print()
    put_table(_rules(finding))
    print()
    put_text(finding.falsifier)
    print()
    made = finding.provenance
    facts = [
        ("finding", finding.hash),
        ("model", f"{made.model_id}, weights {made.weight_hash[:12]}"),
        ("task", f"{finding.task['name']}, pairs {made.task_hash[:12]}"),
        ("seed", str(made.seed)),
    ]
    if finding.transfer is not None:
        origin = finding.transfer.origin
        facts.append(("tried", f"finding {origin.hash[:12]} about {origin.model}"))
    if written is not None:
        facts.append(("report", str(written.with_name("report.html"))))
    put_facts(facts)
    return 0


def _rules(finding: Finding) -> Any:
    from residuum.figures import Table

    rows = [
        [rule.outcome, rule.name, "yes" if rule.decides else "", rule.found]
        for rule in finding.rules
    ]
    return Table(["outcome", "rule", "decides", "found"], rows, title="How the status was decided")


def show_two(arguments: argparse.Namespace) -> int:
    """Two findings side by side."""
    result = _opened(arguments).compare(arguments.first, arguments.second)
    if arguments.json:
        put_json(result.to_json())
    else:
        put_table(result.figure())
    return 0


def show_clashes(arguments: argparse.Namespace) -> int:
    """What does not go together; with ``--check`` the exit code says so."""
    from residuum.findings.record.plain import to_plain

    kept = _opened(arguments)
    found, damaged = kept.contradictions(), kept.damaged
    if arguments.json:
        put_json({**found.to_json(), "damaged": to_plain(damaged)})
    elif found.found:
        put_table(found.figure())
    else:
        put_text(f"No two of {found.among} findings contradict each other.")
        for each in found.other_parts:
            put_text(f"Other parts: {each.first[:8]} and {each.second[:8]} ({each.why}).")
    if not arguments.json:
        _tell_damaged(damaged)
    if arguments.check and (found.found or damaged):
        raise CheckFailed(
            f"{len(found)} contradictions and {len(damaged)} damaged files",
            mend="compare the findings, and take out those that are wrong",
            where=arguments.folder,
        )
    return 0
