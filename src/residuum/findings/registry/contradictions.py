"""Findings that do not go together, by stated rules."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from residuum.figures import Column, Table
from residuum.findings.record.plain import to_plain
from residuum.findings.record.words import model_name, parts_in_words
from residuum.findings.registry.entry import Entry

Clash = Literal["status", "disjoint", "transfer"]
RULES: dict[Clash, str] = {
    "status": "same model, same task: one is supported and the other is not, where both searched "
    "for a mechanism or both examined the same one",
    "disjoint": "same model, same task: both are supported, and they name no part in common",
    "transfer": "a finding, and a transfer of it that does not hold",
}
"""What is held to contradict. Undecided findings contradict nothing; a wrong mechanism that was
stated and is not supported does not contradict another one that is."""


@dataclass(frozen=True)
class Contradiction:
    """Two findings that cannot both be taken at their word.

    Attributes:
        rule: by which; see :data:`RULES`.
        first, second: their hashes; the first of a ``transfer`` may lie elsewhere.
        task: name of the task.
        models: name of each one's model.
        same: ``weights``, or only the ``name`` of the model; ``other model`` for a transfer.
        same_pairs: whether they were measured on the very same pairs.
        why: in words.
    """

    rule: Clash
    first: str
    second: str
    task: str
    models: tuple[str, ...]
    same: Literal["weights", "name", "other model"]
    same_pairs: bool
    why: str


@dataclass(frozen=True)
class Contradictions:
    """All that were found.

    Shows: which findings do not go together by :data:`RULES`. Does not show: which one is wrong; a
    model may do the same in two ways, and weights of the same name may differ.

    Attributes:
        found: the contradictions; same weights first.
        among: how many findings were looked at.
    """

    found: tuple[Contradiction, ...]
    among: int

    def __len__(self) -> int:
        return len(self.found)

    def figure(self) -> Table:
        """One row each."""
        rows = [
            [each.first[:8], each.second[:8], each.task, _models(each), each.why]
            for each in self.found
        ]
        return Table(
            [Column(name) for name in ("finding", "against", "task", "same", "why")],
            rows,
            title="Findings that contradict each other",
            caption=f"{len(rows)} among {self.among} findings. "
            + " ".join(f"{name.capitalize()}: {rule}." for name, rule in RULES.items()),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data with the rules."""
        return {"among": self.among, "rules": dict(RULES), "found": to_plain(self.found)}


def _models(each: Contradiction) -> str:
    return {"weights": "weights", "name": "name only", "other model": "other model"}[each.same]


def contradictions_among(entries: tuple[Entry, ...]) -> Contradictions:
    """Hold every finding against every other.

    Args:
        entries: of a registry.
    """
    found = [each for pair in combinations(entries, 2) for each in _between(*pair)]
    found += _transfers(entries)
    order = {"weights": 0, "name": 1, "other model": 2}
    found.sort(key=lambda each: (order[each.same], each.task, each.first, each.second))
    return Contradictions(tuple(found), len(entries))


def _between(one: Entry, other: Entry) -> list[Contradiction]:
    """What contradicts between two findings about the same model and task."""
    same = _same_model(one, other)
    if same is None or one.task != other.task:
        return []
    status = {one.status, other.status}
    if status == {"supported", "not supported"} and _same_question(one, other):
        first, second = sorted((one, other), key=lambda each: each.status, reverse=True)
        named = _named(first)
        return [_clash("status", first, second, same, f"{named}: supported, and not supported")]
    if status == {"supported"} and _apart(one, other):
        return [_clash("disjoint", one, other, same, f"{_named(one)}, or else {_named(other)}")]
    return []


def _same_model(one: Entry, other: Entry) -> Any:
    if one.weights == other.weights:
        return "weights"
    return "name" if one.model == other.model else None


def _same_question(one: Entry, other: Entry) -> bool:
    """Both searched, or both are about the same mechanism."""
    if one.origin == other.origin == "found":
        return True
    return _mechanism(one) == _mechanism(other)


def _mechanism(entry: Entry) -> tuple[str, str, frozenset[str]]:
    return entry.kind, entry.given, frozenset(entry.components)


def _apart(one: Entry, other: Entry) -> bool:
    """Whether both name components, and none in common."""
    if not one.kind == other.kind == "components":
        return False
    return not set(one.components) & set(other.components)


def _named(entry: Entry) -> str:
    if entry.kind != "components":
        return f"a {entry.kind}"
    return parts_in_words(entry.components) if entry.components else "no mechanism"


def _clash(rule: Clash, first: Entry, second: Entry, same: Any, why: str) -> Contradiction:
    return Contradiction(
        rule=rule, first=first.hash, second=second.hash, task=first.task,
        models=(first.model, second.model), same=same,
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
