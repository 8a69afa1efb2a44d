"""The run-time check of the tests: array shapes in annotations, and nothing else.

jaxtyping's own import hook wraps every function and every dataclass, which breaks transformers'
configurations, and lets beartype raise on ordinary types before the package's own error can, which
other tests pin. This one wraps only functions whose annotations mention an array, and checks only
those annotations.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import FunctionType, ModuleType
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray, jaxtyped


def mentions_array(annotation: Any, names: dict[str, Any] | None = None) -> bool:
    """Whether a jaxtyping array is in the annotation, at any depth."""
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, dict(names or {}))
        except Exception:  # a name for type checkers only; it cannot be checked at run time
            return False
    if inspect.isclass(annotation) and issubclass(annotation, AbstractArray):
        return True
    return any(mentions_array(each, names) for each in get_args(annotation))


def shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Beartype for the annotations with arrays in them."""
    given = function.__annotations__
    if not any(mentions_array(each) for each in given.values()):
        return function
    kept = {name: each if mentions_array(each) else Any for name, each in given.items()}
    function.__annotations__ = kept
    return beartype(function)


def checked(thing: Any) -> Any:
    """The function, or method of any kind, with its shapes checked if it states some."""
    if isinstance(thing, staticmethod | classmethod):
        inner = checked(thing.__func__)
        return thing if inner is thing.__func__ else type(thing)(inner)
    if isinstance(thing, property) and thing.fget is not None:
        getter = checked(thing.fget)
        return thing if getter is thing.fget else property(getter, thing.fset, thing.fdel)
    if not isinstance(thing, FunctionType) or hasattr(thing, "__wrapped__"):
        return thing
    stated = thing.__annotations__.values()
    if not any(mentions_array(each, thing.__globals__) for each in stated):
        return thing
    return jaxtyped(thing, typechecker=shapes)


def check_module(module: ModuleType) -> None:
    """Check shapes in every function and method that the module defines."""
    for name, thing in list(vars(module).items()):
        if getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(thing):
            for key, each in list(vars(thing).items()):
                if (better := checked(each)) is not each:
                    setattr(thing, key, better)
        elif (better := checked(thing)) is not thing:
            setattr(module, name, better)


class _CheckingLoader(Loader):
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        check_module(module)


class _CheckingFinder(MetaPathFinder):
    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{self._package}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _CheckingLoader(spec.loader)
        return spec


def install(package: str) -> None:
    """Check the shapes in all modules below the package that are imported from now on."""
    sys.meta_path.insert(0, _CheckingFinder(package))
