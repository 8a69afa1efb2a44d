"""Names of a program's parts, and the program line by line."""

from __future__ import annotations

from collections.abc import Iterator

from residuum.organisms.compiled.expressions import Expression


def describe(expression: Expression) -> Iterator[str]:
    """One line for each part of a program, inputs first, named as in :func:`names_of`."""
    names = names_of(expression)
    for each in expression.parts():
        read = ", ".join(dict.fromkeys(names[id(one)] for one in each.inputs))
        kind = "numerical" if each.numerical else "categorical"
        yield f"{names[id(each)]} = {each.kind}({read})  [{kind}]" if read else names[id(each)]


def names_of(expression: Expression) -> dict[int, str]:
    """``id`` of each part -> a name of its own: the user's, numbered where several are equal."""
    names: dict[int, str] = {}
    for each in expression.parts():
        base = each.name or each.kind
        taken = sum(name == base or name.startswith(f"{base}_") for name in names.values())
        names[id(each)] = f"{base}_{taken + 1}" if taken else base
    return names
