"""``residuum patch``: sweeps of patches and ablations, knocking out, and path patching."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import progress_for, put_json, put_text
from residuum.apps.cli.lens import check_suffix
from residuum.apps.cli.loading import headline, open_model, open_task
from residuum.apps.cli.parser import Commands, add_command, add_loading, counted, seeded
from residuum.apps.cli.patch_options import (
    ABLATIONS,
    EDITS,
    METHODS,
    Asked,
    asked_of,
)
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.patching import Knockout, PathTable, Sweep
    from residuum.runs import Model, Task

SUFFIXES = (".html", ".svg", ".png", ".json", ".csv")
_DETAILS = """Writes into one cell of a grid at a time and shows how far the answer moves, towards
clean. What is written, and where, is chosen by --edit:
  denoise   into the corrupt prompts, what the cell holds on the clean ones: is it enough?
  noise     into the clean prompts, what the cell holds on the corrupt ones: is it needed?
  zero, mean, resample
            into the clean prompts, zeros, the mean over all prompts, or what the cell holds
            on another prompt drawn at random: what is lost without it?
With --from or --to, path patching: what one part sends to another, the rest held.

examples:
  residuum patch microworld --task ioi --edit mean --knock-out 5
  residuum patch microworld --task ioi --site mlp_out --by layer --only layer=2,3
  residuum patch microworld --task ioi --from "L0.z[H*]" --to logits "L3.q_in\""""


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "patch", run, "patch or ablate a model cell by cell, or path by path",
        details=_DETAILS,
    )  # fmt: skip
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument(
        "--task", required=True, metavar="TASK", help="name (residuum tasks), or a CSV/JSONL file"
    )
    _add_what(parser)
    _add_paths(parser)
    _add_means(parser)
    parser.add_argument("--metric", default="", help="by default the task's own")
    parser.add_argument("--n", type=counted, default=32, help="pairs (default: 32)")
    parser.add_argument(
        "--out", metavar="FILE",
        help="also write .html, .svg, .png, .json or .csv (with --knock-out: of the knock-out)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=seeded, default=0,
        help="seed of the pairs, and of all else that is drawn (default: 0)",
    )  # fmt: skip
    add_loading(parser)


def _add_what(parser: argparse.ArgumentParser) -> None:
    """What is written, and where."""
    what = parser.add_argument_group("what is written, and where")
    what.add_argument("--edit", choices=EDITS, help="see above (default: denoise)")
    what.add_argument(
        "--direction", choices=("denoise", "noise"), help="the same as --edit denoise or noise"
    )
    what.add_argument("--site", help="z, resid_post, attn_out, mlp_out, … (default: z)")
    what.add_argument(
        "--by", metavar="AXES",
        help="layer with head, neuron, pos, by commas; of pattern also q_pos, k_pos "
        "(default: layer,head where there are heads)",
    )  # fmt: skip
    what.add_argument(
        "--only", action="append", metavar="AXIS=I,J",
        help="sweep these indices alone: layer=3,4; may be given for each axis",
    )  # fmt: skip
    what.add_argument(
        "--knock-out", type=counted, metavar="K",
        help="with an ablation: choose the K most helpful cells on the first half of the pairs, "
        "take them out one by one and together on the other half, against random sets",
    )  # fmt: skip


def _add_paths(parser: argparse.ArgumentParser) -> None:
    """Path patching."""
    paths = parser.add_argument_group("path patching (addresses or globs; --edit denoise or noise)")
    paths.add_argument(
        "--from", dest="senders", nargs="+", metavar="SENDER",
        help="embed, L0.z[H1], L1.mlp_out … (default: all)",
    )  # fmt: skip
    paths.add_argument(
        "--to", dest="receivers", nargs="+", metavar="RECEIVER",
        help="logits, L3.q_in[H0], k_in, v_in, L1.mlp_in …; A+B for both jointly (default: all)",
    )  # fmt: skip
    paths.add_argument(
        "--via", nargs="+", metavar="PART", help="heads and MLPs that may pass the change on"
    )


def _add_means(parser: argparse.ArgumentParser) -> None:
    """How it is computed, and how sure."""
    means = parser.add_argument_group("how it is computed")
    means.add_argument(
        "--method", choices=METHODS,
        help="exact, or by gradients (attribution patching, integrated gradients) with the error "
        "measured on some cells (default: exact)",
    )  # fmt: skip
    means.add_argument(
        "--control", type=counted, metavar="N",
        help="move each cell as far in N random directions, too",
    )  # fmt: skip
    means.add_argument(
        "--engine", choices=("auto", "forked", "naive"),
        help="compute only what changes, or whole passes (default: auto)",
    )  # fmt: skip
    means.add_argument("--jobs", type=counted, metavar="N", help="worker processes (default: 1)")
    means.add_argument(
        "--keep", metavar="DIR", help="keep finished work: the same command goes on from there"
    )
    means.add_argument(
        "--max-memory", metavar="SIZE", help="beyond the model itself, such as '2 GB'"
    )


def run(arguments: argparse.Namespace) -> int:
    """Compute and show."""
    if arguments.out:
        check_suffix(arguments.out, SUFFIXES)
    asked = asked_of(arguments)
    model = open_model(arguments)
    task = open_task(arguments.task, model, n=arguments.n, seed=arguments.seed)
    try:
        if asked.paths:
            return _paths(arguments, asked, model, task)
        return _cells(arguments, asked, model, task)
    except KeyboardInterrupt:
        if arguments.keep:
            told = f"what was finished is in {arguments.keep}: the same command goes on from there"
            print(f"\n{told}", file=sys.stderr)
        raise


def _paths(arguments: argparse.Namespace, asked: Asked, model: Model, task: Task) -> int:
    from residuum.patching import path_patch

    table = path_patch(
        model,
        task,
        arguments.senders,
        asked.receivers,
        via=arguments.via or (),
        direction=asked.direction,
        engine=arguments.engine or "auto",
        metric=arguments.metric,
        progress=progress_for(arguments),
    )
    _put(arguments, model, task, table, None)
    return 0


def _cells(arguments: argparse.Namespace, asked: Asked, model: Model, task: Task) -> int:
    from residuum.patching import knock_out

    if not arguments.knock_out:
        _put(arguments, model, task, _sweep(arguments, asked, model, task), None)
        return 0
    half = len(task) // 2
    if not half:
        raise OptionError(
            "--knock-out takes two pairs at least: cells are chosen on one half of them",
            mend="give more pairs, or a larger --n",
        )
    sweep = _sweep(arguments, asked, model, task.subset(range(half)))
    knockout = knock_out(
        model,
        task.subset(range(half, len(task))),
        sweep,
        arguments.knock_out,
        asked.ablation(arguments.seed),
        seed=arguments.seed,
        metric=arguments.metric,
        progress=progress_for(arguments),
    )
    _put(arguments, model, task, sweep, knockout)
    return 0


def _sweep(arguments: argparse.Namespace, asked: Asked, model: Model, task: Task) -> Sweep:
    """The sweep asked for, exact or not."""
    from residuum.patching import ablate, patch

    means: dict[str, Any] = {
        "only": asked.only,
        "metric": arguments.metric,
        "control": arguments.control or 0,
        "engine": arguments.engine or "auto",
        "jobs": arguments.jobs or 1,
        "keep": arguments.keep,
        "max_memory": arguments.max_memory,
        "progress": progress_for(arguments),
    }
    if asked.edit in ABLATIONS:
        return ablate(model, task, asked.site, asked.by, asked.ablation(arguments.seed), **means)
    return patch(
        model,
        task,
        asked.site,
        asked.by,
        direction=asked.direction,
        method=asked.method(arguments.seed),
        **means,
    )


def _put(
    arguments: argparse.Namespace,
    model: Model,
    task: Task,
    found: Sweep | PathTable,
    knockout: Knockout | None,
) -> None:
    """Write the file, then the JSON or what a person reads."""
    from residuum.apps.cli.path_view import show_knockout, show_paths
    from residuum.apps.cli.sweep_view import show_sweep
    from residuum.patching import Sweep

    if arguments.out:
        (found if knockout is None else knockout).save(arguments.out)
    if arguments.json:
        told = found.to_json()
        put_json(told if knockout is None else {"sweep": told, "knock_out": knockout.to_json()})
        return
    put_text(f"{headline(model)}\n{task.describe()}")
    print()
    if isinstance(found, Sweep):
        show_sweep(found)
    else:
        show_paths(found)
    if knockout is not None:
        print()
        show_knockout(knockout, first_pair=len(found.clean) + 1)
    if arguments.out:
        print(f"\nwritten: {arguments.out}")
