"""Dictionaries that hang on a model: names that can stand in an address, each with its coder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from residuum.core import OptionError
from residuum.runs.apply import Coder
from residuum.runs.arguments import shown

_NAME = re.compile(r"[A-Za-z0-9_.\-]+")


class Hung(dict[str, Coder]):
    """Name -> dictionary; what is no name or no dictionary is refused when it is hung on.

    >>> hung = Hung()
    >>> hung["sae"] = 5
    Traceback (most recent call last):
    ...
    residuum.core.errors.OptionError: 5 is no dictionary: it has no encode() and decode()
      mend: give what rz.load_dictionary or a training made, or an object with both
    """

    def __setitem__(self, name: str, coder: Coder) -> None:
        need_name(name)
        need_coder(coder)
        dict.__setitem__(self, name, coder)

    def setdefault(self, name: str, coder: Any = None) -> Coder:
        """The dictionary of this name, or this one, hung on."""
        if name not in self:
            self[name] = coder
        return self[name]

    def update(self, *given: Any, **more: Coder) -> None:
        """Hang on several; none, if one of them is refused."""
        several = dict(*given, **more)
        for name, coder in several.items():
            need_name(name)
            need_coder(coder)
        dict.update(self, several)

    def __ior__(self, several: Mapping[str, Coder] | Iterable[tuple[str, Coder]]) -> Hung:  # pyright: ignore
        self.update(several)
        return self


def need_name(name: Any) -> None:
    """Refuse what cannot be the name of a dictionary in an address.

    Raises:
        OptionError: it cannot.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise OptionError(
            f"name={shown(name)} cannot stand in an address",
            mend="use letters, digits, point, dash and underscore",
        )


def need_coder(coder: Any) -> None:
    """Refuse what is no dictionary: it needs ``encode`` and ``decode``, see :class:`Coder`.

    Raises:
        OptionError: it lacks one, or is a class.
    """
    ways = (getattr(coder, "encode", None), getattr(coder, "decode", None))
    if isinstance(coder, (type, str, bytes)) or not all(callable(each) for each in ways):
        raise OptionError(
            f"{shown(coder)} is no dictionary: it has no encode() and decode()",
            mend="give what rz.load_dictionary or a training made, or an object with both",
        )
