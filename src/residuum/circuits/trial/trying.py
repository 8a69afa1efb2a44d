"""The verb: put a circuit on trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from residuum.circuits.engine.masked import MaskedRuns
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.scores import REFERENCES
from residuum.circuits.judging.distinct_pairs import DistinctPairs, distinct_pairs
from residuum.circuits.trial import verdicts as tests
from residuum.circuits.trial.held_out import check_metric, held_out
from residuum.circuits.trial.measured import Drawn, Measured, drawn_for, measure
from residuum.circuits.trial.trial_options import (
    check_circuit,
    draws_of,
    names_of,
    need_pairs,
    required_tests,
    rules_of,
)
from residuum.circuits.trial.trial_record import EdgeVerdict, Trial, TrialLevels
from residuum.circuits.trial.verdict import REJECTING, TESTS, Verdict
from residuum.core import SILENT, Progress
from residuum.runs import (
    Metric,
    Model,
    Task,
    metric_named,
    need_model,
    need_task,
    refuse_unknown,
)

_OPTIONS = (
    "margin, alpha, n_random, references, required, matter_frac, outside, unit, metric, found_on, "
    "same_prompts, seed, max_memory, progress"
)


def trial(
    circuit: Circuit,
    model: Model,
    task: Task,
    *,
    margin: float = 0.1,
    alpha: float = 0.05,
    n_random: int | None = None,
    references: Sequence[str] = ("counterfactual", "mean"),
    required: Sequence[str] = TESTS,
    matter_frac: float = 0.5,
    outside: bool = False,
    unit: str = "pair",
    metric: str = "",
    found_on: Task | None = None,
    same_prompts: bool = False,
    seed: int = 0,
    max_memory: Any = None,
    progress: Progress = SILENT,
    **unknown: Any,
) -> Trial:
    """Test what a circuit claims: that it carries the behaviour, alone, and better than chance.

    Args:
        circuit: of this model.
        model: a loaded model whose layer seam is proven.
        task: contrast pairs that the circuit was not found on. A pair that is there twice is
            counted once; pairs of one clean prompt count as one unit.
        margin: the circuit is as good as the model if it is within this share of full - empty.
        alpha: bound on the probability that any of the nulls is rejected that is true.
        n_random: random circuits of the circuit's size (and four times as many random edges for
            the minimality test); by default as many as the correction needs: 1 / (n + 1) <
            alpha / tests.
        references: what edges outside a circuit carry; each test must hold under each.
        required: tests that must hold for the circuit to pass.
        matter_frac: share of the circuit's edges that must matter.
        outside: compare its removal with that of random circuits that share no edge with it. By
            default they are drawn from the whole graph, so that a random circuit passes as rarely
            as alpha says; where one edge is a bottleneck, they then do as much harm.
        unit: what counts as independent: ``"pair"`` (the verdict is about more prompts of these
            templates) or ``"template"``.
        metric: by default the task's own.
        found_on: the task that the circuit was found on, to compare prompts one by one; only for
            a circuit that has no record of them.
        same_prompts: try it on the prompts that it was found on, and say so.
        seed: of random circuits, flips, permutations and bootstraps.
        max_memory: bytes beyond the model, or a text such as ``"2 GB"``.
        progress: who is told.

    Returns:
        A :class:`Trial` with a verdict for each test and reference:

        equivalence: the null |mean(full - circuit)| >= margin × mean(full - empty) is rejected (two
        one-sided tests). independence: HSIC finds no dependence between the model's output and what
        the rest says beyond the empty run, by permutation, and would have found one. minimality:
        at least ``matter_frac`` of the edges matter more to the circuit than edges added to it at
        random (partial conjunction; edge by edge with Benjamini-Hochberg). sufficiency: the circuit
        is nearer to the model, prompt by prompt, than random connected circuits of its size.
        necessity: its removal does more harm than theirs. All but independence pass by rejecting;
        their p-values are adjusted together (Holm). Independence passes by *not* rejecting, so its
        p-value is not adjusted (that would make passing easier), and it is undecided where the
        pairs are too few to see a leak that explains half of the variance.

    Raises:
        OptionError: no circuit or an empty one; an unknown option; too few random circuits; another
            metric than the circuit was found by; a model without a proven seam.
        LoadError: a circuit of another model.
        TaskError: prompts of the discovery; another task; too few different pairs for alpha.

    Shows, does not show: see :class:`Trial`.
    Source: Shi et al. 2024, "Hypothesis testing the circuit hypothesis in LLMs". Deviations:
    equivalence is a non-inferiority test in the metric's own unit; independence is asked of what
    the rest adds to the empty run, and must have power; p-values are (b + 1) / (n + 1) and
    corrected for multiplicity; random circuits have exactly the circuit's size.

    >>> import residuum as rz
    >>> from residuum.circuits import circuit_from_edges, graph_of
    >>> model = rz.load("microworld")
    >>> task = rz.task("ioi", model, n=16)
    >>> found = trial(circuit_from_edges(graph_of(model), ["embed -> logits"]), model, task,
    ...     references=["counterfactual"])
    >>> found.verdict, found["equivalence"].holds
    ('fails', False)
    """
    refuse_unknown(unknown, "trial", _OPTIONS)
    need_model(model, "trial")
    need_task(task, "trial")
    check_circuit(circuit, model)
    references, required = names_of(references, "references", REFERENCES), required_tests(required)
    pairs = distinct_pairs(task)
    rules = rules_of(pairs, metric, margin, alpha, matter_frac, outside, unit, seed)
    measure_by = metric_named(metric or task.metric)
    check_metric(circuit, measure_by.name)
    known = held_out(circuit, task, found_on, same_prompts=same_prompts)
    n_tests = len(REJECTING) * len(references)
    n = draws_of(n_random, n_tests, alpha)
    n_units = need_pairs(pairs, rules, n_tests, unit)
    drawn = drawn_for(circuit.graph, circuit.kept, n, outside=outside, seed=seed)
    found = []
    for each in references:
        runs = MaskedRuns(
            model, circuit.graph, pairs.task, each, metric=metric, seed=seed, max_memory=max_memory
        )
        sign = 1.0 if measure_by.larger_is_better else -1.0
        found.append(measure(runs, circuit.kept, drawn, each, sign=sign, progress=progress))
    judged, edges = _judged(circuit, found, drawn, rules)
    return Trial(
        judged,
        required,
        known.holds,
        known.why,
        tuple(_levels(each) for each in found),
        edges,
        task.name,
        measure_by.name,
        measure_by.unit,
        circuit.n_edges,
        circuit.graph.n_edges,
        len(pairs.task),
        n_units,
        float(margin),
        float(alpha),
        float(matter_frac),
        n,
        1 / (n + 1),
        n_tests,
        circuit.hash,
        _warnings(circuit, pairs, found, measure_by),
        model.provenance(
            task_hash=task.task_hash,
            strategy=f"trial(margin={margin:g}, alpha={alpha:g}, n_random={n}, "
            f"references={list(references)}, required={list(required)}, "
            f"matter_frac={matter_frac:g}, outside={outside}, unit={unit}, "
            f"metric={measure_by.name}, circuit={circuit.hash[:16]})",
            seed=seed,
        ),
    )


def _judged(
    circuit: Circuit, found: Sequence[Measured], drawn: Drawn, rules: tests.Rules
) -> tuple[tuple[Verdict, ...], tuple[EdgeVerdict, ...]]:
    """Every test's verdict, and every edge's."""
    verdicts, edges = [], []
    for each in found:
        effects = tests.edge_effects(each)
        verdicts += [
            tests.equivalence(each, rules),
            tests.independence(each, rules),
            tests.minimality(each, effects, rules),
            tests.sufficiency(each, rules),
            tests.necessity(each, circuit.kept, drawn.removed, rules),
        ]
        if effects is not None:
            columns = (effects.effects, effects.p, effects.p_adjusted)
            for edge, effect, p, adjusted in zip(each.edges, *columns, strict=True):
                numbers = float(effect), float(p), float(adjusted)
                matters = bool(adjusted <= rules.alpha)
                name = circuit.graph.name(int(edge))
                edges.append(EdgeVerdict(name, each.reference, *numbers, matters))
    return tests.judged(verdicts, rules.alpha), tuple(edges)


def _levels(found: Measured) -> TrialLevels:
    return TrialLevels(
        found.reference,
        float(found.full.mean()),
        float(found.empty.mean()),
        float(found.circuit.mean()),
        float(found.rest.mean()),
        tuple(found.random.mean(axis=1).tolist()),
        tuple(found.random_rest.mean(axis=1).tolist()),
    )


def _warnings(
    circuit: Circuit, pairs: DistinctPairs, found: Sequence[Measured], measure_by: Metric
) -> tuple[str, ...]:
    said = [*circuit.own_warnings, *pairs.warnings]
    if not measure_by.larger_is_better:
        said.append(f"less {measure_by.name} is better: all values have the other sign")
    references = [each.reference for each in found]
    if circuit.reference not in references:
        said.append(
            f"the circuit was found under {circuit.reference}, the trial is under "
            + " and ".join(references)
        )
    return tuple(said)
