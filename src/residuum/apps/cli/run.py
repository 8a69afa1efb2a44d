"""``residuum run``: one prompt through the model, with edits and captures."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import put_facts, put_json, put_table, put_text, put_tokens
from residuum.apps.cli.edits import read_edit
from residuum.apps.cli.loading import bos_line, headline, open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading, add_seed, counted
from residuum.core import OptionError, TokenError

if TYPE_CHECKING:
    from residuum.runs import Generation, Model, Run

_DETAILS = (
    "Shows the prompt's tokens with their ids and the most likely next tokens. With --edit the "
    "same without edits stands beside it, and where each edit wrote."
)


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "run", run, "run a prompt, with edits and captures", details=_DETAILS
    )
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument("prompt", metavar="PROMPT", help="text; with --ids, token ids")
    parser.add_argument("--ids", action="store_true", help="PROMPT is token ids: '1 17 4'")
    parser.add_argument(
        "--capture", action="append", default=[], metavar="SITE", help="site or query: 'L*.z'"
    )
    parser.add_argument(
        "--edit", action="append", default=[], metavar="EDIT",
        help="what to write where: 'zero L2.z[H3]', 'scale L1.mlp_out 0.5', or JSON",
    )  # fmt: skip
    parser.add_argument("--top", type=counted, default=5, help="next tokens to show (default: 5)")
    parser.add_argument(
        "--generate", type=counted, metavar="N", help="also continue by N tokens, greedily"
    )
    parser.add_argument("--temperature", type=float, help="sample instead of greedy")
    add_seed(parser, "sampling")
    parser.set_defaults(seed=None)
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run and show."""
    _check_sampling(arguments)
    edits = [read_edit(text) for text in arguments.edit]
    model = open_model(arguments)
    if arguments.top > model.d_vocab:
        raise OptionError(
            f"--top {arguments.top} is out of range", mend=f"use 1 to {model.d_vocab}"
        )
    prompt = _ids(arguments.prompt) if arguments.ids else arguments.prompt
    done = model.run(prompt, edits=edits, capture=arguments.capture)
    plain = model.run(prompt) if edits else None
    text = None
    if arguments.generate:
        text = model.generate(
            prompt,
            arguments.generate,
            edits=edits,
            temperature=arguments.temperature or 0.0,
            seed=arguments.seed or 0,
        )
    if arguments.json:
        put_json(_record(model, done, plain, text, arguments.top))
    else:
        _show(model, done, plain, text, arguments.top)
    return 0


def _check_sampling(arguments: argparse.Namespace) -> None:
    """Refuse options of sampling where nothing is sampled."""
    for name in ("temperature", "seed"):
        if getattr(arguments, name) is not None and not arguments.generate:
            raise OptionError(
                f"--{name} does nothing without --generate",
                mend=f"add --generate N, or no --{name}",
            )
    heat = arguments.temperature
    if heat is not None and not 0 <= heat < float("inf"):
        raise OptionError(
            f"--temperature {heat:g} is out of range", mend="use 0 (greedy) or a number above 0"
        )


def _ids(text: str) -> Any:
    import torch

    try:
        return torch.tensor([[int(each) for each in text.replace(",", " ").split()]])
    except ValueError as error:
        raise TokenError(f"not token ids: {text!r}", mend="write numbers: '1 17 4'") from error


def _top(model: Model, done: Run, plain: Run | None, count: int) -> list[dict[str, Any]]:
    logits = done.last[0].double()
    probs = logits.softmax(-1)
    before = None if plain is None else plain.last[0].double().softmax(-1)
    rows = []
    for rank, index in enumerate(logits.topk(count).indices.tolist(), 1):
        row = {
            "rank": rank,
            "token": model.to_str_tokens([index])[0],
            "id": index,
            "probability": float(probs[index]),
            "logit": float(logits[index]),
        }
        if before is not None:
            row["probability_without_edits"] = float(before[index])
        rows.append(row)
    return rows


def _captured(done: Run) -> list[dict[str, Any]]:
    rows = []
    for at, value in done.captured.items():
        kept = value.double() if hasattr(value, "double") else value.values.double()  # type: ignore[union-attr]
        finite = kept[kept > -1e30]
        rows.append(
            {
                "site": str(at),
                "shape": list(kept.shape),
                "mean": float(finite.mean()),
                "std": float(finite.std(unbiased=False)),
                "min": float(finite.min()),
                "max": float(finite.max()),
            }
        )
    return rows


def _fired(done: Run) -> list[dict[str, Any]]:
    return [{"edit": edit.to_json(), "sites_written": n} for edit, n in done.fired.items()]


def _record(
    model: Model, done: Run, plain: Run | None, text: Generation | None, count: int
) -> dict[str, Any]:
    ids = done.ids[0].tolist()
    return {
        "model": model.name,
        "ids": ids,
        "tokens": model.to_str_tokens(ids),
        "bos": bos_line(model),
        "top": _top(model, done, plain, count),
        "edits": _fired(done),
        "captured": _captured(done),
        "generated": None
        if text is None
        else {"ids": text.ids[0, : int(text.lengths[0])].tolist(), "text": _continuation(text)},
        "hash": done.hash,
        "provenance": done.provenance.to_json(),
    }


def _continuation(text: Generation) -> str:
    return text.texts[0] if text.texts else ""


def _show(model: Model, done: Run, plain: Run | None, text: Generation | None, count: int) -> None:
    from residuum.figures import Column, Table

    ids = done.ids[0].tolist()
    put_text(headline(model))
    print()
    put_text(f"Prompt: {len(ids)} tokens with their ids; {bos_line(model)}")
    put_tokens(model.to_str_tokens(ids), ids)
    print()
    rows = _top(model, done, plain, count)
    columns = [
        Column("rank", align="right"), Column("next token"), Column("id", align="right"),
        Column("probability", "%", digits=2), Column("logit", digits=2),
    ]  # fmt: skip
    cells = [[r["rank"], r["token"], r["id"], 100 * r["probability"], r["logit"]] for r in rows]
    if plain is not None:
        columns.append(Column("without edits", "%", digits=2))
        for row, cell in zip(rows, cells, strict=True):
            cell.append(100 * row["probability_without_edits"])
    put_table(Table(columns, cells))
    if done.fired:
        print()
        fired = [[edit.kind, str(edit.at), n] for edit, n in done.fired.items()]
        put_table(Table(["edit", "at", Column("sites written", align="right")], fired))
    if done.captured:
        print()
        put_table(_capture_table(done))
    if text is not None:
        print()
        put_facts([("continues", _continuation(text) or str(text.ids[0].tolist()))])


def _capture_table(done: Run) -> Any:
    from residuum.core import Address
    from residuum.figures import Column, Table

    rows = []
    for row in _captured(done):
        dims = Address.parse(row["site"]).site.dims
        named = dims if len(dims) == len(row["shape"]) else ()
        shape = " × ".join(
            f"{size} {named[i]}" if named else str(size) for i, size in enumerate(row["shape"])
        )
        rows.append([row["site"], shape, row["mean"], row["std"], row["min"], row["max"]])
    numbers = [Column(name, digits=3) for name in ("mean", "spread", "lowest", "highest")]
    return Table(["captured", "shape", *numbers], rows)
