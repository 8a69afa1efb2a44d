"""``residuum patch``: one sweep of activation patching."""

from __future__ import annotations

import argparse

from residuum.apps.cli.console import progress_for, put_json, put_text
from residuum.apps.cli.lens import check_suffix
from residuum.apps.cli.loading import headline, open_model, open_task
from residuum.apps.cli.parser import Commands, add_command, add_loading, add_seed, counted
from residuum.apps.cli.sweep_view import show_sweep
from residuum.core import OptionError

SUFFIXES = (".html", ".svg", ".png", ".json", ".csv")
_DETAILS = (
    "Runs the corrupt prompts once for each cell of the grid, with that cell's value taken "
    "from the clean prompt, and shows how far the answer moves towards clean (with "
    "--direction noise the other way round)."
)


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "patch", run, "patch clean values into corrupt runs, cell by cell",
        details=_DETAILS,
    )  # fmt: skip
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument(
        "--task", required=True, metavar="TASK", help="name (residuum tasks), or a CSV/JSONL file"
    )
    parser.add_argument(
        "--site", default="z", help="z, resid_post, attn_out, mlp_out, … (default: z)"
    )
    parser.add_argument(
        "--by", metavar="AXES",
        help="layer with head and pos, by commas (default: layer,head where there are heads)",
    )  # fmt: skip
    parser.add_argument("--direction", choices=("denoise", "noise"), default="denoise")
    parser.add_argument("--metric", default="", help="by default the task's own")
    parser.add_argument("--n", type=counted, default=32, help="pairs (default: 32)")
    parser.add_argument("--out", metavar="FILE", help="also write .html, .svg, .png, .json or .csv")
    add_seed(parser, "the pairs")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Sweep and show."""
    if arguments.out:
        check_suffix(arguments.out, SUFFIXES)
    from residuum.patching import patch

    by = _axes(arguments.by, arguments.site)
    model = open_model(arguments)
    task = open_task(arguments.task, model, n=arguments.n, seed=arguments.seed)
    sweep = patch(
        model,
        task,
        arguments.site,
        by,
        direction=arguments.direction,
        metric=arguments.metric,
        progress=progress_for(arguments),
    )
    if arguments.out:
        sweep.save(arguments.out)
    if arguments.json:
        put_json(sweep.to_json())
        return 0
    put_text(f"{headline(model)}\n{task.describe()}")
    print()
    show_sweep(sweep)
    if arguments.out:
        print(f"\nwritten: {arguments.out}")
    return 0


def _axes(text: str | None, site: str) -> tuple[str, ...]:
    from residuum.core import SITES

    if text is not None:
        if not text.strip():
            raise OptionError("--by names no axis", mend="write for example --by layer,head")
        return tuple(part.strip() for part in text.split(","))
    known = SITES.get(site)
    return ("layer", "head") if known is not None and "head" in known.dims else ("layer",)
