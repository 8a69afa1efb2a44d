"""The chain from a behaviour to a claim: is it there, where is it, which heads, is it chance."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from residuum.core import SILENT, OptionError, Progress, TaskError, content_hash, package_version
from residuum.findings.chain import claim as say
from residuum.findings.chain.behaviour_stage import behaviour
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.lens_stage import lens
from residuum.findings.chain.parts_stage import parts
from residuum.findings.chain.roles_stage import roles
from residuum.findings.chain.stages import Stages
from residuum.findings.chain.where_stage import where
from residuum.findings.finding import SCHEMA, Finding
from residuum.findings.record.budget import Budget, budget_named
from residuum.findings.record.evidence import (
    BehaviourEvidence,
    LensEvidence,
    Sample,
    WhereEvidence,
)
from residuum.findings.record.part_evidence import PartsEvidence, RolesEvidence
from residuum.findings.record.rules import behaviour_rules, decide, each_rule, head_rules, present
from residuum.runs import Model, Task, make_task

FEWEST_PAIRS = 8
SHOWN = 6
_SUFFIXES = (".csv", ".jsonl", ".json")


def investigate(
    model: Model,
    task: Task | str,
    budget: str = "quick",
    seed: int = 0,
    out: str | Path | None = None,
    progress: Progress = SILENT,
) -> Finding:
    """Find which heads a behaviour rests on, and say how sure that is.

    The chain: the behaviour against random labels; the logit lens; patching of the stream, of
    every head, and of each layer's attention and MLP; the strongest heads, chosen on one half of
    the pairs, one by one and together on the other half, against random sets of heads; and which
    heads write the answer by their direct path to the logits. Where the behaviour is absent it
    stops after the lens and says so.

    Args:
        model: a loaded model.
        task: a task, the name of one, or a CSV or JSONL file of pairs.
        budget: ``quick``, ``standard`` or ``thorough``; see :data:`BUDGETS`.
        seed: of the pairs (where ``task`` is a name) and of every random choice.
        out: folder in which finished stages are kept, so that an interrupted investigation goes
            on where it stopped. Nothing else is written; see :meth:`Finding.save`.
        progress: who is told.

    Returns:
        The finding, its status decided by the rules in it.

    Raises:
        TaskError: pairs that do not belong to the model, or fewer than 8 of them.
        OptionError: no such budget, or a metric that has no direction.

    Shows: see :class:`Finding`. Does not show: see there.

    >>> import residuum as rz
    >>> finding = rz.investigate(rz.load("microworld"), "ioi")
    >>> finding.status in ("supported", "not supported", "undecided")
    True
    """
    spend = budget_named(budget)
    given = task_of(model, task, spend, seed)
    used = given.head(2 * spend.n)
    _check(model, used)
    chain = _Chain(model, used, spend, seed, None if out is None else Path(out), progress)
    return chain.finding(n_given=len(given))


def task_of(model: Model, task: Task | str, budget: Budget, seed: int) -> Task:
    """The task itself, the one of this name, or the one in this file."""
    if isinstance(task, Task):
        return task
    if Path(task).suffix in _SUFFIXES:
        return Task.from_pairs(task, model)
    return make_task(task, model, n=2 * budget.n, seed=seed)


def _check(model: Model, task: Task) -> None:
    task.check_fits(model)
    if len(task) < FEWEST_PAIRS:
        raise TaskError(
            f"{len(task)} pairs are too few to choose heads on some and measure on others",
            mend=f"give at least {FEWEST_PAIRS} pairs; 64 are usual",
            where=task.name,
        )
    bench = Bench(model, task)
    if bench.metric.needs_reference:
        raise OptionError(
            f"{task.metric} has no sign towards clean", mend="use logit_diff, prob or prob_diff"
        )


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


class _Chain:
    """One investigation under way."""

    def __init__(
        self,
        model: Model,
        task: Task,
        budget: Budget,
        seed: int,
        out: Path | None,
        progress: Progress,
    ) -> None:
        self.budget, self.seed, self.progress = budget, seed, progress
        self.task = task
        self.choose = Bench(model, task[0::2], seed)
        self.bench = Bench(model, task[1::2], seed)
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
            "seed": self.seed,
        }

    def finding(self, n_given: int) -> Finding:
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
        places, named, does = None, None, None
        if present(rules):
            places = found = self.stages.run("where", WhereEvidence, self.where)
            heads = {"heads": list(places.chosen)}
            named = self.stages.run("parts", PartsEvidence, lambda: self.parts(found), heads)
            does = self.stages.run("roles", RolesEvidence, lambda: self.roles(found), heads)
            rules += (*head_rules(named.together), each_rule(named.heads))
        return self.assembled(shown, reading, places, named, does, rules, n_given)

    def where(self) -> WhereEvidence:
        return where(self.choose, self.bench, self.budget.max_heads, self.numbered(3))

    def parts(self, found: WhereEvidence) -> PartsEvidence:
        sets = self.budget.random_sets
        return parts(self.bench, found.chosen, sets, found.heads, self.numbered(4))

    def roles(self, found: WhereEvidence) -> RolesEvidence:
        spend = self.budget
        return roles(
            self.choose, self.bench, found.chosen, spend.max_heads, spend.random_sets,
            self.numbered(5),
        )  # fmt: skip

    def numbered(self, number: int) -> Progress:
        return _Numbered(self.progress, f"{number}/5")

    def assembled(
        self,
        shown: BehaviourEvidence,
        reading: LensEvidence,
        places: WhereEvidence | None,
        named: PartsEvidence | None,
        does: RolesEvidence | None,
        rules: Any,
        n_given: int,
    ) -> Finding:
        status = decide(rules)
        components = places.chosen if places else ()
        return Finding(
            claim=say.claim(self.bench, shown, named, rules, status),
            status=status,
            falsifier=say.falsifier(self.bench, components, named is not None),
            scope=say.scope(self.bench, len(self.choose.task), n_given),
            limits=say.limits(self.task.clean, self.task.corrupt, self.task.lengths),
            components=components,
            intervention=say.INTERVENTION,
            metric=self.task.metric,
            unit=self.bench.metric.unit,
            budget=self.budget,
            rules=rules,
            behaviour=shown,
            lens=reading,
            where=places,
            parts=named,
            roles=does,
            samples=samples(self.bench),
            task=self.task.to_json(),
            provenance=self.bench.model.provenance(
                task_hash=self.task.task_hash,
                strategy=f"investigate(budget={self.budget.name})",
                seed=self.seed,
                software=software(),
            ),
        )


def samples(bench: Bench, count: int = SHOWN) -> tuple[Sample, ...]:
    """The first pairs as text, with what the model says to each."""
    few = Bench(bench.model, bench.task.head(count), bench.seed)
    clean, corrupt = few.logits("clean"), few.logits("corrupt")
    says = [few.strings(logits.argmax(dim=-1)) for logits in (clean, corrupt)]
    values = few.measure(clean), few.measure(corrupt)
    model, task = bench.model, few.task
    found = []
    for row in range(len(task)):
        end = int(task.lengths[row])
        found.append(
            Sample(
                clean=model.to_string(task.clean[row, :end]),
                corrupt=model.to_string(task.corrupt[row, :end]),
                answers=few.strings(task.answers[row])[:4],
                wrong=few.strings(task.wrong[row])[:4],
                says_clean=says[0][row],
                says_corrupt=says[1][row],
                metric_clean=float(values[0][row]),
                metric_corrupt=float(values[1][row]),
            )
        )
    return tuple(found)


def code_hash() -> str:
    """SHA-256 over this package's sources: a stage is only reused by the code that made it."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def software() -> dict[str, str]:
    """Versions of what computed the numbers."""
    packages = {name: version(name) for name in ("torch", "transformers", "numpy")}
    return {"residuum": package_version(), "python": platform.python_version(), **packages}
