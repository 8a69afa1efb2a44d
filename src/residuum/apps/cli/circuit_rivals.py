"""``residuum circuit rivals``: do other circuits do as well and share little with this one?"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from residuum.apps.cli.circuit_again import add_method, method_of, seeds_of
from residuum.apps.cli.circuit_find import REFERENCES
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
from residuum.apps.cli.parser import Commands, add_command
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.circuits import RivalCircuits
    from residuum.figures import Table

_DETAILS = """Chooses edges again from the circuit's scores, those of the circuit made small; with
--seeds the method is run again, on the half that the circuit was found on. A rival is at most
--tolerance less faithful and shares at most --shared of the edges. None found is no proof: the
search is narrow.

example:
  residuum circuit rivals microworld ioi.json --task ioi --reference mean"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(verbs, "rivals", run, "do other circuits do as well?", details=_DETAILS)
    add_circuit(parser)
    add_pairs(parser, "second")
    parser.add_argument(
        "--reference", action="append", choices=REFERENCES, default=[],
        help="what edges outside carry; several times for several (default: the circuit's own)",
    )  # fmt: skip
    parser.add_argument(
        "--tolerance", type=float, default=0.1, metavar="SHARE",
        help="that a rival is less faithful at most (default: 0.1)",
    )  # fmt: skip
    parser.add_argument(
        "--shared", type=float, default=0.5, metavar="SHARE",
        help="of edges that a rival has in common at most, Jaccard's index (default: 0.5)",
    )  # fmt: skip
    add_method(parser)
    add_out(parser, RESULTS)


def run(arguments: argparse.Namespace) -> int:
    """Search and show."""
    check_out(arguments)
    seeds = seeds_of(arguments)
    if arguments.method is not None and not seeds:
        raise OptionError(
            "--method would do nothing without --seeds", mend="give --seeds 1,2,3, or leave it out"
        )
    model, circuit = open_circuit(arguments)
    task, other = open_pairs(arguments, model)
    from residuum.circuits import rival_circuits

    found = rival_circuits(
        circuit, model, task, method=method_of(arguments, circuit) if seeds else None, seeds=seeds,
        found_on=other, references=arguments.reference, tolerance=arguments.tolerance,
        shared=arguments.shared, seed=arguments.seed, max_memory=arguments.max_memory,
        progress=progress_for(arguments),
    )  # fmt: skip
    written(arguments, found)
    if arguments.json:
        put_json(found.to_json())
        return 0
    put_text(f"{headline(model)}\n{half_line(arguments, task)}")
    print()
    put_table(_table(found))
    for warning in found.warnings:
        put_text(f"note: {warning}")
    put_text("Does not show: that no other circuit does as well.")
    told_written(arguments)
    return 0


def _table(found: RivalCircuits) -> Table:
    from residuum.apps.cli.sweep_view import ends
    from residuum.figures import Column, Table

    rivals = found.rivals
    own = [("the circuit", 1.0, 1.0, found.faithfulness, "")]
    others = [
        (each.origin, each.edges, each.nodes, each.faithfulness, "rival" if each in rivals else "")
        for each in found.candidates
    ]
    rows = [
        [origin, edges, nodes, kind, value.value, ends((value.low, value.high), 2), said]
        for origin, edges, nodes, faithful, said in own + others
        for kind, value in faithful.items()
    ]
    return fitted(
        Table(
            [Column("candidate"), Column("edges", digits=2), Column("nodes", digits=2),
             Column("reference"), Column("faithful", digits=2), Column("95 %", align="right"),
             Column("")],
            rows,
            title=f"{len(rivals)} rivals among {len(found.candidates)} candidates of "
            f"{found.circuit.n_edges:,} edges, {found.examples} pairs",
            caption="Edges, nodes: what it shares with the circuit, Jaccard's index. A rival is at "
            f"most {found.tolerance:g} less faithful and shares at most {found.shared:g} of the "
            "edges.",
        ),
        yields=(2, 5),
    )  # fmt: skip
