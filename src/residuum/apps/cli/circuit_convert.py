"""``residuum circuit convert``: a circuit in another format."""

from __future__ import annotations

import argparse

from residuum.apps.cli.circuit_options import CIRCUITS, is_mib
from residuum.apps.cli.console import put_json
from residuum.apps.cli.lens import check_suffix
from residuum.apps.cli.loading import open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading
from residuum.core import OptionError

_DETAILS = """By the suffixes of the two files: .json (this tool's own), .mib.json (the MIB
benchmark's layout), .graphml; and, to be looked at, .csv, .html, .svg, .png. The MIB layout says
nothing of weights, so reading it takes --model.

examples:
  residuum circuit convert ioi.json ioi.mib.json
  residuum circuit convert theirs.mib.json ours.json --model microworld"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(
        verbs, "convert", run, "write a circuit in another format", details=_DETAILS
    )
    parser.add_argument("circuit", metavar="CIRCUIT", help=".json, .mib.json or .graphml")
    parser.add_argument("out", metavar="FILE", help=f"ends in {', '.join(CIRCUITS)}")
    parser.add_argument("--model", metavar="MODEL", help="that the circuit is of: checked")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read and write."""
    check_suffix(arguments.out, CIRCUITS)
    from residuum.circuits import load_circuit

    if is_mib(arguments.circuit) and not arguments.model:
        raise OptionError(
            "the MIB layout does not say of which model it is", mend="give --model MODEL"
        )
    model = open_model(arguments) if arguments.model else None
    circuit = load_circuit(arguments.circuit, model)
    if is_mib(arguments.out) and model is not None:
        from pathlib import Path

        from residuum.circuits.graph.circuit_saving import write_json

        write_json(circuit.to_mib(model.dims.d_model), Path(arguments.out))
    else:
        circuit.save(arguments.out)
    if arguments.json:
        put_json({"written": arguments.out, "edges": circuit.n_edges, "of": circuit.graph.n_edges})
        return 0
    print(f"written: {arguments.out} ({circuit.n_edges:,} of {circuit.graph.n_edges:,} edges)")
    return 0
