"""The part of a report about the circuit: its picture, its judgement, and random ones beside."""

from __future__ import annotations

from residuum.figures import (
    Bars,
    Bullets,
    Column,
    Fold,
    Guide,
    Heading,
    LayeredGraph,
    Lines,
    Link,
    Paragraph,
    Part,
    Series,
    Table,
)
from residuum.findings.record.circuit_evidence import AIM, CircuitEvidence
from residuum.findings.record.circuit_rules import REFERENCE_WORDS, circuit_rules
from residuum.findings.record.rules import percent
from residuum.findings.record.words import short
from residuum.findings.report.part_layers import PORTS, layers_of, read_by
from residuum.findings.report.share_cells import share_cell

_FIRST = 60
"""Edges drawn at first."""
_LISTED = 24
_MARKS = {"holds": "Yes.", "fails": "No.", "unclear": "Not clear."}


def circuit_parts(evidence: CircuitEvidence, unit: str) -> list[Part]:
    """Heading, picture, verdicts in words, and tables.

    Args:
        evidence: what was measured.
        unit: of the metric, in which edges are scored.
    """
    shown: list[Part] = [Heading("Which circuit?")]
    main = evidence.main
    if main is None:
        return [*shown, Paragraph(f"Not testable: {'; '.join(evidence.left_out)}.")]
    shown += [
        Paragraph(
            f"An edge is what one part sends to one input of a later one. All {evidence.total:,} "
            f"were scored on the choosing half by {evidence.method}; the circuit is the smallest "
            f"that does {percent(AIM)} of what the model does there while every other edge carries "
            "the corrupt prompt's value. What follows is from the other half."
        ),
        edge_graph(evidence, unit),
        Bullets([
            f"**{rule.name}? {_MARKS[rule.outcome]}** {rule.found}."
            for rule in circuit_rules(evidence)
        ]),
    ]  # fmt: skip
    if evidence.left_out:
        shown.append(Paragraph(f"Not done: {'; '.join(evidence.left_out)}."))
    title = "The circuit in numbers: each reference, each part, each edge, and how its size came"
    return [*shown, Fold(title, _found(evidence, unit), printed=False)]


def _found(evidence: CircuitEvidence, unit: str) -> list[Part]:
    shown: list[Part] = [judged_table(evidence)]
    if evidence.warnings:
        shown.append(Paragraph(f"Note: {'; '.join(evidence.warnings)}."))
    shown += [lost_bars(evidence), edge_table(evidence, unit), size_lines(evidence)]
    checked = evidence.checked
    if checked is not None:
        said = (
            f"{checked.best} edges, the best by the method, and {checked.sampled} others drawn at "
            f"random were measured exactly; estimate and measurement correlate at "
            f"{checked.agreement:.2f}. About {percent(checked.open_share)} of the summed effect "
            f"[{100 * checked.low:.0f}, {100 * checked.high:.0f}] is in edges not measured."
        )
        shown.append(Paragraph(said + (f" {checked.falls_short}." if checked.falls_short else "")))
    return shown


def edge_graph(evidence: CircuitEvidence, unit: str) -> LayeredGraph:
    """The circuit from the tokens to the logits, its strongest edges first."""
    drawn = [
        (edge, part, reads)
        for edge in evidence.edges
        for parts, reads in [read_by(edge.receiver, evidence.group)]
        for part in parts
    ]
    ends = {_part(edge.sender) for edge in evidence.edges} | {part for _, part, _ in drawn}
    names, boxes, rows = layers_of(ends)
    links = [
        Link(
            names.index(_part(edge.sender)), names.index(part), edge.score, PORTS.get(reads, 0.0),
            reads,
        )
        for edge, part, reads in drawn
    ]  # fmt: skip
    listed = len(evidence.edges)
    more = f" The picture holds the strongest {listed}." if listed < evidence.n_edges else ""
    return LayeredGraph(
        boxes,
        links,
        rows,
        shown=min(len(links), _FIRST),
        total=evidence.total,
        unit=unit,
        title=f"The circuit: {evidence.n_edges:,} of {evidence.total:,} edges",
        caption="Layers from bottom to top, MLPs at the right; queries arrive at the left of a "
        "head, keys in the middle, values at the right. Width: what the answer loses when this "
        "edge alone carries its corrupt value. Blue speaks for the answer, orange and "
        f"dashed against it.{more}",
        does_not_show="that no other circuit does as well.",
    )


def _part(sender: str) -> str:
    return sender.replace(".head_out[", ".z[")


def judged_table(evidence: CircuitEvidence) -> Table:
    """Faithfulness and completeness under each reference, beside the random circuits."""
    rows = [
        [
            REFERENCE_WORDS[each.reference], share_cell(each.faithfulness),
            share_cell(each.faithfulness_by_example), share_cell(each.completeness),
            percent(each.incompleteness),
        ]
        for each in evidence.judged
    ]  # fmt: skip
    random = evidence.random_faithfulness
    if random:
        rows.append(
            [
                f"best of {len(random)} random circuits", share_cell(max(random)), "",
                percent(max(evidence.random_completeness)), "",
            ]
        )  # fmt: skip
    return Table(
        [
            Column("the rest carries"), Column("circuit alone", align="right"),
            Column("mean of ratios", align="right"), Column("lost without it", align="right"),
            Column("off by", align="right"),
        ],
        rows,
        title="The circuit alone, and the model without it, with 95 % intervals",
        caption="Shares of what the model does beyond no edge at all. **Circuit alone** "
        "(faithfulness): 100 % is the model. **Mean of ratios**: the same averaged over each "
        "pair's own share. **Lost without it** (completeness). **Off by**: the largest gap "
        "between circuit and model when both lose the same parts, over random sets of parts. "
        "Random circuits: as many edges, connected, with the corrupt prompt's values elsewhere.",
        does_not_show="that these edges are the only ones that could.",
    )  # fmt: skip


def lost_bars(evidence: CircuitEvidence) -> Bars:
    """What the circuit loses without each of its parts."""
    main = evidence.main
    assert main is not None
    pairs = sorted(
        zip(evidence.parts, main.lost, strict=True), key=lambda pair: -pair[1].value
    )[:_LISTED]  # fmt: skip
    left = len(evidence.parts) - len(pairs)
    return Bars(
        [short(at) for at, _ in pairs],
        [100 * lost.value for _, lost in pairs],
        lo=[100 * lost.low for _, lost in pairs],
        hi=[100 * lost.high for _, lost in pairs],
        x="lost",
        unit="%",
        order="given",
        title="What the circuit loses without each of its parts",
        caption="All edges that leave the part are taken out of the circuit. Share of what the "
        f"model does, with 95 % intervals; {len(evidence.idle)} of {len(evidence.parts)} parts "
        "are not told from idle." + (f" {left} more lose less." if left else ""),
    )


def size_lines(evidence: CircuitEvidence) -> Lines:
    """Faithfulness by size on the choosing half."""
    return Lines(
        [point.edges for point in evidence.curve],
        [Series("circuit alone", [100 * point.faithfulness for point in evidence.curve])],
        x="edges",
        y="does of the behaviour",
        unit="%",
        guides=[Guide(100 * AIM, "aim")],
        title="Faithfulness by size, on the choosing half",
        caption=f"Circuits of the strongest edges. The smallest that reaches {percent(AIM)} is "
        f"taken: {evidence.n_edges} edges."
        + ("" if evidence.reached else " None did; the one that does most is taken."),
    )


def edge_table(evidence: CircuitEvidence, unit: str) -> Table:
    """The strongest edges with their scores."""
    rows = [
        [
            _end(edge.sender),
            _end(edge.receiver),
            edge.score,
            "measured" if edge.exact else "estimated",
        ]
        for edge in evidence.edges[:_LISTED]
    ]
    left = evidence.n_edges - len(rows)
    return Table(
        [Column("from"), Column("to"), Column("score", unit, digits=3), Column("how")],
        rows,
        title="The strongest edges",
        caption="What the answer loses when this edge alone carries its corrupt value, on the "
        "choosing half." + (f" {left} more are in the JSON." if left > 0 else ""),
    )


_READS = {".q_in[": "queries", ".k_in[": "keys", ".v_in[": "values"}


def _end(at: str) -> str:
    """The end of an edge in words.

    >>> _end("embed"), _end("L1.q_in[H3]"), _end("L0.mlp_in"), _end("L2.head_out[H1]")
    ('tokens', 'L1.H3, queries', 'L0.MLP', 'L2.H1')
    """
    for name, reads in _READS.items():
        if name in at:
            return f"{short(at.replace(name, '.z['))}, {reads}"
    return "tokens" if at == "embed" else short(_part(at).replace(".mlp_in", ".mlp_out"))
