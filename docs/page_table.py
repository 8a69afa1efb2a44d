"""A table between two marks of a page: written by a script, or compared with what the script gives.

The scripts beside this file, ``docs/make_*.py``, make the tables; ``--check`` only compares.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def main_of(page: Path, start: str, end: str, table: Callable[[], str], about: str | None) -> int:
    """A script's whole ``main``: its one table is written, or with ``--check`` compared."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    return put(page, start, end, table(), parser.parse_args().check)


def put(page: Path, start: str, end: str, new: str, check: bool, *, exact: bool = False) -> int:
    """Write what stands between the marks, or say by the exit code whether it says the same.

    ``exact`` for a table that is made from kept results: then nothing may differ.
    """
    head, rest = page.read_text(encoding="utf-8").split(start)
    old, tail = rest.split(end, 1)
    if not check:
        page.write_text(head + start + new + end + tail, encoding="utf-8")
        return 0
    same = old == new if exact else alike(old, new)
    if not same:
        print(f"{page} is out of date, see its mark {start.strip()}\n{new}")
    return int(not same)


def alike(old: str, new: str) -> bool:
    """Whether two tables say the same, their figures up to rounding."""
    if NUMBER.sub("#", old) != NUMBER.sub("#", new):
        return False
    pairs = zip(NUMBER.findall(old), NUMBER.findall(new), strict=True)
    return all(abs(float(a) - float(b)) <= max(0.05 * abs(float(a)), last(a)) for a, b in pairs)


def last(figure: str) -> float:
    """One in the last digit of a figure."""
    return 10.0 ** -len(figure.partition(".")[2])
