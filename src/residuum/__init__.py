"""Residuum: find which parts of a transformer cause a behaviour, and prove it by intervention.

>>> import residuum as rz
>>> model = rz.load("microworld")
>>> run = model.run("Mary went to the store .", edits=[rz.Zero("L1.z[H0]")])
>>> len(run.fired)
1

Importing this package loads neither torch nor transformers; names are fetched when first used.
Which there are stands in ``__init__.pyi``, once, for type checkers and for this file alike.
"""

from __future__ import annotations

import ast
from difflib import get_close_matches
from importlib import import_module
from pkgutil import get_data
from typing import Any

from residuum.core.provenance import package_version as _package_version

__version__ = _package_version()


def _places() -> dict[str, tuple[str, str]]:
    """Public name -> module that holds it, and its name there, as the stub says.

    There ``import name as name`` makes it public, and ``new = name`` under a new name.
    """
    stub = ast.parse(get_data(__name__, "__init__.pyi") or b"").body
    held = {
        alias.name: (node.module or "", alias.asname)
        for node in stub
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    places = {name: (module, name) for name, (module, public) in held.items() if public}
    for node in stub:
        if isinstance(node, ast.Assign):
            (new,), old = node.targets, node.value
            assert isinstance(new, ast.Name) and isinstance(old, ast.Name)
            places[new.id] = (held[old.id][0], old.id)
    return places


_PLACES = _places()
__all__ = ["__version__", *sorted(_PLACES)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        near = get_close_matches(name, __all__, n=5) or ["dir(residuum)"]
        raise AttributeError(f"residuum has no {name!r}; look at {', '.join(near)}")
    module, inner = _PLACES[name]
    if module == __name__:  # a room itself: rz.heads.qk, rz.organisms.phase_change
        return import_module(f"{module}.{inner}")
    value = getattr(import_module(module), inner)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
