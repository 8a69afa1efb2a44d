"""Arguments that commands share, and errors of usage as what and mend."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, NoReturn

from residuum.core import OptionError, package_version

Commands = Any
"""What ``add_subparsers`` returns."""
Command = Callable[[argparse.Namespace], int]

_ABOUT = """Find which parts of a transformer cause a behaviour, and prove it by intervention.

MODEL is microworld (inside the package), a folder, or a name on the Hugging Face hub."""
_AFTER = """examples:
  residuum investigate --model microworld --task ioi --out report
  residuum run microworld "When Mary and John went to the store , John gave a drink to" \\
      --edit "zero L2.z[H3]"
  residuum lens microworld "The capital of France is"

exit codes: 0 done, 1 a check failed, 2 bad input (two lines: what, and how to mend it)."""


class Parser(argparse.ArgumentParser):
    """argparse, with errors that say how to mend them."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found, as this package's error."""
        raise usage_error(message, self.prog)


def command_parser() -> tuple[Parser, Commands]:
    """The parser, and where commands are added to it."""
    parser = Parser(
        prog="residuum",
        description=_ABOUT,
        epilog=_AFTER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"residuum {package_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    return parser, commands


def add_command(
    commands: Commands, name: str, run: Command, about: str, *, details: str = ""
) -> Parser:
    """Declare a command.

    Args:
        commands: from :func:`command_parser`.
        name: of the command.
        run: does it; returns the exit code.
        about: one line for the list of commands.
        details: more for its own help.
    """
    parser = commands.add_parser(
        name,
        help=about,
        description=f"{_sentence(about)}\n\n{_set(details)}".rstrip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="one JSON document, nothing else")
    return parser


def command_group(
    commands: Commands, name: str, about: str, *, details: str = ""
) -> tuple[Parser, Commands]:
    """Declare a command that has verbs; without one it shows its help.

    Args:
        commands: from :func:`command_parser`.
        name: of the command.
        about: one line for the list of commands.
        details: more for its own help.

    Returns:
        Its parser, and where verbs are added to it by :func:`add_command`.
    """
    parser = commands.add_parser(
        name,
        help=about,
        description=f"{_sentence(about)}\n\n{_set(details)}".rstrip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=lambda _: parser.print_help() or 0)
    return parser, parser.add_subparsers(title="verbs", metavar="VERB", dest="verb")


def _sentence(about: str) -> str:
    """A line of the list of commands as a sentence; a question keeps its mark."""
    return f"{about[0].upper()}{about[1:]}" + "." * (about[-1] not in ".?!")


def _set(details: str) -> str:
    """Running text wrapped; what has line breaks of its own stays as it is."""
    return details if "\n" in details else textwrap.fill(details, 88)


def add_loading(parser: argparse.ArgumentParser) -> None:
    """Options of how a model is loaded."""
    parser.add_argument(
        "--dtype",
        choices=("float32", "float64", "bfloat16", "float16"),
        help="convert the weights (default: as stored)",
    )
    parser.add_argument("--device", help="where to run: cpu, cuda, cuda:1, mps (default: cpu)")


def add_seed(parser: argparse.ArgumentParser, of: str) -> None:
    """The seed."""
    parser.add_argument("--seed", type=seeded, default=0, help=f"seed of {of} (default: 0)")


def counted(text: str) -> int:
    """A whole number of 1 or more."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


counted.__name__ = "whole number from 1"


def seeded(text: str) -> int:
    """A whole number from 0 that a random generator takes."""
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError(text)
    return number


seeded.__name__ = "whole number from 0 to 2^63 - 1"


def usage_error(message: str, prog: str) -> OptionError:
    """argparse's message as what and mend."""
    see = f"{prog} --help lists what it takes"
    choice = re.match(r"argument (.+?): invalid choice: '(.*?)' \(choose from (.+)\)$", message)
    if choice is None:
        return OptionError(f"{prog}: {message}", mend=see)
    argument, given, choices = choice.groups()
    names = [name.strip().strip("'") for name in choices.split(",")]
    near = get_close_matches(given, names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    if argument in ("COMMAND", "command"):
        return OptionError(f"no command {given!r}", mend=f"{hint}commands are: {', '.join(names)}")
    if argument in ("VERB", "verb"):
        return OptionError(f"{prog} has no verb {given!r}", mend=f"{hint}verbs: {', '.join(names)}")
    return OptionError(
        f"{prog}: {argument} cannot be {given!r}", mend=f"{hint}use one of: {', '.join(names)}"
    )
