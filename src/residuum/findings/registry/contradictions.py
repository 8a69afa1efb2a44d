"""Findings held against each other, by stated rules."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from residuum.findings.record.words import model_name, parts_in_words, short
from residuum.findings.registry.contradiction import (
    Clash,
    Contradiction,
    Contradictions,
    OtherParts,
    Same,
)
from residuum.findings.registry.entry import Entry
from residuum.findings.registry.measured import Measured


def contradictions_among(entries: tuple[Entry, ...]) -> Contradictions:
    """Hold every finding against every other.

    Args:
        entries: of a registry.
    """
    pairs = [pair for pair in combinations(entries, 2) if _same_behaviour(*pair)]
    found = [each for pair in pairs for each in _between(*pair)]
    found += _transfers(entries)
    order = {"weights": 0, "name": 1, "other model": 2}
    found.sort(key=lambda each: (order[each.same], each.task, each.first, each.second))
    apart = tuple(_other_parts(*pair) for pair in pairs if _apart(*pair))
    return Contradictions(tuple(found), len(entries), apart)


def _same_behaviour(one: Entry, other: Entry) -> bool:
    """Same model, task and measure."""
    same = _same_model(one, other) is not None
    return same and (one.task, one.metric) == (other.task, other.metric)


def _same_model(one: Entry, other: Entry) -> Same | None:
    if one.weights == other.weights:
        return "weights"
    return "name" if one.model == other.model else None


def _between(one: Entry, other: Entry) -> list[Contradiction]:
    """What contradicts between two findings about the same behaviour of the same model."""
    found = []
    for first, second in ((one, other), (other, one)):
        if first.status != "supported":
            continue
        if second.status == "not supported" and _same_question(first, second):
            why = f"{_named(first)}: supported, and not supported"
            found.append(_clash("status", first, second, why))
        for why in _parts_against(first, second):
            found.append(_clash("part", first, second, why))
    return found


def _same_question(yes: Entry, no: Entry) -> bool:
    """Whether what is not supported would have to be, if the other is right."""
    if not no.present or yes.origin == no.origin == "found":
        return True
    if yes.kind == no.kind == "components":
        return set(yes.components) <= set(no.components)
    return _mechanism(yes) == _mechanism(no)


def _mechanism(entry: Entry) -> tuple[str, str, frozenset[str]]:
    return entry.kind, entry.given, frozenset(entry.components)


def _parts_against(yes: Entry, no: Entry) -> Iterator[str]:
    """Parts that one shows by themselves and the other does not, in words."""
    idle = {each.at: each for each in no.idle}
    for part in yes.shown:
        other = idle.get(part.at)
        if other is not None and other.high < part.low:
            yield (
                f"{short(part.at)} alone recovers {_range(part)} of the distance, or else "
                f"{_range(other)}"
            )


def _range(part: Measured) -> str:
    return f"{100 * part.low:.0f} to {100 * part.high:.0f} %"


def _apart(one: Entry, other: Entry) -> bool:
    """Whether both are supported by components, none of them in common."""
    if not one.kind == other.kind == "components" or {one.status, other.status} != {"supported"}:
        return False
    return not set(one.components) & set(other.components)


def _other_parts(one: Entry, other: Entry) -> OtherParts:
    return OtherParts(
        first=one.hash,
        second=other.hash,
        task=one.task,
        same=_same_model(one, other) or "other model",
        same_pairs=one.task_hash == other.task_hash,
        why=f"{_named(one)}; {_named(other)}",
    )


def _named(entry: Entry) -> str:
    if entry.kind != "components":
        return f"a {entry.kind}"
    return parts_in_words(entry.components) if entry.components else "no mechanism"


def _clash(rule: Clash, first: Entry, second: Entry, why: str) -> Contradiction:
    return Contradiction(
        rule=rule, first=first.hash, second=second.hash, task=first.task,
        models=(first.model, second.model), same=_same_model(first, second) or "other model",
        same_pairs=first.task_hash == second.task_hash, why=why,
    )  # fmt: skip


def _transfers(entries: tuple[Entry, ...]) -> list[Contradiction]:
    """Transfers that do not hold, against what was tried, here or elsewhere."""
    known = {each.hash: each for each in entries}
    found = []
    for each in entries:
        if each.verdict != "does not hold":
            continue
        origin = known.get(each.transfer_of)
        models = (origin.model,) if origin else ()
        there = f"found on {model_name(origin.model)}" if origin else "found elsewhere"
        here = f"it does not hold on {model_name(each.model)}"
        found.append(
            Contradiction(
                rule="transfer",
                first=each.transfer_of,
                second=each.hash,
                task=each.task,
                models=(*models, each.model),
                same="other model",
                same_pairs=origin is not None and origin.task_hash == each.task_hash,
                why=f"{there}, {here}",
            )
        )
    return found
