"""The course of an investigation: its stages one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from residuum.core import Progress
from residuum.findings.chain.assembling import assembled
from residuum.findings.chain.behaviour_stage import behaviour
from residuum.findings.chain.further import Further, Work
from residuum.findings.chain.lens_stage import lens
from residuum.findings.chain.order import Order
from residuum.findings.chain.parts_stage import parts
from residuum.findings.chain.roles_stage import roles
from residuum.findings.chain.stages import Stages
from residuum.findings.chain.where_stage import where
from residuum.findings.chain.whole_progress import Whole
from residuum.findings.chain.whole_stage import whole
from residuum.findings.finding import Finding
from residuum.findings.record.evidence import BehaviourEvidence, LensEvidence, WhereEvidence
from residuum.findings.record.mechanism import Mechanism
from residuum.findings.record.part_evidence import PartsEvidence, RolesEvidence
from residuum.findings.record.plain import to_plain
from residuum.findings.record.rules import present
from residuum.findings.record.ruling import ruled
from residuum.findings.record.whole_evidence import WholeEvidence

R = TypeVar("R")


class Course:
    """One investigation or examination under way."""

    def __init__(self, order: Order, out: Path | None, progress: Progress) -> None:
        self.order, self.budget = order, order.budget
        self.choose, self.bench = order.choose, order.bench
        self.stages = Stages(out, order.inputs())
        self.progress = Whole(progress, order.stages)

    def finding(self) -> Finding:
        """Run the stages that are not finished, and put the finding together."""
        spend = self.budget
        shown = self.run(
            "behaviour", BehaviourEvidence, lambda told: behaviour(self.bench, spend.shuffles, told)
        )
        reading = self.run("lens", LensEvidence, lambda told: lens(self.bench, progress=told))
        if not present(ruled(shown, self.bench.metric.unit, {})):
            nothing = self.order.mechanism or Mechanism("components", "found", ())
            return assembled(self.order, shown, reading, nothing, {})
        places = self.run(
            "where", WhereEvidence, lambda told: where(self.choose, self.bench, spend, told)
        )
        mechanism = self.order.mechanism or Mechanism("components", "found", places.chosen)
        examined = self.parts if mechanism.kind == "components" else self.whole
        held = examined(mechanism, places)
        for each in self.order.further:
            held[each.name] = self.further(each, mechanism, dict(held))
        return assembled(self.order, shown, reading, mechanism, held)

    def run(self, name: str, kind: type[R], compute: Callable[[Progress], R], on: Any = None) -> R:
        """A stage's result, computed or kept, with the progress of the whole."""
        known, told = len(self.stages.reused), self.progress.stage(name)
        found = self.stages.run(name, kind, lambda: compute(told), on)
        self.progress.finished(name, reused=len(self.stages.reused) > known)
        return found

    def parts(self, mechanism: Mechanism, places: WhereEvidence) -> dict[str, Any]:
        """Evidence on named parts by field of the finding."""
        on, names, spend = {"mechanism": to_plain(mechanism)}, mechanism.components, self.budget
        sets = spend.random_sets
        named = self.run(
            "parts", PartsEvidence, lambda told: parts(self.bench, names, sets, places, told), on
        )
        does = self.run(
            "roles", RolesEvidence,
            lambda told: roles(self.choose, self.bench, names, spend.max_heads, sets, told), on,
        )  # fmt: skip
        return {"where": places, "parts": named, "roles": does}

    def whole(self, mechanism: Mechanism, places: WhereEvidence) -> dict[str, Any]:
        """The same of a circuit or a direction."""
        seen = self.run(
            "whole", WholeEvidence,
            lambda told: whole(self.bench, mechanism, self.budget, told),
            {"mechanism": to_plain(mechanism)},
        )  # fmt: skip
        return {"where": places, "whole": seen}

    def further(self, each: Further, mechanism: Mechanism, held: dict[str, Any]) -> Any:
        """Evidence of one further stage; other models are part of what it depends on."""
        also = [other.adapted.weight_hash for other in self.order.also]

        def compute(told: Progress) -> Any:
            work = Work(
                self.choose, self.bench, mechanism, self.budget, told, held, self.order.also
            )
            return each.compute(work)

        on = {"mechanism": to_plain(mechanism), "also": also}
        return self.run(each.name, each.kind, compute, on)
