"""``residuum circuit stability``: would it be found again, on other prompts or by chance?"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from residuum.apps.cli.circuit_again import add_method, method_of, seeds_of
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
    from residuum.circuits import Circuit, CircuitStability
    from residuum.figures import Table
    from residuum.runs import Model, Task

_SAID = {True: "reached", False: "missed", None: "not asked: it takes more samples"}
_DETAILS = """Draws the pairs that the circuit was found on again, with replacement, finds it on
each sample, and compares the circuits found: Jaccard's index of edges and of nodes, beside random
circuits of the size. Scores of each pair are drawn again where the method has them, at the price
of one discovery; --each makes a discovery of every sample.

example:
  residuum circuit stability microworld ioi.json --task ioi --out stability.svg"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(verbs, "stability", run, "would it be found again?", details=_DETAILS)
    add_circuit(parser)
    add_pairs(parser, "first")
    parser.add_argument(
        "--samples", type=counted, default=100, metavar="N", help="of the pairs (default: 100)"
    )
    parser.add_argument(
        "--unit", choices=("pair", "template"), default="pair", help="drawn (default: pair)"
    )
    parser.add_argument("--each", action="store_true", help="a discovery on every sample")
    add_method(parser)
    add_out(parser, RESULTS)


def run(arguments: argparse.Namespace) -> int:
    """Find again and show."""
    check_out(arguments)
    seeds = seeds_of(arguments)
    model, circuit = open_circuit(arguments)
    task, _ = open_pairs(arguments, model)
    from residuum.circuits import circuit_stability

    method = method_of(arguments, circuit)
    again = None if arguments.each or seeds else _with_pairs(circuit, model, task, arguments)
    found = circuit_stability(
        again or circuit, model, task, method=None if again else method,
        n_boot=arguments.samples, seeds=seeds, unit=arguments.unit, seed=arguments.seed,
        max_memory=arguments.max_memory, progress=progress_for(arguments),
    )  # fmt: skip
    written(arguments, found)
    if arguments.json:
        put_json(found.to_json())
        return 0
    put_text(f"{headline(model)}\n{half_line(arguments, task)}")
    print()
    _show(found)
    told_written(arguments)
    return 0


def _with_pairs(
    circuit: Circuit, model: Model, task: Task, arguments: argparse.Namespace
) -> Circuit | None:
    """The circuit with scores of each pair, which a file does not hold; None where there are none.

    It is found once more, with the same method; other edges than the file's are none of its own.
    """
    from dataclasses import replace

    from residuum.circuits.controls.stability import check_found_on, found_again

    check_found_on(circuit, task)
    if circuit.selection.get("by") not in ("signed", "absolute"):
        return None
    method = method_of(arguments, circuit)
    own = circuit.provenance.seed or 0
    found = found_again(circuit, model, task, method, own, arguments.max_memory)
    if found.scores is None or found.scores.examples is None:
        return None
    return replace(circuit, scores=found.scores)


def _show(found: CircuitStability) -> None:
    put_table(_table(found))
    put_text(f"The bar is {_SAID[found.stable]}.")
    put_text("Does not show: that these edges carry the behaviour.")


def _table(found: CircuitStability) -> Table:
    from residuum.apps.cli.sweep_view import ends
    from residuum.circuits.controls.stability_result import BAR, BAR_SAMPLES
    from residuum.figures import Column, Table

    rows = [
        [name, each.n, each.edges.mean, ends((each.edges.low, each.edges.high), 2),
         each.nodes.mean, each.edges_to_circuit.mean]
        for name, each in found.groups.items()
    ]  # fmt: skip
    return fitted(
        Table(
            [Column("found again"), Column("circuits", digits=0), Column("edges", digits=2),
             Column("95 %", align="right"), Column("nodes", digits=2),
             Column("edges to it", digits=2)],
            rows,
            title=f"{found.circuit.n_edges:,} edges on {found.task}: Jaccard's index",
            caption=f"Means over all pairs of circuits, with what holds 95 % of them; {found.how}, "
            f"drawn by {found.unit}. The bar: edges above {BAR:g} over {BAR_SAMPLES} samples or "
            "more. Edges to it: of each with the circuit itself.",
        ),
        yields=(5, 3),
    )  # fmt: skip
