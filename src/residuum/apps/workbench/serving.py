"""Serving: the port, the token, the browser, and stopping cleanly."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.apps.workbench.bench import Bench

PORT = 8642
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_GRACE_S = 2
_BACKLOG = 256


@dataclass(frozen=True)
class Place:
    """Where the server listens, bound already.

    Attributes:
        host: a loopback name.
        port: the one that it has.
        listener: the socket.
    """

    host: str
    port: int
    listener: socket.socket

    @property
    def hosts(self) -> tuple[str, ...]:
        """Values of ``Host`` that mean this server."""
        return tuple(f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]"))

    def link(self, token: str) -> str:
        """The address to open, token included."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{self.port}/?token={token}"


def bind(host: str, port: int) -> Place:
    """Take a port of a loopback address.

    Args:
        port: 0 for any free one.

    Raises:
        OptionError: the host is not loopback, or the port is taken.
    """
    if host not in LOOPBACK:
        raise OptionError(
            f"the server listens on this machine only, not on {host!r}",
            mend=f"use one of: {', '.join(LOOPBACK)}; from elsewhere, an ssh tunnel to the port",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # asyncio sends small answers at once only where the protocol is named: else 40 ms each
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        raise OptionError(
            f"port {port} of {host} cannot be used: {error.strerror or error}",
            mend="is residuum serve running there already? give another --port, or --port 0",
        ) from error
    return Place(host, listener.getsockname()[1], listener)


def default_store() -> Path:
    """The folder of the history: ``residuum/workbench`` where this machine keeps user data."""
    named = os.environ.get("XDG_DATA_HOME", "")
    base = Path(named) if named else Path.home() / ".local" / "share"
    return base / "residuum" / "workbench"


def new_token() -> str:
    """A fresh secret for one start of the server."""
    return secrets.token_urlsafe(32)


def serve(
    place: Place,
    token: str,
    bench: Bench,
    *,
    browser: bool = True,
) -> bool:
    """Serve until Ctrl-C.

    Args:
        place: from :func:`bind`.
        token: that requests must bring.
        bench: what it works on; closed at the end.
        browser: open the link.

    Returns:
        Whether every thread has ended. One that is inside a long pass has not; the process then
        ends best by ``os._exit``, since torch aborts where the interpreter goes away under it.
    """
    import uvicorn

    from residuum.apps.workbench.app import create_app

    logging.getLogger("residuum.workbench").setLevel(logging.ERROR)
    app = create_app(bench, token, place.hosts, place.port)
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=_GRACE_S,
        ws="none",
    )
    if browser:
        threading.Thread(target=webbrowser.open, args=(place.link(token),), daemon=True).start()
    try:
        uvicorn.Server(config).run(sockets=[place.listener])
    except KeyboardInterrupt:
        pass  # uvicorn raises it again once it has stopped
    finally:
        ended = bench.close()
        place.listener.close()
    return ended
