"""``residuum lens``: what each layer would answer, or what each part writes into the answer."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import progress_for, put_json, put_table, put_text
from residuum.apps.cli.lens_view import attribution_tables, reading_tables, tracked_table
from residuum.apps.cli.loading import bos_line, headline, open_model, open_task
from residuum.apps.cli.parser import Commands, add_command, add_loading, counted, seeded
from residuum.apps.cli.texts import read_texts
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.lenses import LensReading, LogitAttribution, TunedLens
    from residuum.runs import Model

SUFFIXES = (".html", ".svg", ".png", ".json")
KINDS = ("logit", "tuned", "dla")
_DETAILS = """--kind chooses what is read:
  logit   each layer's stream through the final norm and the unembedding
  tuned   the same behind a trained translator a layer (--lens FOLDER; --train makes one)
  dla     direct logit attribution: what every head, MLP and bias writes straight into the
          answer's logit, or into its lead over a wrong answer

examples:
  residuum lens microworld "The capital of France is" --track Paris Rome
  residuum lens microworld "The capital of France is" --site mlp_out
  residuum lens microworld --kind tuned --lens my-lens --train texts.txt --steps 200
  residuum lens microworld "The capital of France is" --kind tuned --lens my-lens
  residuum lens microworld "The capital of France is" --kind dla --answer Paris --wrong Rome
  residuum lens microworld --kind dla --task ioi --neurons"""
_OF = {
    "site": ("logit",),
    "top": KINDS,
    "track": ("logit", "tuned"),
    "lens": ("tuned",),
    "train": ("tuned",),
    "steps": ("tuned",),
    "lr": ("tuned",),
    "context": ("tuned",),
    "answer": ("dla",),
    "wrong": ("dla",),
    "task": ("dla",),
    "n": ("dla",),
    "neurons": ("dla",),
    "picture": ("dla",),
    "seed": ("tuned", "dla"),
}
"""Option -> the kinds that it belongs to."""


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "lens", run,
        "read every layer through the unembedding, or split a logit by what writes it",
        details=_DETAILS,
    )  # fmt: skip
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument("prompt", metavar="PROMPT", nargs="?", help="text")
    parser.add_argument("--kind", choices=KINDS, default="logit", help="see above (default: logit)")
    parser.add_argument(
        "--top", type=counted, help="words for each cell (default: 1); of dla: terms (default: 12)"
    )
    parser.add_argument(
        "--track", nargs="+", metavar="WORD",
        help="follow these words' probability at the last token",
    )  # fmt: skip
    parser.add_argument(
        "--site", help="of logit: resid_post (default), resid_pre, resid_mid, attn_out, mlp_out, "
        "head_out, or one layer's or head's, such as L2.head_out[H3]",
    )  # fmt: skip
    _add_tuned(parser)
    _add_attribution(parser)
    parser.add_argument("--out", metavar="FILE", help="also write .html, .svg, .png or .json")
    parser.add_argument("--seed", type=seeded, help="of training, pairs, intervals (default: 0)")
    add_loading(parser)


def _add_tuned(parser: argparse.ArgumentParser) -> None:
    tuned = parser.add_argument_group("tuned lens")
    tuned.add_argument("--lens", metavar="FOLDER", help="the trained lens; --train writes it there")
    tuned.add_argument("--train", metavar="FILE", help="train on a text file, a text a line")
    tuned.add_argument("--steps", type=counted, help="of training (default: 250)")
    tuned.add_argument("--lr", type=float, help="of training (default: 0.001)")
    tuned.add_argument("--context", type=counted, help="tokens in a sequence (default: a line)")


def _add_attribution(parser: argparse.ArgumentParser) -> None:
    split = parser.add_argument_group("direct logit attribution")
    split.add_argument("--answer", metavar="WORD", help="the token whose logit is split")
    split.add_argument("--wrong", metavar="WORD", help="subtract this token's logit")
    split.add_argument("--task", help="instead of a prompt: a task's name, or a CSV/JSONL file")
    split.add_argument("--n", type=counted, help="pairs of the task (default: 32)")
    split.add_argument("--neurons", action="store_true", default=None, help="also by neuron")
    split.add_argument(
        "--picture", choices=("parts", "bars", "neurons", "sources"),
        help="what --out draws (default: parts)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Read and show."""
    if arguments.out:
        check_suffix(arguments.out, SUFFIXES)
    _refuse_idle(arguments)
    model = open_model(arguments)
    if arguments.kind == "dla":
        return _attribute(model, arguments)
    if arguments.kind == "logit":
        reading = _logit(model, arguments)
    else:
        lens = _tuned(model, arguments)
        if arguments.prompt is None:
            return _trained(lens, arguments)
        reading = lens.read(model, arguments.prompt, **_common(arguments))
    return _show(model, reading, arguments)


def _refuse_idle(arguments: argparse.Namespace) -> None:
    """Options that would do nothing, and what is missing."""
    kind = arguments.kind
    for name, kinds in _OF.items():
        if getattr(arguments, name) is not None and kind not in kinds:
            raise OptionError(
                f"--{name} does nothing with --kind {kind}",
                mend=f"leave it out, or use --kind {' or '.join(kinds)}",
            )
    if kind == "tuned" and not arguments.lens:
        raise OptionError(
            "--kind tuned needs a trained lens", mend="--lens FOLDER; with --train FILE to make one"
        )
    if arguments.train is None:
        for name in ("steps", "lr", "context"):
            if getattr(arguments, name) is not None:
                raise OptionError(f"--{name} goes with --train", mend="add --train FILE")
    _refuse_prompts(arguments)


def _refuse_prompts(arguments: argparse.Namespace) -> None:
    kind, prompt = arguments.kind, arguments.prompt
    if kind == "dla" and (prompt is None) == (arguments.task is None):
        raise OptionError("--kind dla takes either a prompt or --task", mend="give one of them")
    if kind == "dla" and (arguments.answer is None) == (arguments.task is None):
        raise OptionError(
            "a prompt needs --answer, and a task brings its own answers",
            mend="--answer WORD with a prompt, or --task alone",
        )
    if arguments.task is not None and arguments.wrong is not None:
        raise OptionError("a task brings its own wrong answers", mend="leave --wrong out")
    if arguments.task is None and arguments.n is not None:
        raise OptionError("--n goes with --task", mend="leave it out")
    if prompt is None and (kind == "logit" or (kind == "tuned" and not arguments.train)):
        raise OptionError("the lens needs a prompt", mend='residuum lens MODEL "some text"')


def _common(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"top": arguments.top or 1, "track": arguments.track or []}


def _logit(model: Model, arguments: argparse.Namespace) -> LensReading:
    from residuum.lenses import logit_lens

    site = arguments.site or "resid_post"
    return logit_lens(model, arguments.prompt, site=site, **_common(arguments))


def _tuned(model: Model, arguments: argparse.Namespace) -> TunedLens:
    from residuum.lenses import TunedLens

    if arguments.train is None:
        return TunedLens.load(arguments.lens)
    lens = TunedLens.train(
        model, read_texts(arguments.train), steps=arguments.steps or 250,
        lr=1e-3 if arguments.lr is None else arguments.lr, context=arguments.context,
        seed=arguments.seed or 0, progress=progress_for(arguments),
    )  # fmt: skip
    lens.save(arguments.lens)
    return lens


def _trained(lens: TunedLens, arguments: argparse.Namespace) -> int:
    """What there is to say of a lens that was trained and read nothing."""
    if arguments.out:
        raise OptionError("--out needs a prompt to read", mend="add a prompt, or leave --out out")
    if arguments.json:
        put_json(lens.to_json())
    else:
        put_text(f"{lens!r}\nwritten: {arguments.lens}")
    return 0


def _show(model: Model, reading: LensReading, arguments: argparse.Namespace) -> int:
    if arguments.out:
        reading.save(arguments.out)
    if arguments.json:
        put_json(reading.to_json())
        return 0
    put_text(headline(model))
    print()
    rows = "part" if reading.site.endswith("_out") else "layer"
    as_if = (
        "as if that part were all that is unembedded" if rows == "part"
        else "as if the model stopped there"
    )  # fmt: skip
    behind = ", behind each layer's translator" if reading.lens == "tuned" else ""
    put_text(
        f"Most likely next word after each {rows} (rows) and token (columns){behind}, with its "
        f"probability in %, {as_if}. {bos_line(model)}."
    )
    for table in reading_tables(reading):
        print()
        put_table(table)
    if arguments.track:
        print()
        put_table(tracked_table(reading, arguments.track))
    if arguments.out:
        print(f"\nwritten: {arguments.out}")
    return 0


def _attribute(model: Model, arguments: argparse.Namespace) -> int:
    from residuum.lenses import direct_logit_attribution

    given: Any = arguments.prompt
    seed, picture = arguments.seed or 0, arguments.picture or "parts"
    options: dict[str, Any] = {"answers": arguments.answer, "wrong": arguments.wrong}
    if arguments.task is not None:
        given = open_task(arguments.task, model, n=arguments.n or 32, seed=seed)
    found = direct_logit_attribution(
        model, given, **options, neurons=bool(arguments.neurons) or picture == "neurons",
        sources=picture == "sources", seed=seed, progress=progress_for(arguments),
    )  # fmt: skip
    if arguments.out:
        _save(found, arguments.out, picture)
    if arguments.json:
        put_json(found.to_json())
        return 0
    put_text(headline(model))
    put_text(f"{found.summary()}; {found.convention}. Does not show: {found.does_not_show}")
    for table in attribution_tables(found, arguments.top or 12):
        print()
        put_table(table)
    if arguments.out:
        print(f"\nwritten: {arguments.out}")
    return 0


def _save(found: LogitAttribution, out: str, picture: str) -> None:
    if Path(out).suffix == ".json":
        found.save(out)
    else:
        found.figure(picture).save(out)


def check_suffix(path: str, suffixes: tuple[str, ...]) -> None:
    """Refuse a file name that cannot be written, before any work is done."""
    target = Path(path)
    if target.suffix not in suffixes:
        raise OptionError(
            f"cannot write {target.name!r}", mend=f"end the file name in {', '.join(suffixes)}"
        )
    if not target.parent.is_dir():
        raise OptionError(f"no folder {str(target.parent)!r}", mend="make it, or name another")
    if target.is_dir():
        raise OptionError(f"cannot write {path}: it is a folder", mend="name a file")
    if not os.access(target.parent, os.W_OK):
        raise OptionError(
            f"cannot write {path}: its folder is read-only", mend="name a file in another folder"
        )
