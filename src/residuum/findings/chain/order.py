"""What is ordered of the chain, and which stages that takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from residuum.core import content_hash
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.further import Further
from residuum.findings.chain.halves import halves
from residuum.findings.chain.software import code_hash
from residuum.findings.finding import SCHEMA
from residuum.findings.record.budget import Budget
from residuum.findings.record.mechanism import Mechanism
from residuum.runs import Model, Task

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
        stated = self.mechanism is not None and self.mechanism.kind != "components"
        examined = ("whole",) if stated else ("parts", "roles")
        return (*_CORE, *examined, *(each.name for each in self.further))

    @cached_property
    def halves(self) -> tuple[Task, Task]:
        """The pairs to choose on and the pairs to measure on."""
        return halves(self.task)

    @cached_property
    def choose(self) -> Bench:
        """The half of the pairs on which parts are chosen."""
        return Bench(self.model, self.halves[0], self.seed)

    @cached_property
    def bench(self) -> Bench:
        """The half that everything is measured on."""
        return Bench(self.model, self.halves[1], self.seed)

    def inputs(self) -> dict[str, Any]:
        """What every stage depends on."""
        provenance = self.model.provenance()
        return {
            "schema": SCHEMA,
            "code": code_hash(),
            "weights": provenance.weight_hash,
            "dtype": provenance.dtype,
            "device": provenance.device,
            "task": content_hash(self.task.to_json()),
            "budget": asdict(self.budget),
            "seed": self.seed,
        }
