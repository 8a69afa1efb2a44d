"""A circuit's scores in words: the spread over the choices first, then each of them."""

from __future__ import annotations

from residuum.circuits.judging.judged import Judged
from residuum.circuits.judging.ratios import Estimate
from residuum.circuits.judging.reference_scores import AVERAGES, ReferenceScores

_SHOWS = (
    "Shows: what the circuit alone does of the behaviour, under each reference. Does not show: "
    "that it beats a random circuit or a rival (rz.trial), nor anything on other prompts."
)


def summary(scores: Judged) -> str:
    """All of it; one number is never given alone."""
    circuit = scores.circuit
    low, high = scores.spread
    references = list(scores.by_reference.values())
    lines = [
        f"CircuitScores({circuit.n_edges:,} of {circuit.graph.n_edges:,} edges, "
        f"{scores.examples} pairs, {scores.metric})",
        f"  faithfulness {low:.3g} to {high:.3g} over {len(references)} "
        f"reference{'s' * (len(references) != 1)} and {len(AVERAGES)} ways to average "
        "(1: as the model, 0: as without it)",
        *_table(references),
    ]
    if scores.sizes:
        lines += _areas(scores, references)
    lines += [f"  ! {each}" for each in scores.warnings]
    if scores.held_out is not False and scores.held_out_why:
        lines.append(f"  {scores.held_out_why}")
    return "\n".join([*lines, f"  {_SHOWS}"])


def _table(references: list[ReferenceScores]) -> list[str]:
    """One line for each reference."""
    found = []
    for each in references:
        means, ratios = (each.faithfulness(average) for average in AVERAGES)
        rest = each.completeness()
        found.append(
            f"  {each.reference}: faithful {means} (mean of ratios {ratios}), complete {rest}"
            f"{_sets(each)}{_least(each)}"
        )
    return found


def _sets(scores: ReferenceScores) -> str:
    sets = len(scores.circuit_less)
    if not sets:
        return ""
    return f", off by at most {scores.worst_incompleteness():.2g} without {sets} random sets"


def _least(scores: ReferenceScores) -> str:
    """The group that adds least."""
    losses = scores.minimality
    if not losses:
        return ""
    name, least = min(zip(scores.groups, losses, strict=True), key=lambda pair: abs(pair[1].value))
    idle = sum(1 for each in losses if _covers_zero(each))
    return f"; least needed {name} ({least.value:+.2g}), {idle} of {len(losses)} not told from idle"


def _covers_zero(found: Estimate) -> bool:
    return not (found.low > 0 or found.high < 0)


def _areas(scores: Judged, references: list[ReferenceScores]) -> list[str]:
    """CPR and CMD side by side, for both selections."""
    found = [
        f"  over {len(scores.sizes)} sizes, {scores.how}, CPR (area under faithfulness) / CMD "
        "(area between it and 1), both from no edges, where faithfulness is 0, to all:"
    ]
    for by in ("signed", "absolute"):
        each = [f"{one.reference} {one.cpr(by)} / {one.cmd(by)}" for one in references]
        found.append(f"    by {by} score: {'; '.join(each)}")
    return found
