"""The method that found a circuit, to be run again."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.circuit_find import METHODS, method_named
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.circuits import Circuit, Discovery

_CLASSES = (
    "EAP",
    "EAPIG",
    "AtPStar",
    "ExactEdges",
    "ACDC",
    "PathSearch",
    "LearnedMask",
    "JointMask",
    "InformationFlow",
)


def add_method(parser: argparse.ArgumentParser) -> None:
    """Which method is run again, and with which seeds."""
    parser.add_argument(
        "--method", choices=tuple(METHODS), help="run again (default: the one that found it)"
    )
    parser.add_argument(
        "--seeds", metavar="LIST", help="1,2,3: find it again with these, for a method that draws"
    )


def method_of(arguments: argparse.Namespace, circuit: Circuit) -> Discovery:
    """The method that was named, with its usual options; else the circuit's own with its own.

    Raises:
        OptionError: the circuit's file does not tell one that can be run again.
    """
    if arguments.method is not None:
        size = {"edges": circuit.n_edges, "share": None, "steps": None, "threshold": None}
        return method_named(argparse.Namespace(**vars(arguments) | size))
    record = {} if circuit.scores is None else circuit.scores.method
    if record.get("name") not in _CLASSES:
        told = f"is {record['name']}" if record.get("name") else "is not told"
        raise OptionError(
            f"the method that found the circuit {told}: it cannot be run again",
            mend=f"give --method: {', '.join(METHODS)}",
        )
    return _made(record)


def _made(record: Mapping[str, Any]) -> Discovery:
    from dataclasses import fields

    from residuum import circuits as room

    kind = getattr(room, record["name"])
    options = {each.name: record[each.name] for each in fields(kind) if each.name in record}
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})


def seeds_of(arguments: argparse.Namespace) -> tuple[int, ...]:
    """Seeds from a list by commas.

    Raises:
        OptionError: it is none.
    """
    if not arguments.seeds:
        return ()
    try:
        return tuple(int(each) for each in arguments.seeds.split(","))
    except ValueError as error:
        raise OptionError(
            f"--seeds {arguments.seeds!r} is no list of whole numbers",
            mend="give for example 1,2,3",
        ) from error
