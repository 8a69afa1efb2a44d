"""``residuum serve``: the workbench in the browser."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from residuum.apps.cli.console import put_json
from residuum.apps.cli.loading import open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.apps.workbench.bench import Bench
    from residuum.runs import Model

_DETAILS = (
    "Prints one line, the link to open: it holds a token that this start of the server asks for. "
    "The server listens on this machine only, and opens only the models named here and those "
    "inside the package. Ctrl-C stops it; runs stay in the history."
)
_PORT = 8642
_MOST = 65535


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "serve", run, "open the workbench in the browser", details=_DETAILS
    )
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="names or folders (default: microworld)"
    )
    parser.add_argument(
        "--port", type=_port, default=_PORT, help=f"port, 0 for a free one (default: {_PORT})"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="loopback address: 127.0.0.1, localhost or ::1"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the link")
    parser.add_argument("--store", metavar="DIR", help="folder of the history and of tensors")
    parser.add_argument(
        "--tidy",
        action="store_true",
        help="serve nothing: remove the stored tensors that no run refers to, and say how much",
    )
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from residuum.apps.workbench.serving import bind, default_store, new_token, serve

    store = Path(arguments.store) if arguments.store else default_store()
    if store.exists() and not store.is_dir():
        raise OptionError(f"--store {store} is no folder", mend="name a folder")
    if arguments.tidy:
        return _tidy(arguments, store)
    place = bind(arguments.host, arguments.port)
    bench = _bench(arguments, store)
    token = new_token()
    link = place.link(token)
    try:
        if arguments.json:
            put_json({"link": link, "token": token, "port": place.port, "store": str(store)})
        else:
            print(link, flush=True)
        ended = serve(place, token, bench, browser=not arguments.no_browser)
    except KeyboardInterrupt:  # before the server was up; later ones end it in serve
        ended = bench.close()
    except BaseException:
        bench.close()
        raise
    if not ended:  # what matters is on disk already: records and cells are written as they come
        sys.stdout.flush()
        os._exit(0)
    return 0


def _bench(arguments: argparse.Namespace, store: Path) -> Bench:
    """The models that may be opened, and the store; the first model begins to load."""
    from residuum.apps.workbench.bench import Bench

    models = [_named(each) for each in arguments.models]
    given = {"dtype": arguments.dtype, "device": arguments.device}
    options = {name: value for name, value in given.items() if value is not None}

    def loader(name: str) -> Model:
        return open_model(argparse.Namespace(model=name, **given))

    return Bench(models, store, loader=loader, options=options)


def _tidy(arguments: argparse.Namespace, store: Path) -> int:
    """Tidy the store, and say what was done."""
    from residuum.apps.workbench.store_folder import tidy

    done = tidy(store)
    if arguments.json:
        put_json({"store": str(store), **asdict(done)})
    else:
        print(
            f"{store}: {done.removed} files that no run refers to removed, "
            f"{done.freed_bytes / 1e6:.1f} MB; kept {done.runs} runs and {done.kept} tensors"
        )
    return 0


def _named(name: str) -> str:
    """A folder by its full path, so that code copied from the page finds it from anywhere."""
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= _MOST:
        raise ValueError(text)
    return number


_port.__name__ = "port from 0 to 65535"
