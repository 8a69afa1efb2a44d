"""A finding put together from the evidence of its stages: ruled, worded and signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from residuum.findings.chain import claim as say
from residuum.findings.chain.falsifier import falsifier
from residuum.findings.chain.order import Order
from residuum.findings.chain.samples import samples
from residuum.findings.chain.scope import limits, scope
from residuum.findings.chain.software import software
from residuum.findings.finding import Finding
from residuum.findings.record.evidence import BehaviourEvidence, LensEvidence
from residuum.findings.record.mechanism import Mechanism
from residuum.findings.record.rules import Rule, decide, present
from residuum.findings.record.ruling import ruled
from residuum.findings.record.specificity_rules import UNTESTED

NO_INTERVENTION = "none: the behaviour is absent, so nothing was patched"


def assembled(
    order: Order,
    shown: BehaviourEvidence,
    reading: LensEvidence,
    mechanism: Mechanism,
    held: Mapping[str, Any],
) -> Finding:
    """The finding: its rules and status follow from the evidence, its words from both.

    Args:
        order: what was asked for.
        shown, reading: the behaviour, and what each layer would answer.
        mechanism: what is named.
        held: all further evidence by field of the finding; none where the behaviour is absent.
    """
    bench = order.bench
    rules = ruled(shown, bench.metric.unit, held)
    status, there = decide(rules), present(rules)
    added = _added(order, held, "words")
    if there and status != "not supported" and "specificity" not in held:
        added = (*added, UNTESTED)
    told = say.Told(bench, mechanism, shown, rules, status, added)
    kind = mechanism.kind if there else None
    return Finding(
        claim=say.claim(told, held.get("parts"), held.get("whole")),
        status=status,
        falsifier=falsifier(told),
        scope=(
            *_scope(order, mechanism, rules, there),
            *(f"{note}." for note in _added(order, held, "notes")),
        ),
        limits=limits(
            order.task.clean, order.task.corrupt, order.task.lengths, _untested(held), kind
        ),
        origin=mechanism.origin,
        kind=mechanism.kind,
        components=mechanism.components,
        intervention=say.INTERVENTIONS[mechanism.kind] if there else NO_INTERVENTION,
        metric=order.task.metric,
        unit=bench.metric.unit,
        budget=order.budget,
        stages=tuple(each.name for each in order.further),
        also=tuple(each.name for each in order.also),
        rules=rules,
        behaviour=shown,
        lens=reading,
        samples=samples(bench),
        task=order.task.to_json(),
        provenance=_provenance(order, mechanism),
        given=mechanism.data,
        **{"where": None, "parts": None, "roles": None, **held},
    )


def _scope(
    order: Order, mechanism: Mechanism, rules: tuple[Rule, ...], there: bool
) -> tuple[str, ...]:
    choose = order.choose.task
    return scope(order.bench, mechanism if there else None, choose, order.n_given, rules)


def _untested(held: Mapping[str, Any]) -> list[str]:
    """What else nothing was measured on."""
    spared, robust = held.get("specificity"), held.get("robustness")
    tried = {
        "other tasks": spared is not None and bool(spared.tested),
        "other templates": robust is not None and bool(robust.folds),
        "other models": robust is not None and bool(robust.models),
    }
    tried["untrained weights or labels at random"] = held.get("controls") is not None
    return [name for name, done in tried.items() if not done]


def _added(order: Order, held: Mapping[str, Any], what: str) -> tuple[str, ...]:
    """What further stages add to the claim (``words``) or to the scope (``notes``)."""
    ran = [each for each in order.further if each.name in held]
    said = [getattr(each, what)(held[each.name]) for each in ran]
    return tuple(each[0].upper() + each[1:].rstrip(".") for each in said if each)


def _provenance(order: Order, mechanism: Mechanism) -> Any:
    """Model, weights, tokenizer, data, strategy, seed and software."""
    verb = "investigate" if mechanism.origin == "found" else "examine"
    return order.model.provenance(
        task_hash=order.task.task_hash,
        strategy=f"{verb}(budget={order.budget.name})",
        seed=order.seed,
        software=software(),
    )
