"""Which tests stand on more than this process: browsers, servers, other processes, threads, clocks.

They may lose a race that says nothing of the package on a machine that stands still for a moment.
Such a test is tried once more, after a pause, and the run's summary names it; what fails twice
fails. A test of plain computation is never tried again.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

RACY = {
    "multiprocessing", "playwright", "selectors", "signal", "socket", "subprocess", "threading",
    "time", "urllib",
}  # fmt: skip
HELPERS = {"label_server", "page_hands", "page_server", "page_speed", "workbench_server"}
FIXTURES = {"browser", "context", "page", "server"}


def stands_outside(module: ModuleType, fixtures: Any = ()) -> bool:
    """Whether a test module, or what a test asks for, is of that kind.

    >>> import textwrap, threading
    >>> made = ModuleType("made")
    >>> stands_outside(made), stands_outside(made, ["page"])
    (False, True)
    >>> made.threading = threading
    >>> stands_outside(made)
    True
    """
    known = RACY | HELPERS
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else _home(value)
        if name.partition(".")[0] in known:
            return True
    return bool(FIXTURES & set(fixtures))


def _home(value: Any) -> str:
    """The module that a class or function was written in."""
    name = getattr(value, "__module__", None)
    return name if isinstance(name, str) and name in sys.modules else ""
