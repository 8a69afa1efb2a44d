"""docs/api.md names no argument, attribute or function that does not exist."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import residuum as rz

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
CALL = re.compile(r"`([\w.]+)\(([^`]*)\)`")
NAME = re.compile(r"`([a-z_]+)`")


def rows() -> list[tuple[str, str]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    return [(each[0], " | ".join(each[1:])) for each in cells]


def found(name: str) -> Any:
    value: Any = rz
    for part in name.split("."):
        value = getattr(value, part)
    return value


CALLS = [call for first, _ in rows() for call in CALL.findall(first)]


def wrong_in(name: str, told: str) -> list[str]:
    """Arguments and defaults that the function does not have."""
    own = inspect.signature(found(name)).parameters
    wrong = []
    for each in told.split(", "):
        argument, _, default = each.partition("=")
        plain = argument.lstrip("*")
        if plain in ("", "..."):
            continue
        held = own.get(plain)
        other = held is not None and default not in ("", "...") and _text(held.default) != default
        wrong += [each] if held is None or other else []
    return wrong


def _text(default: Any) -> str:
    return repr(default).replace("'", '"').replace(", ", ",")


@pytest.mark.parametrize(("name", "told"), CALLS, ids=[name for name, _ in CALLS])
def test_arguments_and_defaults_are_the_functions_own(name: str, told: str) -> None:
    assert wrong_in(name, re.sub(r"\(.*?\)", lambda m: m[0].replace(", ", ","), told)) == []


def test_what_does_not_exist_is_noticed() -> None:
    assert wrong_in("heads.skip_trigrams", "model, n=20, *, draws=None, ...") == []
    assert wrong_in("heads.skip_trigrams", "model, n=21, dice=3") == ["n=21", "dice=3"]


CLASSES = [
    (name, text)
    for first, text in rows()
    for name in re.findall(r"`([A-Z]\w+)`", first)
    if inspect.isclass(getattr(rz, name, None)) and not issubclass(found(name), Exception)
]


@pytest.mark.parametrize(("name", "text"), CLASSES, ids=[name for name, _ in CLASSES])
def test_attributes_exist(name: str, text: str) -> None:
    kind = found(name)
    own = {*dir(kind), *getattr(kind, "__dataclass_fields__", {})}
    own |= {*inspect.signature(kind).parameters} if not inspect.isabstract(kind) else set()
    if name == "Model":
        own |= {*vars(rz.load("microworld", check=False))}
    verbs = {each for each in rz.__all__ if each.islower()} | {"how", "method", "jobs"}
    assert set(NAME.findall(text)) - own - verbs == set()


def test_the_rooms_are_told_in_full() -> None:
    """Every function of ``heads`` stands on the page."""
    told = {name for name, _ in CALLS}
    functions = {name for name in rz.heads.__all__ if inspect.isfunction(getattr(rz.heads, name))}
    assert functions
    assert {f"heads.{name}" for name in functions - {"detect_heads"}} <= told
