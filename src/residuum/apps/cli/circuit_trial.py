"""``residuum circuit trial``: what a circuit claims, test by test; exit code 1 if it fails."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING

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
from residuum.apps.cli.parser import Commands, add_command, counted
from residuum.apps.cli.sweep_view import short
from residuum.core import CheckFailed

if TYPE_CHECKING:
    from residuum.circuits import Circuit, Trial
    from residuum.figures import Table
    from residuum.runs import Task

TESTS = ("equivalence", "independence", "minimality", "sufficiency", "necessity")
_SAID = {True: "holds", False: "FAILS", None: "not testable"}
_DETAILS = """Tests whether the circuit alone is as good as the model within a margin, whether the
rest knows nothing of the answer, whether its edges matter, and whether keeping or removing it does
more than random connected circuits of its size. Exit code 1 if it does not pass. On the prompts
that it was found on it is refused; --same-prompts tries it, and says so.

example:
  residuum circuit trial microworld ioi.json --task ioi --reference counterfactual"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(
        verbs, "trial", run, "put a circuit on trial, against random ones", details=_DETAILS
    )
    add_circuit(parser)
    add_pairs(parser, "second")
    parser.add_argument(
        "--reference", action="append", choices=REFERENCES,
        help="what edges outside carry; may be given several times (default: counterfactual, mean)",
    )  # fmt: skip
    parser.add_argument(
        "--margin", type=float, default=0.1,
        help="share of full - empty that counts as a difference (default: 0.1)",
    )  # fmt: skip
    parser.add_argument("--alpha", type=float, default=0.05, help="error rate (default: 0.05)")
    parser.add_argument(
        "--random", type=counted, metavar="N", help="random circuits (default: as many as needed)"
    )
    parser.add_argument(
        "--require", action="append", choices=TESTS,
        help="a test that must hold; may be given several times (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--outside", action="store_true", help="random circuits share no edge with it"
    )
    parser.add_argument(
        "--unit", choices=("pair", "template"), default="pair",
        help="what counts as independent (default: pair)",
    )  # fmt: skip
    parser.add_argument("--same-prompts", action="store_true", help="though it was found on them")
    add_out(parser, RESULTS)


def run(arguments: argparse.Namespace) -> int:
    """Try and show.

    Raises:
        CheckFailed: it does not pass.
    """
    check_out(arguments)
    model, circuit = open_circuit(arguments)
    task, other = open_pairs(arguments, model)
    from residuum.circuits import trial

    found = trial(
        circuit, model, task, margin=arguments.margin, alpha=arguments.alpha,
        n_random=arguments.random, references=arguments.reference or ("counterfactual", "mean"),
        required=arguments.require or TESTS, outside=arguments.outside, unit=arguments.unit,
        metric=arguments.metric, found_on=_found_on(circuit, task, other),
        same_prompts=arguments.same_prompts, seed=arguments.seed,
        max_memory=arguments.max_memory, progress=progress_for(arguments),
    )  # fmt: skip
    written(arguments, found)
    if arguments.json:
        put_json(found.to_json())
    else:
        put_text(f"{headline(model)}\n{half_line(arguments, task)}")
        print()
        _show(found)
        told_written(arguments)
    if not found.verdict.startswith("passes"):
        failed = [f"{v.test} ({v.reference})" for v in found.verdicts
                  if v.test in found.required and not v.holds]  # fmt: skip
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        raise CheckFailed(
            f"the circuit {_verb(found.verdict)}: {', '.join(failed[:3])}{more}",
            mend="find another or a larger one, or claim less: --require names what it must hold",
        )
    return 0


def _found_on(circuit: Circuit, task: Task, other: Task | None) -> Task | None:
    """The pairs that it was found on, where the other half is these."""
    if other is not None and circuit.task_hash == other.task_hash:
        return other
    return None


def _verb(verdict: str) -> str:
    return "fails the trial" if verdict == "fails" else f"does not pass the trial, it is {verdict}"


def _show(found: Trial) -> None:
    put_table(_table(found))
    print()
    for each in found.verdicts:
        if not each.holds:
            put_text(textwrap.indent(f"{each.test} ({each.reference}): {each.why}", "  "))
    put_text(f"Verdict: {found.verdict.upper()}. {found.held_out_why.capitalize()}.")
    put_text(f"Rule: {found.rule}.")
    for warning in found.warnings:
        put_text(f"note: {warning}")


def _table(found: Trial) -> Table:
    from residuum.figures import Column, Table

    rows = [
        [each.test, each.reference, f"{each.statistic:.3g} {each.unit}".strip(),
         short(each.p_adjusted), _SAID[each.holds]]
        for each in found.verdicts
    ]  # fmt: skip
    return fitted(
        Table(
            [Column("test"), Column("reference"), Column("found", align="right"),
             Column("p", align="right"), Column("")],
            rows,
            title=f"{found.n_edges:,} of {found.graph_edges:,} edges on {found.task}, "
            f"{found.n_pairs} pairs, {found.n_random} random circuits",
            caption="p: of all tests but independence after Holm. Independence holds where p is "
            "large and a leak would have been seen.",
        )
    )  # fmt: skip
