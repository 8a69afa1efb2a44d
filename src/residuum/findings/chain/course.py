"""The course of an investigation: its stages one after the other, and the finding they make."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from residuum.core import Progress, content_hash
from residuum.findings.chain import claim as say
from residuum.findings.chain.behaviour_stage import behaviour
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.further import Further, Work
from residuum.findings.chain.lens_stage import lens
from residuum.findings.chain.parts_stage import parts
from residuum.findings.chain.roles_stage import roles
from residuum.findings.chain.samples import samples
from residuum.findings.chain.scope import limits, scope
from residuum.findings.chain.software import code_hash, software
from residuum.findings.chain.stages import Stages
from residuum.findings.chain.where_stage import where
from residuum.findings.chain.whole_stage import whole
from residuum.findings.finding import SCHEMA, Finding
from residuum.findings.record.budget import Budget
from residuum.findings.record.evidence import BehaviourEvidence, LensEvidence, WhereEvidence
from residuum.findings.record.mechanism import Mechanism
from residuum.findings.record.part_evidence import PartsEvidence, RolesEvidence
from residuum.findings.record.plain import to_plain
from residuum.findings.record.rules import (
    Rule,
    behaviour_rules,
    decide,
    each_rule,
    mechanism_rules,
    present,
)
from residuum.findings.record.whole_evidence import WholeEvidence, whole_rules
from residuum.runs import Model, Task

_CORE = 5


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
    """

    model: Model
    task: Task
    n_given: int
    budget: Budget
    seed: int
    mechanism: Mechanism | None
    further: tuple[Further, ...]


@dataclass(frozen=True)
class _Numbered:
    """Hands progress on, with the number of the stage in front of its name."""

    inner: Progress
    number: str

    def start(self, stage: str, total: int) -> None:
        self.inner.start(f"{self.number} {stage}", total)

    def advance(self, steps: int = 1) -> None:
        self.inner.advance(steps)

    def finish(self) -> None:
        self.inner.finish()


class Course:
    """One investigation or examination under way."""

    def __init__(self, order: Order, out: Path | None, progress: Progress) -> None:
        self.order, self.progress = order, progress
        self.budget, self.task = order.budget, order.task
        self.choose = Bench(order.model, order.task[0::2], order.seed)
        self.bench = Bench(order.model, order.task[1::2], order.seed)
        self.stages = Stages(out, self.inputs())

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
        shown = self.stages.run(
            "behaviour",
            BehaviourEvidence,
            lambda: behaviour(self.bench, self.budget.shuffles, self.numbered(1)),
        )
        reading = self.stages.run(
            "lens", LensEvidence, lambda: lens(self.bench, progress=self.numbered(2))
        )
        rules = behaviour_rules(shown, self.bench.metric.unit)
        if not present(rules):
            nothing = self.order.mechanism or Mechanism("components", "found", ())
            return self.assembled(shown, reading, nothing, rules, {})
        places = self.stages.run("where", WhereEvidence, self.where)
        mechanism = self.order.mechanism or Mechanism("components", "found", places.chosen)
        held, more = self.examined(mechanism, places)
        return self.assembled(shown, reading, mechanism, rules + more, held)

    def examined(
        self, mechanism: Mechanism, places: WhereEvidence
    ) -> tuple[dict[str, Any], tuple[Rule, ...]]:
        """Evidence on a mechanism by field of the finding, and the rules that it meets."""
        on = {"mechanism": to_plain(mechanism)}
        if mechanism.kind != "components":
            seen = self.stages.run("whole", WholeEvidence, lambda: self.whole(mechanism), on)
            return {"where": places, "whole": seen}, whole_rules(seen)
        named = self.stages.run("parts", PartsEvidence, lambda: self.parts(mechanism, places), on)
        does = self.stages.run("roles", RolesEvidence, lambda: self.roles(mechanism), on)
        held: dict[str, Any] = {"where": places, "parts": named, "roles": does}
        rules = (*mechanism_rules(named.together), each_rule(named.named))
        for number, each in enumerate(self.order.further, start=_CORE + 1):
            progress = self.numbered(number)
            work = Work(self.choose, self.bench, mechanism, self.budget, progress, dict(held))
            held[each.name] = self.stages.run(
                each.name, each.kind, lambda each=each, work=work: each.compute(work), on
            )
            rules += each.rules(held[each.name])
        return held, rules

    def where(self) -> WhereEvidence:
        """Where the answer can be moved from, and what is chosen there."""
        return where(self.choose, self.bench, self.budget, self.numbered(3))

    def parts(self, mechanism: Mechanism, places: WhereEvidence) -> PartsEvidence:
        """The named parts one by one and together."""
        sets = self.budget.random_sets
        return parts(self.bench, mechanism.components, sets, places, self.numbered(4))

    def whole(self, mechanism: Mechanism) -> WholeEvidence:
        """A circuit or a direction as a whole."""
        return whole(self.bench, mechanism, self.budget, self.numbered(4))

    def roles(self, mechanism: Mechanism) -> RolesEvidence:
        """Who writes the answer."""
        spend = self.budget
        return roles(
            self.choose, self.bench, mechanism.components, spend.max_heads, spend.random_sets,
            self.numbered(5),
        )  # fmt: skip

    def numbered(self, number: int) -> Progress:
        """Progress with the stage's number in front."""
        return _Numbered(self.progress, f"{number}/{_CORE + len(self.order.further)}")

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
            falsifier=say.falsifier(told),
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
        return tuple(each.rstrip(".") for each in said if each)

    def provenance(self, mechanism: Mechanism) -> Any:
        """Model, weights, tokenizer, data, strategy, seed and software."""
        verb = "investigate" if mechanism.origin == "found" else "examine"
        return self.bench.model.provenance(
            task_hash=self.task.task_hash,
            strategy=f"{verb}(budget={self.budget.name})",
            seed=self.order.seed,
            software=software(),
        )
