"""``residuum circuit evaluate``: faithfulness, completeness, minimality, and their spread."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

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
    from residuum.circuits import CircuitScores
    from residuum.figures import Table

_DETAILS = """Asks, under several references, what the circuit alone does of the behaviour
(faithful: 1 as the model, 0 as without it), and what the rest alone leaves undone (complete). One
number is never given alone: the spread over the choices stands above the table.

example:
  residuum circuit evaluate microworld ioi.json --task ioi --out scores.svg"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(
        verbs, "evaluate", run, "is it faithful, complete, minimal?", details=_DETAILS
    )
    add_circuit(parser)
    add_pairs(parser, "second")
    parser.add_argument(
        "--reference", action="append", choices=REFERENCES,
        help="what edges outside carry; may be given several times (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--sizes", metavar="SHARES", help="0.01,0.1,1: circuits of these sizes, too, or none"
    )
    parser.add_argument(
        "--minimality", choices=("nodes", "edges"), default="nodes",
        help="what is taken out one at a time (default: nodes)",
    )  # fmt: skip
    parser.add_argument(
        "--subsets", type=int, default=10, help="random sets for completeness (default: 10)"
    )
    add_out(parser, RESULTS)


def run(arguments: argparse.Namespace) -> int:
    """Judge and show."""
    check_out(arguments)
    sizes = _sizes(arguments.sizes)
    model, circuit = open_circuit(arguments)
    task, _ = open_pairs(arguments, model)
    from residuum.circuits import evaluate

    scores = evaluate(
        circuit, model, task, references=arguments.reference, sizes=sizes,
        minimality=arguments.minimality, subsets=arguments.subsets, metric=arguments.metric,
        seed=arguments.seed, max_memory=arguments.max_memory, progress=progress_for(arguments),
    )  # fmt: skip
    written(arguments, scores)
    if arguments.json:
        put_json(scores.to_json())
        return 0
    put_text(f"{headline(model)}\n{half_line(arguments, task)}")
    print()
    _show(scores)
    told_written(arguments)
    return 0


def _sizes(text: str | None) -> Any:
    """Shares from a list by commas; none for ``none``; None where nothing was said."""
    if text is None:
        return None
    if text == "none":
        return ()
    try:
        return tuple(float(each) for each in text.split(","))
    except ValueError as error:
        raise OptionError(
            f"--sizes {text!r} is no list of shares", mend="give for example 0.02,0.1,1, or none"
        ) from error


def _show(scores: CircuitScores) -> None:
    low, high = scores.spread
    put_text(
        f"Faithfulness {low:.2f} to {high:.2f} over {len(scores.by_reference)} references and 2 "
        "ways to average."
    )
    print()
    put_table(_table(scores))
    if scores.sizes:
        print()
        put_table(_areas(scores))
    for warning in scores.warnings:
        put_text(f"note: {warning}")
    if scores.held_out is not False:
        put_text(f"{scores.held_out_why.capitalize()}.")
    put_text(
        "Does not show: that it beats a random circuit or a rival (residuum circuit trial), nor "
        "anything on other prompts."
    )


def _table(scores: CircuitScores) -> Table:
    from residuum.figures import Column, Table

    rows = []
    for name, each in scores.by_reference.items():
        faithful, complete = each.faithfulness(), each.completeness()
        other = each.faithfulness("mean of ratios")
        idle = sum(1 for loss in each.minimality if not (loss.low > 0 or loss.high < 0))
        rows.append(
            [name, faithful.value, _ends(faithful), other.value, complete.value, _ends(complete),
             f"{idle} of {len(each.minimality)}"]
        )  # fmt: skip
    columns = [
        Column("reference"),
        Column("faithful", digits=2),
        Column("95 %", align="right"),
        Column("by pair", digits=2),
        Column("complete", digits=2),
        Column("95 %", align="right"),
        Column("idle", align="right"),
    ]
    circuit = scores.circuit
    return fitted(
        Table(
            columns,
            rows,
            title=f"{circuit.n_edges:,} of {circuit.graph.n_edges:,} edges, {scores.metric}, "
            f"{scores.examples} pairs",
            caption="Shares of the way from no edge kept (0) to the whole model (1); --out "
            "FILE.csv has every interval. By pair: the mean of each pair's own ratio. Idle: groups "
            "whose removal is not told from zero.",
        ),
        yields=(5, 3),
    )


def _areas(scores: CircuitScores) -> Table:
    from residuum.figures import Column, Table

    rows = [
        [name, *(getattr(each, area)(by).value for by in ("signed", "absolute")
                 for area in ("cpr", "cmd"))]
        for name, each in scores.by_reference.items()
    ]  # fmt: skip
    heads = [f"{area} {by}" for by in ("signed", "absolute") for area in ("CPR", "CMD")]
    return fitted(
        Table(
            [Column("reference"), *(Column(head, digits=2) for head in heads)],
            rows,
            title=f"Over {len(scores.sizes)} sizes, {scores.how}, by signed or absolute score",
            caption="CPR: area under faithfulness (more also where what works against the answer "
            "is left out). CMD: area between it and 1. Both from no edges, where faithfulness is "
            "0, to all.",
        )
    )


def _ends(found: Any) -> str | None:
    from residuum.apps.cli.sweep_view import ends

    return ends((found.low, found.high), 2)
