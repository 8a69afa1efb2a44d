"""The views: one file each, found by looking into this folder.

A file takes part when it has a ``VIEW`` (see :class:`~residuum.apps.workbench.views.view.View`).
Adding one is a matter of that file and of a component of the same name among the pages.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from residuum.apps.workbench.views.view import View


@cache
def all_views() -> dict[str, View]:
    """Name -> view, in the order in which they stand on the page."""
    names = [each.name for each in iter_modules(__path__)]
    modules = [import_module(f"{__name__}.{name}") for name in names]
    found: list[View] = [module.VIEW for module in modules if hasattr(module, "VIEW")]
    return {view.name: view for view in sorted(found, key=lambda each: (each.order, each.name))}
