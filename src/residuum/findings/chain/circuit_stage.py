"""Which edges carry the behaviour: discovered on one half, judged on the other, beside chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from residuum.circuits import (
    REFERENCES,
    Circuit,
    CircuitScores,
    MaskedRuns,
    evaluate,
)
from residuum.circuits.judging.ratios import Estimate as Ratio
from residuum.core import SILENT, Progress, ResiduumError
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.circuit_search import STEPS, search_circuit
from residuum.findings.chain.other_circuits import other_circuits
from residuum.findings.record.budget import Budget
from residuum.findings.record.circuit_evidence import (
    MOST_EDGES,
    Checked,
    CircuitEdge,
    CircuitEvidence,
    Judged,
)
from residuum.findings.record.evidence import Estimate

_BROAD = ("counterfactual", "mean", "resample")
_SUBSETS = 5
_METHOD = f"EAP-IG, {STEPS} steps"


def circuit(
    choose: Bench,
    bench: Bench,
    named: Sequence[str],
    spend: Budget,
    progress: Progress = SILENT,
) -> CircuitEvidence:
    """Find the smallest circuit that does what the model does on one half; judge it on the other.

    Edges are scored by EAP-IG on the choosing half, the best of them and a random sample of the
    rest measured exactly; of a ladder of sizes the smallest whose circuit reaches :data:`AIM` there
    is taken. On the measuring half: faithfulness, completeness and minimality under several
    references, and faithfulness and completeness of connected random circuits of its size.

    Args:
        choose: the choosing half.
        bench: the measuring half.
        named: addresses of the parts that the claim names.
        spend: edges measured exactly (as many as pairs), random circuits (``random_sets``); at
            ``quick`` three references, else all.
        progress: told of every forward pass.

    Cost: EAP-IG about 12 forward passes over the choosing half; then a masked run for each size,
    each measured edge, each random circuit twice, and each part and reference.

    Shows: which edges do, alone, what the model does on these pairs. Does not show: that no other
    circuit does (rivals), or what they compute.
    """
    try:
        found, curve, reached = search_circuit(choose, spend, progress)
    except ResiduumError as error:
        return nothing(f"no circuit was searched for: {error.what}")
    left_out: list[str] = []
    scores = _judged(found, bench, spend, left_out, progress)
    if not scores:
        return nothing(*left_out)
    main = scores[0]
    judged = tuple(_evidence(each) for each in scores)
    random = _random(found, bench, spend, left_out, progress)
    parts = tuple(main.by_reference[_name(main)].groups)
    heads = [_z(part) for part in parts]
    return CircuitEvidence(
        method=_METHOD,
        total=found.graph.n_edges,
        n_edges=found.n_edges,
        group=found.graph.group,
        curve=curve,
        reached=reached,
        edges=_edges(found),
        parts=tuple(heads),
        named_in=tuple(at for at in named if at in heads),
        named_out=tuple(at for at in named if at not in heads),
        checked=_checked(found),
        judged=judged,
        random_faithfulness=random[0],
        random_completeness=random[1],
        left_out=tuple(left_out),
        warnings=tuple(dict.fromkeys(w for each in scores for w in each.warnings)),
    )


def nothing(*left_out: str) -> CircuitEvidence:
    """The evidence where there is no circuit, and why."""
    return CircuitEvidence(
        _METHOD, 0, 0, 1, (), False, (), (), (), (), None, (), (), (), left_out, ()
    )  # fmt: skip


def _judged(
    found: Circuit, bench: Bench, spend: Budget, left_out: list[str], progress: Progress
) -> list[CircuitScores]:
    """The circuit under each reference that the pairs allow."""
    broad = _BROAD if spend.name == "quick" else ("counterfactual", *REFERENCES[:-1])
    scores = []
    for reference in broad:
        try:
            scores.append(
                evaluate(
                    found, bench.model, bench.task, references=reference, sizes=(),
                    subsets=_SUBSETS, seed=bench.seed, progress=progress,
                )
            )  # fmt: skip
        except ResiduumError as error:
            left_out.append(f"judged under {reference}: {error.what}")
            if reference == broad[0]:
                return []
    return scores


def _name(scores: CircuitScores) -> str:
    return next(iter(scores.by_reference))


def _evidence(scores: CircuitScores) -> Judged:
    one = scores[_name(scores)]
    return Judged(
        reference=one.reference,
        faithfulness=_estimate(one.faithfulness()),
        faithfulness_by_example=_estimate(one.faithfulness("mean of ratios")),
        completeness=_estimate(one.completeness()),
        incompleteness=float(one.worst_incompleteness()),
        lost=tuple(_estimate(each) for each in one.minimality),
    )


def _estimate(found: Ratio) -> Estimate:
    return Estimate(float(found.value), float(found.low), float(found.high), found.examples)


def _random(
    found: Circuit, bench: Bench, spend: Budget, left_out: list[str], progress: Progress
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Faithfulness and completeness of random connected circuits of the same size."""
    drawn, every, _ = other_circuits(found.graph, found.kept, spend.random_sets, bench.seed)
    if not len(drawn):
        left_out.append("random circuits: there is no other circuit of this size")
        return (), ()
    if every:
        left_out.append(f"random circuits: {len(drawn)} others of this size are all that there are")
    total = found.graph.n_edges
    ends = np.stack([np.ones(total, dtype=bool), np.zeros(total, dtype=bool)])
    runs = MaskedRuns(bench.model, found.graph, bench.task, seed=bench.seed)
    values = runs.metric(np.concatenate([ends, drawn, ~drawn]), progress=progress).mean(axis=1)
    (full, empty), (alone, without) = values[:2], np.split(values[2:], 2)
    faithful, complete = (alone - empty) / (full - empty), (full - without) / (full - empty)
    return tuple(faithful.tolist()), tuple(complete.tolist())


def _edges(found: Circuit) -> tuple[CircuitEdge, ...]:
    assert found.scores is not None
    values, graph = found.scores.values, found.graph
    measured = _measured(found)
    kept = np.flatnonzero(found.kept)
    order = kept[np.argsort(-np.abs(values[kept]), kind="stable")][:MOST_EDGES]
    shown = []
    for edge in order.tolist():
        sender, receiver = graph.name(edge).split(" -> ")
        shown.append(CircuitEdge(sender, receiver, float(values[edge]), edge in measured))
    return tuple(shown)


def _measured(found: Circuit) -> set[int]:
    assert found.scores is not None
    record: Any = found.scores.method.get("verification")
    return set() if record is None else {*record["edges"], *record["sampled"]}


def _checked(found: Circuit) -> Checked | None:
    assert found.scores is not None
    record: Any = found.scores.method.get("verification")
    if record is None:
        return None
    estimated = np.r_[record["approximate"], record["sampled_approximate"]]
    exact = np.r_[record["exact"], record["sampled_exact"]]
    spread = min(np.std(estimated), np.std(exact))
    short = [each for each in found.scores.warnings if "falls short" in each]
    low, high = record["interval"]
    return Checked(
        best=len(record["edges"]),
        sampled=len(record["sampled"]),
        agreement=float(np.corrcoef(estimated, exact)[0, 1]) if spread > 0 else float("nan"),
        open_share=record["open_share"],
        low=low,
        high=high,
        falls_short=short[0] if short else "",
    )


def _z(part: str) -> str:
    """A part's name as the address that a claim uses."""
    return part.replace(".head_out[", ".z[")
