"""``residuum circuit roles``: what the parts of a circuit do, with the evidence."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from residuum.apps.cli.circuit_options import (
    RESULTS,
    add_circuit,
    add_out,
    add_pairs,
    check_out,
    half_line,
    open_circuit,
    open_pairs,
    told_written,
    written,
)
from residuum.apps.cli.circuit_view import fitted
from residuum.apps.cli.console import progress_for, put_json, put_table, put_text
from residuum.apps.cli.loading import headline
from residuum.apps.cli.parser import Commands, add_command, counted

if TYPE_CHECKING:
    from residuum.circuits import PartRole, Roles
    from residuum.figures import Table

_DETAILS = """Measures every edge of the circuit and looks where its heads attend on the task. A
head is named only if an edge out of it counts: a head that attends is not a head that matters.
Others are unknown.

example:
  residuum circuit roles microworld ioi.json --task ioi --evidence"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(verbs, "roles", run, "name what its parts do", details=_DETAILS)
    add_circuit(parser)
    add_pairs(parser, "second")
    parser.add_argument("--evidence", action="store_true", help="also what each name rests on")
    parser.add_argument(
        "--least-attention", type=float, default=0.2, metavar="SHARE",
        help="beyond uniform, that a name needs (default: 0.2)",
    )  # fmt: skip
    parser.add_argument(
        "--least-effect", type=float, default=0.01, metavar="SHARE",
        help="of the largest edge, that an edge needs to count (default: 0.01)",
    )  # fmt: skip
    parser.add_argument(
        "--most", type=counted, default=400, metavar="N", help="edges measured (default: 400)"
    )
    add_out(parser, RESULTS)


def run(arguments: argparse.Namespace) -> int:
    """Name and show."""
    check_out(arguments)
    model, circuit = open_circuit(arguments)
    task, _ = open_pairs(arguments, model)
    from residuum.circuits import name_roles

    roles = name_roles(
        circuit, model, task, least_attention=arguments.least_attention,
        least_effect=arguments.least_effect, most=arguments.most, seed=arguments.seed,
        max_memory=arguments.max_memory, progress=progress_for(arguments),
    )  # fmt: skip
    written(arguments, roles)
    if arguments.json:
        put_json(roles.to_json())
        return 0
    put_text(f"{headline(model)}\n{half_line(arguments, task)}")
    print()
    _show(roles, evidence=arguments.evidence)
    told_written(arguments)
    return 0


def _show(roles: Roles, *, evidence: bool) -> None:
    named = [each for each in roles if each.known]
    if named:
        put_table(_table(roles, named))
    others = [_short(each) for each in roles if not each.known]
    if others:
        put_text(f"Unknown: {', '.join(others)}.")
    if evidence:
        print()
        for each in roles:
            put_text(_short(each))
            for line in (*each.evidence, *each.against):
                put_text(f"  {line}")
    for warning in roles.warnings:
        put_text(f"note: {warning}")
    put_text(
        "Does not show: that a part does nothing else, or what an unknown one does."
        + ("" if evidence else " --evidence lists what each name rests on.")
    )


def _table(roles: Roles, named: list[PartRole]) -> Table:
    from residuum.figures import Column, Table

    rows = [
        [_short(each), ", ".join(each.names), ", ".join(each.works_at) or None, _looks(each),
         _strongest(each)]
        for each in named
    ]  # fmt: skip
    return fitted(
        Table(
            [Column("part"), Column("role"), Column("at"), Column("attends"),
             Column("strongest edge")],
            rows,
            title=f"{len(named)} of {len(roles)} parts named on {roles.task}",
            caption=f"At: where its strongest edge has its effect. {roles.measured} of "
            f"{roles.n_edges} edges measured on {roles.n_pairs} pairs; effects in {roles.unit}."
            + _legend([str(row[3]) for row in rows]),
        )
    )  # fmt: skip


def _legend(cells: list[str]) -> str:
    """What the kinds of places are that the names do not say."""
    told = {
        "wrong again": "a wrong answer's later occurrence",
        "induction": "what followed the token's earlier occurrences",
        "duplicate": "the token's earlier occurrences",
    }
    found = [f" {name.capitalize()}: {about}." for name, about in told.items()
             if any(name in cell for cell in cells)]  # fmt: skip
    return "".join(found)


def _looks(part: PartRole) -> str | None:
    """The largest share of attention to one kind of place."""
    kinds = [each for each in part.attention if each.holds and each.from_ in part.works_at]
    plain = [each for each in kinds if not each.to.startswith("@")] or kinds
    best = max(plain, key=lambda each: each.share, default=None)
    return None if best is None else f"{best.share:.2f} {best.to}"


def _strongest(part: PartRole) -> str | None:
    strongest = part.strongest
    return None if strongest is None else f"{strongest.value:+.2f} {strongest.receiver}"


def _short(part: PartRole) -> str:
    return part.at.replace(".head_out[", "").replace("]", "").replace(".mlp_out", " MLP")
