"""``residuum circuit show``: what is in a circuit's file."""

from __future__ import annotations

import argparse

from residuum.apps.cli.circuit_options import CIRCUITS, check_out, is_mib, told_written, written
from residuum.apps.cli.console import put_facts, put_json
from residuum.apps.cli.parser import Commands, add_command, counted
from residuum.core import OptionError

_DETAILS = """No model is loaded and nothing is run. A file that was edited, or holds no edge, is
refused.

example:
  residuum circuit show ioi.json --top 30 --out ioi.html"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(verbs, "show", run, "what is in a circuit's file", details=_DETAILS)
    parser.add_argument("circuit", metavar="CIRCUIT", help=".json or .graphml")
    parser.add_argument("--top", type=counted, default=15, help="edges listed (default: 15)")
    parser.add_argument(
        "--out", action="append", metavar="FILE", default=[],
        help=f"also write {', '.join(CIRCUITS)}; may be given several times",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Read and show."""
    check_out(arguments, CIRCUITS)
    from residuum.circuits import load_circuit

    if is_mib(arguments.circuit):
        raise OptionError(
            "the MIB layout does not say of which model it is",
            mend=f"residuum circuit convert {arguments.circuit} FILE.json --model MODEL",
        )
    circuit = load_circuit(arguments.circuit)
    written(arguments, circuit)
    if arguments.json:
        put_json(circuit.to_json())
        return 0
    from residuum.apps.cli.circuit_view import show_circuit

    record = circuit.provenance
    put_facts(
        [
            ("model", f"{circuit.model_name or 'not said'} {circuit.weight_hash[:8]}".strip()),
            ("task", circuit.task_hash[:8] or "not said"),
            ("strategy", record.strategy or "not said"),
        ]
    )
    show_circuit(circuit, arguments.top)
    told_written(arguments)
    return 0
