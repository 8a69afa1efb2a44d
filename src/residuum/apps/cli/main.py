"""The entry point: read the command line, run one command, turn errors into two lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from residuum.apps.cli import (
    audit,
    circuit,
    doctor,
    examine,
    features,
    findings,
    heads,
    investigate,
    lens,
    models,
    organisms,
    patch,
    probe,
    replay,
    run,
    sae,
    serve,
    steer,
    tasks,
)
from residuum.apps.cli.parser import Parser, command_parser
from residuum.core import CheckFailed, OptionError, ResiduumError

COMMANDS = (
    investigate,
    examine,
    audit,
    replay,
    findings,
    run,
    lens,
    heads,
    patch,
    circuit,
    probe,
    steer,
    sae,
    features,
    tasks,
    models,
    organisms,
    doctor,
    serve,
)
"""One module each, with ``add(commands)`` and ``run(arguments)``; in the order of the help."""

BAD_INPUT, CHECK_FAILED, INTERRUPTED = 2, 1, 130
_PROCESS = {
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait do not burn a core that others need
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments; None takes the process's own, and silences other packages' progress bars
            and warnings in this process.

    Returns:
        0, or 1 for a failed check, 2 for bad input, 130 for Ctrl-C.
    """
    if argv is None:
        for name, value in _PROCESS.items():
            os.environ.setdefault(name, value)
    try:
        code = _dispatch(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("residuum: interrupted", file=sys.stderr)
        return INTERRUPTED
    except ResiduumError as error:
        _complain(error)
        return CHECK_FAILED if isinstance(error, CheckFailed) else BAD_INPUT
    except MemoryError as error:
        _complain(_too_large(error))
        return BAD_INPUT
    except BrokenPipeError:
        _close_output()
        return 0
    except OSError as error:
        _complain(_unwritten(error))
        return BAD_INPUT


def build_parser() -> Parser:
    """The parser with every command."""
    parser, commands = command_parser()
    for command in COMMANDS:
        command.add(commands)
    return parser


def _dispatch(argv: list[str]) -> int:
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if not hasattr(arguments, "run"):
        parser.print_help()
        return 0
    return arguments.run(arguments)


def _too_large(error: MemoryError) -> ResiduumError:
    return OptionError(
        f"this does not fit into memory: {error or 'the machine has no more'}",
        mend="ask for fewer or shorter prompts, or for a part of the sites",
    )


def _unwritten(error: OSError) -> ResiduumError:
    """What the operating system refused; without a file name it was standard output."""
    if error.filename is None:
        _close_output()
    name = "standard output" if error.filename is None else str(error.filename)
    return OptionError(
        f"cannot write {name}: {error.strerror or error}",
        mend="name a file that can be made, in a folder that can be written to",
    )


def _close_output() -> None:
    """Nothing more goes to standard output, not at the end of the process either."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # standard output is no file of the system
        return


def _complain(error: ResiduumError) -> None:
    """Two lines on standard error: what, and how to mend it."""
    place = f" [{error.where}]" if error.where else ""
    print(f"residuum: {_one_line(error.what)}{place}", file=sys.stderr)
    print(f"    mend: {_one_line(error.mend)}", file=sys.stderr)


def _one_line(text: str) -> str:
    return " ".join(text.split())
