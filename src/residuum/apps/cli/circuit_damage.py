"""``residuum circuit damage``: what each task loses when each circuit is removed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from residuum.apps.cli.circuit_find import REFERENCES
from residuum.apps.cli.circuit_options import (
    RESULTS,
    add_out,
    add_pairs,
    check_out,
    half_line,
    is_mib,
    open_pairs,
    told_written,
    written,
)
from residuum.apps.cli.circuit_view import fitted
from residuum.apps.cli.console import progress_for, put_json, put_table, put_text
from residuum.apps.cli.loading import headline, open_model
from residuum.apps.cli.parser import Commands, add_command, counted
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.circuits import Circuit, DamageMatrix
    from residuum.figures import Table
    from residuum.runs import Model, Task

_DETAILS = """Removes each circuit, keeps the rest, and gives the share of each task's own way from
no edge kept to the whole model that is lost: 0 where the task does not need the circuit. A circuit
goes by its task: ioi=FILE, or the file's name without ending. Two circuits dissociate doubly if
each harms its own task, more than the other's, and more than the other circuit does.

example:
  residuum circuit damage microworld ioi.json induction.json --task ioi --task induction"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(verbs, "damage", run, "which tasks need it?", details=_DETAILS)
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument(
        "circuits", nargs="+", metavar="CIRCUIT", help="FILE or TASK=FILE: .json or .graphml"
    )
    add_pairs(parser, "second", several=True)
    parser.add_argument(
        "--reference", choices=REFERENCES, default="mean",
        help="what removed edges carry (default: mean)",
    )  # fmt: skip
    parser.add_argument("--text", metavar="FILE", help="also the loss on these lines of plain text")
    parser.add_argument(
        "--random", type=counted, default=0, metavar="N",
        help="also remove N random connected circuits of each size",
    )  # fmt: skip
    parser.add_argument(
        "--outside", action="store_true", help="random circuits share no edge with it"
    )
    add_out(parser, RESULTS)


def run(arguments: argparse.Namespace) -> int:
    """Remove and show."""
    check_out(arguments)
    if arguments.outside and not arguments.random:
        raise OptionError(
            "--outside would do nothing without --random", mend="give --random N, or leave it out"
        )
    circuits = _circuits(arguments.circuits)
    texts = _lines(arguments.text)
    model = open_model(arguments)
    tasks = _tasks(arguments, model)
    from residuum.circuits import damage_matrix

    found = damage_matrix(
        circuits, model, tasks, reference=arguments.reference, text=texts,
        n_random=arguments.random, outside=arguments.outside, seed=arguments.seed,
        max_memory=arguments.max_memory, progress=progress_for(arguments),
    )  # fmt: skip
    written(arguments, found)
    if arguments.json:
        put_json(found.to_json())
        return 0
    put_text("\n".join([headline(model), *(half_line(arguments, each) for each in tasks.values())]))
    print()
    _show(found)
    told_written(arguments)
    return 0


def _circuits(given: list[str]) -> dict[str, Circuit]:
    """Circuits by the names of their tasks.

    Raises:
        OptionError: two of one name, or a file in the MIB layout.
    """
    from residuum.circuits import load_circuit

    found: dict[str, Circuit] = {}
    for each in given:
        name, _, path = each.rpartition("=")
        if is_mib(path):
            raise OptionError(
                "the MIB layout does not say of which model it is",
                mend=f"residuum circuit convert {path} FILE.json --model MODEL",
            )
        name = name or Path(path).name.split(".")[0]
        if name in found:
            raise OptionError(f"two circuits named {name!r}", mend="give TASK=FILE for each")
        found[name] = load_circuit(path)
    return found


def _tasks(arguments: argparse.Namespace, model: Model) -> dict[str, Task]:
    """Every task's half, by the name under which it was asked for; of a file, by the file's."""
    found: dict[str, Task] = {}
    for each in arguments.task:
        own = argparse.Namespace(**vars(arguments) | {"task": each})
        name = Path(each).stem if Path(each).suffix else each
        found[name], _ = open_pairs(own, model)
    return found


def _lines(path: str | None) -> list[str] | None:
    if path is None:
        return None
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise OptionError(
            f"--text {path} cannot be read: {error}", mend="give a text file, a text on each line"
        ) from error
    return [line for line in lines if line.strip()]


def _show(found: DamageMatrix) -> None:
    put_table(_table(found))
    for each in found.dissociations:
        said = "dissociate doubly" if each.holds else "do not dissociate doubly"
        idle = f" ({' and '.join(each.harmless)}: no harm for sure)" if each.harmless else ""
        put_text(f"{each.first} and {each.second} {said}{idle}.")
    for warning in found.warnings:
        put_text(f"note: {warning}")
    put_text("Does not show: tasks that are not here.")


def _table(found: DamageMatrix) -> Table:
    from residuum.apps.cli.sweep_view import ends
    from residuum.figures import Column, Table

    random = {(each.circuit, each.task): each for each in found.random}
    rows = []
    for each in found.cells:
        beside = random.get((each.circuit, each.task))
        rows.append(
            [each.circuit, each.task, each.damage.value,
             ends((each.damage.low, each.damage.high), 2), f"{each.lost.value:.3g} {each.unit}",
             *([beside.median, beside.largest] if beside else [])]
        )  # fmt: skip
    heads = [Column("without"), Column("on"), Column("damage", digits=2),
             Column("95 %", align="right"), Column("lost", align="right")]  # fmt: skip
    if random:
        heads += [Column("random", digits=2), Column("worst", digits=2)]
    where = "outside it" if found.outside else "of the whole graph"
    return fitted(
        Table(
            heads,
            rows,
            title=f"Damage, removed edges at {found.reference}",
            caption="Share of the way from no edge kept (0) to the whole model (1) that is lost."
            + f" Random, worst: median and largest of random circuits of its size, {where}."
            * bool(random),
        ),
        yields=(4, 3),
    )
