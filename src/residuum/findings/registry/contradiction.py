"""Two findings that contradict each other, and the rules by which they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from residuum.figures import Column, Table
from residuum.findings.record.plain import to_plain

Clash = Literal["status", "part", "transfer"]
Same = Literal["weights", "name", "other model"]
RULES: dict[Clash, str] = {
    "status": "same model, task and measure: one is supported and the other is not, where both "
    "searched for a mechanism, or the other one's behaviour is absent, or it examined the same "
    "mechanism, or the same parts and more",
    "part": "same model, task and measure: a supported finding names a part that is shown by "
    "itself; in the other the same part is not shown, or does nothing, and its interval lies below",
    "transfer": "a finding, and a transfer of it that does not hold",
}
"""What is held to contradict. Statuses that are undecided contradict nothing; a wrong mechanism
that was stated and is not supported does not contradict another one that is, nor does a piece of
it that is not enough by itself."""
OTHER_PARTS = (
    "same model, task and measure: both are supported, and they name no part in common; both may "
    "lie on one path, or the model may do it in two ways"
)
"""What is said beside the contradictions, and is none."""


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
    same: Same
    same_pairs: bool
    why: str


@dataclass(frozen=True)
class OtherParts:
    """Two supported findings about one behaviour that name no part in common.

    Attributes:
        first, second: their hashes.
        task: name of the task.
        same: ``weights``, or only the ``name`` of the model.
        same_pairs: whether they were measured on the very same pairs.
        why: which parts, in words.
    """

    first: str
    second: str
    task: str
    same: Same
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
        other_parts: supported findings that name no part in common, which is no contradiction.
    """

    found: tuple[Contradiction, ...]
    among: int
    other_parts: tuple[OtherParts, ...] = ()

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
            + " ".join(f"{name.capitalize()}: {rule}." for name, rule in RULES.items())
            + self._beside(),
        )

    def _beside(self) -> str:
        """What is no contradiction, in words."""
        if not self.other_parts:
            return ""
        pairs = [f"{each.first[:8]} and {each.second[:8]}" for each in self.other_parts]
        return f" No contradiction, but other parts: {'; '.join(pairs)} ({OTHER_PARTS})."

    def to_json(self) -> dict[str, Any]:
        """Plain data with the rules."""
        return {
            "among": self.among,
            "rules": dict(RULES),
            "found": to_plain(self.found),
            "other_parts": to_plain(self.other_parts),
        }


def _models(each: Contradiction) -> str:
    return {"weights": "weights", "name": "name only", "other model": "other model"}[each.same]
