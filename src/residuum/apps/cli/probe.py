"""``residuum probe``: what a linear reader finds at every layer, with its controls."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from residuum.apps.cli.console import progress_for, put_json, put_table, put_text
from residuum.apps.cli.lens import check_suffix
from residuum.apps.cli.loading import headline, open_model, open_task
from residuum.apps.cli.parser import Commands, add_command, add_loading, add_seed, counted
from residuum.core import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from residuum.directions import Examples, LayerProofs, Probes
    from residuum.directions.probes.method import ProbeMethod
    from residuum.figures import Table
    from residuum.runs import Model, Task

SUFFIXES = (".html", ".svg", ".png", ".json", ".csv")
_METHODS = ("logistic", "mass-mean", "ridge", "sparse")


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "probe", run, "what can be read off every layer, with controls",
        details="Fitted on some templates, chosen on others, reported on yet others; beside it a "
        "control task and shuffled labels. What can be read need not be used.",
    )  # fmt: skip
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument(
        "data", metavar="DATA",
        help="a CSV or JSONL of text,label[,group], or a task's name (clean against corrupt)",
    )  # fmt: skip
    parser.add_argument("--site", default="resid_post", help="site or query (default: resid_post)")
    parser.add_argument("--layers", type=int, nargs="+", help="layers (default: all)")
    parser.add_argument(
        "--positions", type=int, nargs="+",
        help="tokens to read, negative from the last (default: the last)",
    )  # fmt: skip
    parser.add_argument("--method", choices=_METHODS, default="logistic", help="how it is fitted")
    parser.add_argument("--k", type=counted, default=16, help="dimensions of sparse (default: 16)")
    parser.add_argument(
        "--split-by", choices=("group", "example"), default="group",
        help="what is kept on one side (default: group, the templates)",
    )  # fmt: skip
    parser.add_argument("--n", type=counted, default=200, help="pairs of a task (default: 200)")
    parser.add_argument(
        "--causal", action="store_true",
        help="also prove every place's direction on pairs that were not fitted on (tasks only); "
        "the figure then has both",
    )  # fmt: skip
    parser.add_argument("--keep", metavar="DIR", help="folder for the activations; resumes")
    parser.add_argument("--direction", metavar="FILE", help="also write the best place's direction")
    parser.add_argument("--out", metavar="FILE", help=f"also write {', '.join(SUFFIXES)}")
    add_seed(parser, "the split and the controls")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Probe and show; mends name the command's options, not the library's."""
    try:
        return _run(arguments)
    except OptionError as error:
        mend = (error.mend or "").replace('by="example"', "--split-by example")
        mend = mend.replace("give groups= (the template of each)", "give a column group")
        if mend == error.mend:
            raise
        raise OptionError(error.what, mend=mend, where=error.where) from error


def _run(arguments: argparse.Namespace) -> int:
    if arguments.out:
        check_suffix(arguments.out, SUFFIXES)
    if arguments.direction:
        check_suffix(arguments.direction, (".json",))
    if arguments.causal and _is_file(arguments.data):
        raise OptionError("--causal needs contrast pairs", mend="give a task's name, not a file")
    from residuum.directions import probe, prove_layers

    model = open_model(arguments)
    task = None if _is_file(arguments.data) else _task(arguments, model)
    data = _examples(arguments, model, task)
    found = probe(
        model, data, arguments.site, arguments.layers,
        method=_method(arguments), positions=arguments.positions,
        split_by=arguments.split_by, seed=arguments.seed, keep=arguments.keep,
        progress=progress_for(arguments),
    )  # fmt: skip
    proofs = None
    if arguments.causal and task is not None:
        proofs = prove_layers(
            found, model, task, seed=arguments.seed, progress=progress_for(arguments)
        )
    if arguments.out:
        (proofs or found).save(arguments.out)
    if arguments.direction:
        found.direction().save(arguments.direction)
    if arguments.json:
        put_json(found.to_json() | ({"causal": proofs.to_json()} if proofs else {}))
        return 0
    put_text(headline(model))
    print()
    put_table(_table(found))
    print()
    if proofs:
        put_table(_causal_table(proofs))
        print()
    put_text(found.verdict)
    for note in found.skipped:
        put_text(f"left out: {note}")
    for path in filter(None, (arguments.out, arguments.direction)):
        print(f"\nwritten: {path}")
    return 0


def _is_file(data: str) -> bool:
    return data.lower().endswith((".csv", ".jsonl", ".json"))


def _task(arguments: argparse.Namespace, model: Model) -> Task:
    return open_task(arguments.data, model, n=arguments.n, seed=arguments.seed)


def _examples(arguments: argparse.Namespace, model: Model, task: Task | None) -> Examples:
    from residuum.directions import Examples

    if task is None:
        return Examples.from_file(arguments.data, model)
    examples = Examples.from_task(task)
    return examples.unique() if arguments.split_by == "example" else examples


def _method(arguments: argparse.Namespace) -> ProbeMethod | None:
    from residuum.directions import MassMean, Ridge, SparseProbe

    made: dict[str, Callable[[], ProbeMethod]] = {
        "mass-mean": MassMean,
        "ridge": Ridge,
        "sparse": lambda: SparseProbe(arguments.k),
    }
    return None if arguments.method == "logistic" else made[arguments.method]()


def _table(found: Probes) -> Table:
    from residuum.figures import Column, Table

    numbers = ("test", "low", "high", "control", "selectivity", "shuffled", "calibration_error")
    rows = [
        [
            score.at + (" *" if index == found.best_index else ""),
            *(getattr(score, name) for name in numbers),
        ]
        for index, score in enumerate(found.scores)
    ]
    return Table(
        ["place", *(Column(name.replace("_", " ")) for name in numbers)],
        rows,
        title=f"{' / '.join(found.classes)}: accuracy by place (* best on validation)",
        caption=f"{found.method}; majority {found.majority:.3f}; test interval 95 %.",
    )


def _causal_table(proofs: LayerProofs) -> Table:
    from residuum.figures import Column, Table

    rows = [
        [
            row["at"],
            *(row[name] for name in ("accuracy", "effect_frac", "effect_low", "effect_high")),
            row["random_high_frac"],
            row["p_adjusted"],
            {True: "yes", False: "no"}.get(row["causal"], "not decided"),
        ]
        for row in proofs.to_dataframe().to_dict("records")
    ]
    numbers = ("read", "used", "low", "high", "random", "p")
    proof = proofs.proofs[0]
    return Table(
        ["place", *(Column(name, digits=3) for name in numbers), "causal"],
        rows,
        title="read: test accuracy; used: share of the gap that a swap closes",
        caption=f"{proof.n_pairs} pairs of {proof.n_templates} templates not fitted on; random: "
        f"95th percentile of {proof.n_random} random directions; each p is for its place alone.",
    )
