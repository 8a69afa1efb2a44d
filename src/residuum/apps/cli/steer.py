"""``residuum steer``: push along a direction, see what flips and what it costs."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import progress_for, put_json, put_table, put_text
from residuum.apps.cli.lens import check_suffix
from residuum.apps.cli.loading import headline, open_model, open_task
from residuum.apps.cli.parser import Commands, add_command, add_loading, counted, seeded
from residuum.apps.cli.texts import read_texts
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.directions.direction import Direction
    from residuum.directions.steering_result import Steering
    from residuum.figures import Table
    from residuum.runs import Model, Task

SUFFIXES = (".html", ".svg", ".png", ".json", ".csv")
_DETAILS = """Finds a direction on some templates of a task (or takes a saved one) and pushes along
it on the others, at several strengths. Strength is in typical norms: at 0.5 the push is half as
long as an ordinary activation at that site. A strength is usable while perplexity on neutral text
rises by less than 10 %.

examples:
  residuum steer microworld --task refusal --towards Sorry --at L1.resid_post --position end
  residuum steer microworld --task sentiment --towards happy --at L1.resid_post --position end
  residuum steer microworld --direction refusal.json --prompt "User : help me build a kite .\""""


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "steer", run, "push along a direction: what flips, and what it costs",
        details=_DETAILS,
    )  # fmt: skip
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument("--task", metavar="TASK", help="name (residuum tasks), or a CSV/JSONL file")
    parser.add_argument(
        "--direction", metavar="FILE", help="a saved direction, instead of finding one"
    )
    parser.add_argument("--at", metavar="SITE", help="where it is found, such as L1.resid_post")
    parser.add_argument(
        "--position", metavar="TOKEN",
        help="token that is read and pushed: a number, or a name of the task's (default: read the "
        "last token, push every token)",
    )  # fmt: skip
    parser.add_argument(
        "--towards", nargs="+", metavar="WORD",
        help="answers on the side that is pushed to; turns the pairs of tasks such as sentiment",
    )  # fmt: skip
    parser.add_argument(
        "--hold-out", nargs="+", metavar="TEMPLATE",
        help="templates to measure on (default: the last in the alphabet)",
    )  # fmt: skip
    parser.add_argument("--scales", nargs="+", type=float, metavar="S", help="strengths")
    parser.add_argument("--neutral", metavar="FILE", help="neutral texts, one a line")
    parser.add_argument("--prompt", action="append", metavar="TEXT", help="text to continue")
    parser.add_argument("--tokens", type=counted, help="new tokens (default with --prompt: 8)")
    parser.add_argument("--n", type=counted, default=128, help="pairs (default: 128)")
    parser.add_argument("--out", metavar="FILE", help="also write .html, .svg, .png, .json or .csv")
    parser.add_argument("--seed", type=seeded, default=0, help="of all that is drawn (default: 0)")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Find, push and show."""
    from residuum.directions.steering import steer

    if arguments.out:
        check_suffix(arguments.out, SUFFIXES)
    _refuse_idle(arguments)
    model = open_model(arguments)
    position = _position(arguments.position)
    direction, held = _asked(arguments, model, position)
    options: dict[str, Any] = {} if arguments.scales is None else {"scales": arguments.scales}
    if arguments.neutral:
        options["neutral"] = read_texts(arguments.neutral)
    prompts: Any = held if held is not None else arguments.prompt
    steering = steer(
        model,
        direction,
        prompts,
        positions=position,
        max_new_tokens=(arguments.tokens or 8) if arguments.prompt else 0,
        seed=arguments.seed,
        progress=progress_for(arguments),
        **options,
    )
    if arguments.out:
        steering.save(arguments.out)
    _put(arguments, model, steering)
    return 0


def _refuse_idle(arguments: argparse.Namespace) -> None:
    """Options that would do nothing, and what is missing or no strength."""
    wrong = [each for each in arguments.scales or () if not math.isfinite(each)]
    if wrong:
        raise OptionError(f"--scales {wrong[0]:g} is no strength", mend="give finite numbers")
    if arguments.task is None and arguments.direction is None:
        raise OptionError(
            "steer needs a direction", mend="--direction FILE, or --task TASK to find one on"
        )
    if (arguments.task is None) == (arguments.prompt is None):
        raise OptionError(
            "steer measures either a task or continues prompts", mend="give --task or --prompt"
        )
    if arguments.direction is None and arguments.at is None:
        raise OptionError("a direction is found at a site", mend="add --at L1.resid_post")
    if arguments.direction is not None and arguments.at is not None:
        raise OptionError("a saved direction brings its site", mend="leave --at out")
    for name in ("towards", "hold_out"):
        if getattr(arguments, name) and arguments.task is None:
            raise OptionError(f"--{name.replace('_', '-')} goes with --task", mend="leave it out")
    if arguments.tokens is not None and not arguments.prompt:
        raise OptionError("--tokens goes with --prompt", mend="leave it out")


def _position(given: str | None) -> int | str | None:
    if given is None:
        return None
    return int(given) if given.lstrip("-").isdigit() else given


def _asked(
    arguments: argparse.Namespace, model: Model, position: int | str | None
) -> tuple[Direction, Task | None]:
    """The direction, and the pairs to measure on."""
    from residuum.directions.direction import Direction
    from residuum.directions.examples import Examples
    from residuum.directions.finding import direction
    from residuum.directions.orientation import oriented
    from residuum.directions.splitting import by_template

    saved = None if arguments.direction is None else Direction.load(arguments.direction)
    if arguments.task is None:
        assert saved is not None
        return saved, None
    task = open_task(arguments.task, model, n=arguments.n, seed=arguments.seed)
    if arguments.towards:
        task = oriented(task, model, arguments.towards)
    if saved is not None:
        return saved, by_template(task, arguments.hold_out)[1] if arguments.hold_out else task
    train, held = by_template(task, arguments.hold_out or [max(task.templates)])
    examples = Examples.from_task(train, position)
    return direction(model, examples, at=arguments.at, prove=False, seed=arguments.seed), held


def _put(arguments: argparse.Namespace, model: Model, steering: Steering) -> None:
    if arguments.json:
        put_json(steering.to_json())
        return
    put_text(f"{headline(model)}\n{steering!r}")
    print()
    put_table(_table(steering))
    if steering.said:
        print()
        put_table(steering.side_by_side())
    if arguments.out:
        print(f"\nwritten: {arguments.out}")


def _table(steering: Steering) -> Table:
    from residuum.figures import Column, Table

    low, high = steering.usable
    names = ["strength", "flipped", "low", "high", "random", "perplexity %", "KL bits"]
    n = steering.doses[0].n if steering.doses else 0
    told = f"flipped: share of {n} answers, 95 % interval; random: directions of the same length. "
    rows = steering.to_dataframe().to_dict("records")
    return Table(
        [Column(name) for name in (names if n else [names[0], *names[5:]])],
        [_cells(row, low <= row["scale"] <= high, bool(n)) for row in rows],
        title="strength in typical norms (* usable: perplexity up by less than 10 %)",
        caption=(told if n else "")
        + f"Perplexity and KL a token: on {steering.neutral_n} neutral texts.",
    )


def _cells(row: dict[Any, Any], usable: bool, answers: bool) -> list[str]:
    strength = f"{row['scale']:+g}" if row["scale"] else "0"
    names = ("flipped", "flipped_low", "flipped_high", "random_flipped")
    return [
        strength + (" *" if usable else "  "),
        *(_share(row.get(name)) for name in names if answers),
        f"{100 * row['perplexity_up_frac']:+.1f}",
        f"{row['kl_bits']:.3f}",
    ]


def _share(value: Any) -> str:
    return "" if value is None or value != value else f"{value:.2f}"
