"""The routes: one file for each noun, found by looking into this folder."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from fastapi import APIRouter


def all_routers() -> list[APIRouter]:
    """Every file's ``router``; the pages', which answer whatever is left, last."""
    names = sorted((each.name for each in iter_modules(__path__)), key=lambda n: (n == "pages", n))
    modules = [import_module(f"{__name__}.{name}") for name in names]
    return [module.router for module in modules if hasattr(module, "router")]
