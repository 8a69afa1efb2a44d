"""``residuum doctor``: what a model was proven to be, site by site."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import put_facts, put_json, put_table, put_text
from residuum.apps.cli.loading import bos_line, headline, open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading
from residuum.core import CheckFailed

if TYPE_CHECKING:
    from residuum.figures import Table
    from residuum.runs import Check, Model, Report

_DETAILS = (
    "Runs random tokens through the model and checks every site: sums add up, attention rows "
    "sum to 1, a random change of the site reaches the logits, each layer can be rebuilt from "
    "its parts. Sites that fail are refused by name. Exit code 1 if anything fails."
)


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "doctor", run, "check that every site of a model is what it says",
        details=_DETAILS,
    )  # fmt: skip
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument("--thorough", action="store_true", help="perturb every layer's sites")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check and show."""
    from residuum.runs import self_check

    model = open_model(arguments, check=not arguments.thorough)
    report = self_check(model.adapted, thorough=True) if arguments.thorough else model.report
    assert report is not None
    missing = _missing(report)
    if arguments.json:
        put_json(_record(model, report, missing))
    else:
        _show(model, report, missing)
    failed = [check.name for check in report.checks if not check.passed]
    if failed:
        raise CheckFailed(
            f"{len(failed)} of {len(report.checks)} checks failed: {failed[0]}"
            + (", …" if len(failed) > 1 else ""),
            mend="use the sites that are available; the refused ones raise an error when asked for",
        )
    return 0


def _missing(report: Report) -> list[str]:
    """Sites of the vocabulary that this architecture does not have."""
    from residuum.core import SITES

    refused = {name.split(".")[-1] for name in report.refused}
    return [name for name in SITES if name not in report.sites and name not in refused]


def _record(model: Model, report: Report, missing: list[str]) -> dict[str, Any]:
    return report.to_json() | {
        "sites_not_in_architecture": missing,
        "prepends_bos": model.prepends_bos,
        "bos_token_id": model.bos_token_id,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
    }


def _show(model: Model, report: Report, missing: list[str]) -> None:
    put_text(headline(model))
    if report.guessed:
        put_text("note: this family has no table; its parts were found by their shapes.")
    print()
    put_table(_checks(report.checks))
    print()
    seam = "proven" if report.seam_proven else "not proven: the slower, plain engine is used"
    facts = [("sites available", ", ".join(report.sites))]
    if missing:
        facts.append(("not in this model", ", ".join(missing)))
    facts += [(f"refused: {site}", reason) for site, reason in report.refused.items()]
    facts += [("layer seam", seam), ("tokens", bos_line(model))]
    put_facts(facts)


def _checks(checks: tuple[Check, ...]) -> Table:
    from residuum.figures import Column, Table

    rows = [
        ["ok" if check.passed else "FAILED", check.name, f"{check.gap:.1e}",
         f"{'>' if _is_perturbation(check) else '≤'} {check.bound:.0e}", check.note]
        for check in checks
    ]  # fmt: skip
    noted = any(check.note for check in checks)
    columns = [
        "",
        "check",
        Column("found", align="right"),
        Column("must be", align="right"),
        "note",
    ]
    return Table(
        columns if noted else columns[:-1],
        rows if noted else [row[:-1] for row in rows],
        caption="Found: for sums, the largest gap relative to the largest term; for changes, how "
        "far the logits move relative to their size.",
    )


def _is_perturbation(check: Check) -> bool:
    return check.name.startswith("changing ")
