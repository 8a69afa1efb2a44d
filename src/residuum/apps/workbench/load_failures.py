"""Why a model could not be opened: the model's fault, this machine's, or a bug of ours.

The library's own errors say it themselves. Anything else was raised below us, by what reads the
files, or by us; only the second is a bug. Either way its traceback goes to the log once, under a
number that the answer names.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

import residuum
from residuum.apps.workbench.refusals import Broken
from residuum.core import LoadError, ResiduumError

LOG = logging.getLogger("residuum.workbench")
_OURS = Path(residuum.__file__).resolve().parent
_NOT_OURS = (OSError, MemoryError)


def load_failure(name: str, error: BaseException) -> ResiduumError:
    """What to tell everybody who asks for the model.

    Args:
        name: of the model.
        error: that loading it raised.

    Returns:
        The error itself where it is the library's; else a LoadError (400), or Broken (500) where
        our own code raised it.
    """
    if isinstance(error, ResiduumError):
        return error
    number = secrets.token_hex(4)
    LOG.error("%s: %s could not be opened", number, name, exc_info=error)
    reason = " ".join(str(error).split()) or "no reason given"
    what = f"{name} could not be opened: {type(error).__name__}: {reason}"
    if _raised_here(error) and not isinstance(error, _NOT_OURS):
        return Broken(what, mend=f"this is a bug: report it with entry {number} of the log")
    return LoadError(
        what,
        mend=f"the server's log has the whole reason under {number}; try it alone: "
        f"residuum doctor {name}",
    )


def _raised_here(error: BaseException) -> bool:
    """Whether the line that raised it is in this package."""
    trace = error.__traceback__
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    return Path(trace.tb_frame.f_code.co_filename).resolve().is_relative_to(_OURS)
