"""The text that dictionaries are trained, judged and read on, as the command line names it."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from typing import Any

from residuum.apps.cli.parser import counted
from residuum.core import OptionError

_WORLD, _TEXTS = "microworld", 4000
_SUFFIXES = (".txt", ".jsonl", ".json")
HELP = (
    "a .txt (a text a line), .jsonl or .json file; or microworld, microworld:1, microworld:2 ...: "
    f"{_TEXTS} texts of that world, by seed"
)


def add_text(parser: argparse.ArgumentParser) -> None:
    """The argument TEXT and the options of how it is cut."""
    parser.add_argument("text", metavar="TEXT", help=HELP)
    parser.add_argument("--tokens", type=counted, help="tokens of the text (default: all)")
    parser.add_argument("--context", type=counted, help="tokens in a row (default: the model's)")


def open_text(name: str) -> Any:
    """What ``harvest`` takes as text.

    Raises:
        OptionError: neither a file of texts nor a world.
    """
    world, _, seed = name.partition(":")
    if world == _WORLD and (seed.isdecimal() or name == _WORLD):
        from residuum.worlds import microworld_text

        return list(islice(microworld_text(int(seed or 0)), _TEXTS))
    path = Path(name)
    if not path.is_file() or path.suffix not in _SUFFIXES:
        what = "no such file" if not path.is_file() else "its suffix is not known"
        raise OptionError(
            f"{name!r} is no text: {what}",
            mend=f"give a file {', '.join(_SUFFIXES)}, or {_WORLD}:1 for text of that world",
        )
    return path


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """``tokens`` and ``context``, as the verbs take them."""
    return {"tokens": arguments.tokens, "context": arguments.context}
