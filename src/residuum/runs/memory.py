"""Memory: how much is asked for, how much there is, and what an error for lack of it looks like."""

from __future__ import annotations

import os
import re
from typing import Any

import torch

from residuum.core import OptionError

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_TEXTS = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate")


def memory_in_bytes(asked: Any, name: str = "max_memory") -> int | None:
    """A number of bytes, or a text such as ``"2 GB"`` or ``"512 MiB"``; None stays None.

    Raises:
        OptionError: it is neither, or not positive.

    >>> memory_in_bytes("1.5 GB")
    1500000000
    """
    if asked is None:
        return None
    if isinstance(asked, (int, float)) and not isinstance(asked, bool) and 1 <= asked < 2**63:
        return int(asked)
    text = asked if isinstance(asked, str) else ""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    if found and found[2].lower() in _UNITS and float(found[1]) > 0:
        return max(1, int(float(found[1]) * _UNITS[found[2].lower()]))
    raise OptionError(
        f"{name}={asked!r} is no amount of memory", mend='give bytes, or a text such as "2 GB"'
    )


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device now; on the CPU, what the system calls available."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        names = getattr(os, "sysconf_names", {})
        if "SC_PHYS_PAGES" in names:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        return 4 * 10**9


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(t in str(error).lower() for t in _TEXTS)
