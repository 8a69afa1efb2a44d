"""The course of an investigation: its stages one after the other, and the finding they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from residuum.core import Progress, content_hash
from residuum.findings.chain import claim as say
from residuum.findings.chain.behaviour_stage import behaviour
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.falsifier import falsifier
from residuum.findings.chain.further import Further, Work
from residuum.findings.chain.lens_stage import lens
from residuum.findings.chain.parts_stage import parts
from residuum.findings.chain.roles_stage import roles
from residuum.findings.chain.samples import samples
from residuum.findings.chain.scope import limits, scope
from residuum.findings.chain.software import code_hash, software
from residuum.findings.chain.stages import Stages
from residuum.findings.chain.where_stage import where
from residuum.findings.chain.whole_progress import Whole
from residuum.findings.chain.whole_stage import whole
from residuum.findings.finding import SCHEMA, Finding
from residuum.findings.record.budget import Budget
from residuum.findings.record.evidence import BehaviourEvidence, LensEvidence, WhereEvidence
from residuum.findings.record.mechanism import Mechanism
from residuum.findings.record.part_evidence import PartsEvidence, RolesEvidence
from residuum.findings.record.parts_rules import parts_rules
from residuum.findings.record.plain import to_plain
from residuum.findings.record.rules import (
    Rule,
    behaviour_rules,
    decide,
    present,
)
from residuum.findings.record.whole_evidence import WholeEvidence, whole_rules
from residuum.runs import Model, Task

R = TypeVar("R")
_CORE = ("behaviour", "lens", "where")


@dataclass(frozen=True)
class Order:
    """What was ordered.

    Attributes:
        model: a loaded model.
        task: the pairs, both halves.
        n_given: how many pairs the caller gave.
        budget: what may be spent.
        seed: of every random choice.
        mechanism: what the caller states; None where it is searched for.
        further: the stages beyond the core.
        also: other models that are asked the same.
    """

    model: Model
    task: Task
    n_given: int
    budget: Budget
    seed: int
    mechanism: Mechanism | None
    further: tuple[Further, ...]
    also: tuple[Model, ...] = ()

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of all stages in order."""
        if self.mechanism is not None and self.mechanism.kind != "components":
            return (*_CORE, "whole")
        return (*_CORE, "parts", "roles", *(each.name for each in self.further))


class Course:
    """One investigation or examination under way."""

    def __init__(self, order: Order, out: Path | None, progress: Progress) -> None:
        self.order = order
        self.budget, self.task = order.budget, order.task
        self.choose = Bench(order.model, order.task[0::2], order.seed)
        self.bench = Bench(order.model, order.task[1::2], order.seed)
        self.stages = Stages(out, self.inputs())
        self.progress = Whole(progress, order.stages)

    def inputs(self) -> dict[str, Any]:
        """What every stage depends on."""
        provenance = self.bench.model.provenance()
        return {
            "schema": SCHEMA,
            "code": code_hash(),
            "weights": provenance.weight_hash,
            "dtype": provenance.dtype,
            "device": provenance.device,
            "task": content_hash(self.task.to_json()),
            "budget": asdict(self.budget),
            "seed": self.order.seed,
        }

    def finding(self) -> Finding:
        """Run the stages that are not finished, and put the finding together."""
        spend = self.budget
        shown = self.run(
            "behaviour", BehaviourEvidence, lambda told: behaviour(self.bench, spend.shuffles, told)
        )
        reading = self.run("lens", LensEvidence, lambda told: lens(self.bench, progress=told))
        rules = behaviour_rules(shown, self.bench.metric.unit)
        if not present(rules):
            nothing = self.order.mechanism or Mechanism("components", "found", ())
            return self.assembled(shown, reading, nothing, rules, {})
        places = self.run(
            "where", WhereEvidence, lambda told: where(self.choose, self.bench, spend, told)
        )
        mechanism = self.order.mechanism or Mechanism("components", "found", places.chosen)
        examined = self.parts if mechanism.kind == "components" else self.whole
        held, more = examined(mechanism, places)
        return self.assembled(shown, reading, mechanism, rules + more, {"where": places, **held})

    def run(self, name: str, kind: type[R], compute: Callable[[Progress], R], on: Any = None) -> R:
        """A stage's result, computed or kept, with the progress of the whole."""
        known, told = len(self.stages.reused), self.progress.stage(name)
        found = self.stages.run(name, kind, lambda: compute(told), on)
        self.progress.finished(name, reused=len(self.stages.reused) > known)
        return found

    def parts(
        self, mechanism: Mechanism, places: WhereEvidence
    ) -> tuple[dict[str, Any], tuple[Rule, ...]]:
        """Evidence on named parts by field of the finding, and the rules that it meets."""
        on, names, spend = {"mechanism": to_plain(mechanism)}, mechanism.components, self.budget
        sets = spend.random_sets
        named = self.run(
            "parts", PartsEvidence, lambda told: parts(self.bench, names, sets, places, told), on
        )
        does = self.run(
            "roles", RolesEvidence,
            lambda told: roles(self.choose, self.bench, names, spend.max_heads, sets, told), on,
        )  # fmt: skip
        held: dict[str, Any] = {"where": places, "parts": named, "roles": does}
        rules = parts_rules(named)
        for each in self.order.further:
            held[each.name] = self.further(each, mechanism, dict(held), on)
            rules += each.rules(held[each.name])
        return held, rules

    def further(self, each: Further, mechanism: Mechanism, held: dict[str, Any], on: Any) -> Any:
        """Evidence of one further stage; other models are part of what it depends on."""
        on = {**on, "also": [other.adapted.weight_hash for other in self.order.also]}

        def compute(told: Progress) -> Any:
            order = self.order
            work = Work(
                self.choose, self.bench, mechanism, self.budget, told, held, order.also
            )  # fmt: skip
            return each.compute(work)

        return self.run(each.name, each.kind, compute, on)

    def whole(
        self, mechanism: Mechanism, places: WhereEvidence
    ) -> tuple[dict[str, Any], tuple[Rule, ...]]:
        """The same of a circuit or a direction."""
        seen = self.run(
            "whole", WholeEvidence,
            lambda told: whole(self.bench, mechanism, self.budget, told),
            {"mechanism": to_plain(mechanism)},
        )  # fmt: skip
        return {"whole": seen}, whole_rules(seen)

    def assembled(
        self,
        shown: BehaviourEvidence,
        reading: LensEvidence,
        mechanism: Mechanism,
        rules: tuple[Rule, ...],
        held: dict[str, Any],
    ) -> Finding:
        """The finding, worded and signed."""
        status = decide(rules)
        tested = [each.name for each in self.order.further if each.name in held]
        told = say.Told(self.bench, mechanism, shown, rules, status, self.added(held, "words"))
        evidence = {"where": None, "parts": None, "roles": None, **held}
        return Finding(
            claim=say.claim(told, held.get("parts"), held.get("whole")),
            status=status,
            falsifier=falsifier(told),
            scope=(
                *scope(self.bench, mechanism, len(self.choose.task), self.order.n_given, rules),
                *(f"{note}." for note in self.added(held, "notes")),
            ),
            limits=limits(self.task.clean, self.task.corrupt, self.task.lengths, tested),
            origin=mechanism.origin,
            kind=mechanism.kind,
            components=mechanism.components,
            intervention=say.INTERVENTIONS[mechanism.kind],
            metric=self.task.metric,
            unit=self.bench.metric.unit,
            budget=self.budget,
            stages=tuple(each.name for each in self.order.further),
            also=tuple(each.name for each in self.order.also),
            rules=rules,
            behaviour=shown,
            lens=reading,
            samples=samples(self.bench),
            task=self.task.to_json(),
            provenance=self.provenance(mechanism),
            given=mechanism.data,
            **evidence,
        )

    def added(self, held: dict[str, Any], what: str) -> tuple[str, ...]:
        """What further stages add to the claim (``words``) or to the scope (``notes``)."""
        ran = [each for each in self.order.further if each.name in held]
        said = [getattr(each, what)(held[each.name]) for each in ran]
        return tuple(each[0].upper() + each[1:].rstrip(".") for each in said if each)

    def provenance(self, mechanism: Mechanism) -> Any:
        """Model, weights, tokenizer, data, strategy, seed and software."""
        verb = "investigate" if mechanism.origin == "found" else "examine"
        return self.bench.model.provenance(
            task_hash=self.task.task_hash,
            strategy=f"{verb}(budget={self.budget.name})",
            seed=self.order.seed,
            software=software(),
        )
