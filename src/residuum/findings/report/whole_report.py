"""The part of a report about a circuit or a direction that was examined as a whole."""

from __future__ import annotations

import math
from typing import Any

from residuum.circuits import Circuit
from residuum.figures import Column, Heading, Paragraph, Part, Table
from residuum.findings.record.rules import percent, share
from residuum.findings.record.whole_evidence import WholeEvidence

_SAID = {
    "circuit": (
        "Is this circuit the mechanism?",
        "**Alone**: only its edges carry the run's own value, every other edge the one it has on "
        "the corrupt prompt. **Without it**: the other way round. Random circuits have as many "
        "edges, each on a path from the embedding to the logits.",
        ("alone: does", "without it: lost"),
    ),
    "direction": (
        "Is this direction the mechanism?",
        "**Added**: corrupt prompts are moved along it by the mean distance between the sides, "
        "clean ones back. **Erased**: its component is held at the mean. Random directions have "
        "its norm and the covariance of the activations.",
        ("added: closes", "erased: gone"),
    ),
}


def whole_parts(evidence: WholeEvidence, given: dict[str, Any] | None) -> list[Part]:
    """Heading, what was done, the picture of a circuit, and the numbers beside chance."""
    heading, text, names = _SAID[evidence.kind]
    rows = [
        _row(names[0], share(evidence.recovered), evidence.random_recovered),
        _row(names[1], share(evidence.lost), evidence.random_lost),
    ]
    chance = "highest" if evidence.kind == "circuit" else "95 % below"
    table = Table(
        [Column(""), Column(evidence.name), Column(f"random: {chance}", align="right")],
        rows,
        title="As a whole, with 95 % intervals",
        caption=f"Shares of the distance between clean and corrupt prompts; {evidence.size} of "
        f"{evidence.total} {'edges' if evidence.kind == 'circuit' else 'dimensions'}; "
        f"{evidence.controls} random ones.",
    )
    shown: list[Part] = [Heading(heading), Paragraph(text), *_drawn(evidence, given), table]
    return [*shown, Paragraph(f"Note: {evidence.note}.")] if evidence.note else shown


def _drawn(evidence: WholeEvidence, given: dict[str, Any] | None) -> list[Part]:
    if evidence.kind != "circuit" or given is None:
        return []
    return [Circuit.from_json(given).figure(title=f"The circuit as stated: {evidence.size} edges")]


def _row(name: str, found: str, random: tuple[float, ...]) -> list[str]:
    return [name, found, percent(max(random, default=math.nan))]
