"""Names on the hub: whether it can be asked, and what is said when it cannot.

The hub's client tries again for half a minute when there is no network. So one short connection is
tried before it is asked; without an answer only the local cache is read.
"""

from __future__ import annotations

import socket
import threading
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from residuum.core import LoadError

PATIENCE_S = 2.0
"""Seconds that one attempt to connect may take, name look-up included."""

_REMEMBERED_S = 20.0
_ABSENT = ("connect", "cached", "does not appear to have", "can't load the model")


class _Answer:
    """The last answer, so that model, configuration and tokenizer ask once."""

    at: float = -1e9
    reached: bool = False
    endpoint: str = ""


def options(
    name: str, revision: str | None = None, *, needs: str | None = "config.json"
) -> dict[str, Any]:
    """What ``from_pretrained`` is to be told beside the name: nothing, or to read the cache alone.

    Args:
        name: on the hub.
        revision: branch, tag or commit.
        needs: a file without which there is no use in going on; None for none.

    Raises:
        LoadError: the hub cannot be reached, and the cache does not hold that file.
    """
    if reachable():
        return {}
    if needs is None:
        return {"local_files_only": True}
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        held = try_to_load_from_cache(name, needs, revision=revision)
    except HFValidationError:  # no name of a repository: transformers says why
        return {"local_files_only": True}
    if not isinstance(held, str):
        raise absent(name)
    return {"local_files_only": True}


def reachable() -> bool:
    """Whether the hub, or the proxy before it, takes a connection within ``PATIENCE_S``."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    endpoint = constants.ENDPOINT
    if _Answer.endpoint != endpoint or monotonic() - _Answer.at > _REMEMBERED_S:
        _Answer.reached = _answers(*_door(endpoint))
        _Answer.at, _Answer.endpoint = monotonic(), endpoint
    return _Answer.reached


def absent(name: str) -> LoadError:
    """The error for a model that is neither in the cache nor to be had."""
    from huggingface_hub import constants

    why = "offline mode is on" if constants.HF_HUB_OFFLINE else "there is no connection to it"
    return LoadError(
        f"cannot load {name}: no such folder, not all its files are in the local cache, "
        f"and {constants.ENDPOINT} was not asked: {why}",
        mend="give a folder or microworld (inside the package), or go online for a hub name",
    )


def is_absence(error: Exception, options: dict[str, Any]) -> bool:
    """Whether transformers found a file missing while only the cache could be read."""
    text = str(error).lower()
    return bool(options) and isinstance(error, OSError) and any(mark in text for mark in _ABSENT)


def _door(endpoint: str) -> tuple[str, int]:
    """Host and port that a request to the hub goes to first."""
    url = urlsplit(endpoint)
    proxy = getproxies().get(url.scheme) or getproxies().get("all")
    if proxy and not proxy_bypass(url.hostname or ""):
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def _answers(host: str, port: int) -> bool:
    """Try to connect, in a thread: looking up a name has no timeout of its own."""
    found: list[bool] = []

    def attempt() -> None:
        try:
            socket.create_connection((host, port), timeout=PATIENCE_S).close()
        except OSError:
            return
        found.append(True)

    trial = threading.Thread(target=attempt, daemon=True)
    trial.start()
    trial.join(PATIENCE_S)
    return bool(found)
