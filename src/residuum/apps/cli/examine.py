"""``residuum examine``: a mechanism that the caller states, measured by the same rules."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.circuit_options import is_mib
from residuum.apps.cli.finding_options import (
    add_asked,
    options_of,
    put_finding,
    stages_of,
    task_for,
)
from residuum.apps.cli.loading import open_model
from residuum.apps.cli.parser import Commands, add_command

if TYPE_CHECKING:
    from residuum.runs import Model

_DETAILS = (
    "Searches for nothing: measures what you state (heads and MLPs, a circuit, a direction, or "
    "what another finding names) on the measuring half of the pairs, against random ones of the "
    "same size, and decides by the rules of residuum investigate. Leaves finding.json and "
    "report.html in DIR; an interrupted examination goes on where it stopped."
)


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "examine", run, "does the mechanism that you state carry a behaviour?",
        details=_DETAILS,
    )  # fmt: skip
    stated = parser.add_mutually_exclusive_group(required=True)
    stated.add_argument(
        "--parts", nargs="+", metavar="PART", help="heads and MLPs: L2.z[H3] L3.mlp_out"
    )
    stated.add_argument("--circuit", metavar="FILE", help="a circuit (residuum circuit find --out)")
    stated.add_argument(
        "--direction", metavar="FILE", help="a direction, saved as JSON (residuum steer --out)"
    )
    stated.add_argument("--finding", metavar="FILE", help="what another finding names")
    add_asked(parser)


def run(arguments: argparse.Namespace) -> int:
    """Examine, save, and say what was found."""
    from residuum.findings import examine

    stages = stages_of(arguments)
    stated = _in_file(arguments)
    model = open_model(arguments)
    stated = _of_model(arguments, model) if stated is None else stated
    task = task_for(arguments, model)
    return put_finding(arguments, examine(model, task, stated, **options_of(arguments, stages)))


def _in_file(arguments: argparse.Namespace) -> Any:
    """What can be read before the model is there, so that a bad file is refused at once."""
    from residuum.circuits import load_circuit
    from residuum.directions import Direction
    from residuum.findings import Finding

    if arguments.finding:
        return Finding.load(arguments.finding)
    if arguments.direction:
        return Direction.load(arguments.direction)
    if arguments.circuit and not is_mib(arguments.circuit):
        return load_circuit(arguments.circuit)
    return arguments.parts


def _of_model(arguments: argparse.Namespace, model: Model) -> Any:
    """A circuit in the MIB benchmark's layout, which leaves the model's shape out."""
    from residuum.circuits import load_circuit

    return load_circuit(arguments.circuit, model)
