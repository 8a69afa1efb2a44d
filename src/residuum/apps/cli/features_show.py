"""``residuum features list | search | show | page``: what a reading holds."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import put_json, put_table, put_text
from residuum.apps.cli.parser import Commands, add_command, counted, seeded
from residuum.core import OptionError

if TYPE_CHECKING:
    import pandas as pd

    from residuum.dictionaries import FeatureReading
    from residuum.figures import Table

ORDERS = ("latent", "density", "largest", "kurtosis")
_HELP = "folder that residuum features read wrote"
_COLUMNS = ("label", "top_tokens", "promoted", "suppressed")


def add(verbs: Commands) -> None:
    """Declare the verbs."""
    parser = add_command(verbs, "list", list_all, "all latents as a table")
    parser.add_argument("reading", metavar="DIR", help=_HELP)
    parser.add_argument("--by", choices=ORDERS, default="latent", help="order, largest first")
    parser.add_argument("--top", type=counted, default=25, help="rows (default: 25)")
    parser.add_argument("--out", metavar="FILE", help="also write all rows as .csv")
    parser = add_command(
        verbs, "search", search, "latents by word",
        details="Looks into labels, the tokens of the strongest examples, and the tokens that a "
        "latent promotes or suppresses.",
    )  # fmt: skip
    parser.add_argument("reading", metavar="DIR", help=_HELP)
    parser.add_argument("words", nargs="+", metavar="WORD", help="all of them, any case")
    parser.add_argument("--top", type=counted, default=25, help="rows (default: 25)")
    parser = add_command(verbs, "show", show, "one latent with its examples")
    parser.add_argument("reading", metavar="DIR", help=_HELP)
    parser.add_argument("latent", type=seeded, metavar="N", help="its number")
    parser = add_command(verbs, "page", page, "one offline HTML file with every latent")
    parser.add_argument("reading", metavar="DIR", help=_HELP)
    parser.add_argument("out", metavar="FILE", help="where to write, .html")
    parser.add_argument("--title", default="", help="of the page")


def list_all(arguments: argparse.Namespace) -> int:
    """The table of all latents."""
    if arguments.out and not arguments.out.endswith(".csv"):
        raise OptionError(f"cannot write {arguments.out!r}", mend="use a name that ends in .csv")
    reading = _open(arguments)
    table = reading.to_dataframe()
    table = table.sort_values(
        arguments.by, ascending=arguments.by == "latent", kind="stable", ignore_index=True
    )
    if arguments.out:
        table.to_csv(arguments.out, index=False)
    return _put(arguments, table, f"{reading!r}")


def search(arguments: argparse.Namespace) -> int:
    """Those that hold all words."""
    reading = _open(arguments)
    table = reading.to_dataframe()
    rows = zip(*(table[name] for name in _COLUMNS), strict=True)
    held = [" ".join(each).lower() for each in rows]
    words = [word.lower() for word in arguments.words]
    table = table.loc[[all(word in each for word in words) for each in held]]
    return _put(arguments, table, f"{len(table)} latents with {' and '.join(arguments.words)}")


def show(arguments: argparse.Namespace) -> int:
    """One latent."""
    reading = _open(arguments)
    found = reading.latent(arguments.latent)
    if arguments.json:
        counts, edges = found.histogram
        histogram = {"counts": counts.tolist(), "edges": edges.tolist()}
        examples = [asdict(each) for each in found.examples]
        own = {name: getattr(found, name) for name in (*_FIGURES, *_LISTS)}
        put_json({**own, "histogram": histogram, "examples": examples})
        return 0
    put_text(repr(found))
    return 0


_FIGURES = (
    "index", "label", "density", "density_rows", "largest", "mean", "deviation", "kurtosis",
)  # fmt: skip
_LISTS = ("promoted", "suppressed", "partners", "neighbours")


def page(arguments: argparse.Namespace) -> int:
    """The page."""
    if not arguments.out.endswith(".html"):
        raise OptionError(f"cannot write {arguments.out!r}", mend="use a name that ends in .html")
    written = _open(arguments).page(arguments.out, title=arguments.title)
    size = written.stat().st_size / 1e6
    if arguments.json:
        put_json({"out": str(written), "mb": size})
        return 0
    print(f"written: {written} ({size:.1f} MB)")
    return 0


def _open(arguments: argparse.Namespace) -> FeatureReading:
    from residuum.dictionaries import load_reading

    return load_reading(arguments.reading)


def _put(arguments: argparse.Namespace, table: pd.DataFrame, title: str) -> int:
    if arguments.json:
        put_json(table.to_dict("records"))
        return 0
    put_table(_table(table.head(arguments.top), title, len(table)))
    return 0


def _table(table: pd.DataFrame, title: str, n: int) -> Table:
    from residuum.figures import Column, Table

    names = ("latent", "density", "largest", "label", "top_tokens", "promoted")
    rows: list[list[Any]] = [[row[name] for name in names] for row in table.to_dict("records")]
    for row in rows:
        row[0] = str(row[0])
    return Table(
        ["latent", Column("density", digits=4), Column("largest", digits=2), "label",
         "strongest at", "promotes"],
        rows,
        title=title,
        caption="Density: share of tokens at which it is active."
        + (f" {len(rows)} of {n} rows; --top shows more." if len(rows) < n else ""),
    )  # fmt: skip
