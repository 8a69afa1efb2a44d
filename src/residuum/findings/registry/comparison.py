"""Two findings side by side: what agrees, what differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from residuum.figures import Column, Table
from residuum.findings.finding import Finding
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.plain import to_plain
from residuum.findings.record.rules import number, share
from residuum.findings.record.words import model_name, short


@dataclass(frozen=True)
class Row:
    """One thing that two findings say.

    Attributes:
        what: in words.
        first, second: what each says.
        agrees: texts are equal, intervals overlap; None where one says nothing.
    """

    what: str
    first: str
    second: str
    agrees: bool | None


@dataclass(frozen=True)
class Comparison:
    """Two findings side by side.

    Shows: where they say the same. Does not show: that a difference is more than chance; two
    intervals that overlap may still differ.

    Attributes:
        first, second: their hashes.
        rows: what was compared.
        shared: parts that both name.
        overlap: shared parts over all parts that either names; NaN where neither names any.
    """

    first: str
    second: str
    rows: tuple[Row, ...]
    shared: tuple[str, ...]
    overlap: float

    @property
    def differing(self) -> tuple[Row, ...]:
        """Where they differ."""
        return tuple(row for row in self.rows if row.agrees is False)

    def figure(self) -> Table:
        """One row for each thing compared."""
        marks = {True: "agree", False: "differ", None: ""}
        rows = [[row.what, row.first, row.second, marks[row.agrees]] for row in self.rows]
        agreeing = sum(row.agrees is True for row in self.rows)
        return Table(
            [Column(""), Column(self.first[:8]), Column(self.second[:8]), Column("they")],
            rows,
            title="Two findings side by side",
            caption=f"{agreeing} agree, {len(self.differing)} differ. Texts agree where they are "
            "equal, numbers where their 95 % intervals overlap.",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return to_plain(self)


def compared(one: Finding, other: Finding) -> Comparison:
    """Two findings, thing by thing.

    Args:
        one, other: on the same model or task, or not.
    """
    mine, theirs = set(one.components), set(other.components)
    shared = tuple(at for at in one.components if at in theirs)
    either = len(mine | theirs)
    rows = (*_about(one, other), *_mechanism(one, other, shared), *_numbers(one, other),
            *_rules(one, other))  # fmt: skip
    overlap = len(shared) / either if either else float("nan")
    return Comparison(one.hash, other.hash, tuple(rows), shared, overlap)


def _text(what: str, one: str, other: str) -> Row:
    return Row(what, one or "–", other or "–", one == other)


def _about(one: Finding, other: Finding) -> Iterator[Row]:
    """Model, weights, pairs, and how they were asked."""
    a, b = one.provenance, other.provenance
    yield _text("model", model_name(a.model_id), model_name(b.model_id))
    yield _text("weights", a.weight_hash[:12], b.weight_hash[:12])
    yield _text("task", one.task["name"], other.task["name"])
    yield _text("pairs", a.task_hash[:12], b.task_hash[:12])
    yield _text("measure", f"{one.metric} in {one.unit}", f"{other.metric} in {other.unit}")
    yield _text("mechanism is", one.origin, other.origin)
    yield _text("budget", one.budget.name, other.budget.name)
    yield _text("status", one.status, other.status)


def _mechanism(one: Finding, other: Finding, shared: tuple[str, ...]) -> Iterator[Row]:
    """Kind of mechanism, and which parts both name and which only one."""
    yield _text("kind of mechanism", one.kind, other.kind)
    both = _listed(shared)
    if shared:
        yield Row("parts in both", both, both, True)
    mine, theirs = (
        _listed([at for at in each.components if at not in shared]) for each in (one, other)
    )
    if (mine, theirs) != ("–", "–"):
        yield Row("parts in one alone", mine, theirs, agrees=False)
    if one.given is not None and other.given is not None:
        same = one.given == other.given
        yield Row(f"the {one.kind}", "as given", "the same" if same else "another", same)


def _listed(parts: Any) -> str:
    return " ".join(short(at) for at in parts) or "–"


def _numbers(one: Finding, other: Finding) -> Iterator[Row]:
    """Behaviour and mechanism in numbers; in the metric's unit only where it is the same."""
    yield _shares("accuracy", one.behaviour.accuracy, other.behaviour.accuracy)
    if one.unit == other.unit and one.metric == other.metric:
        a, b = one.behaviour.contrast, other.behaviour.contrast
        yield Row(f"clean minus corrupt ({one.unit})", number(a), number(b), _overlap(a, b))
    found = [_moved(each) for each in (one, other)]
    for i, what in enumerate(("regained with it alone", "lost without it")):
        a, b = (each[i] for each in found)
        if a is not None and b is not None:
            yield _shares(what, a, b)
        elif a is not None or b is not None:
            first, second = ("–" if each is None else share(each) for each in (a, b))
            yield Row(what, first, second, None)


def _moved(finding: Finding) -> tuple[Estimate | None, Estimate | None]:
    if finding.parts is not None:
        return finding.parts.together.recovered, finding.parts.together.swap_drop
    if finding.whole is not None:
        return finding.whole.recovered, finding.whole.lost
    return None, None


def _shares(what: str, one: Estimate, other: Estimate) -> Row:
    return Row(what, share(one), share(other), _overlap(one, other))


def _overlap(one: Estimate, other: Estimate) -> bool | None:
    """Whether two intervals overlap; None where one has none."""
    if not all(end == end for end in (one.low, one.high, other.low, other.high)):
        return None
    return one.low <= other.high and other.low <= one.high


def _rules(one: Finding, other: Finding) -> Iterator[Row]:
    """Every rule that either was held to."""
    sides = [{(rule.asks, rule.name): rule.outcome for rule in each.rules} for each in (one, other)]
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        a, b = (side.get(key) for side in sides)
        same = None if a is None or b is None else a == b
        yield Row(f"{key[0]}: {key[1]}", a or "–", b or "–", same)
