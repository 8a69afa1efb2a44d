"""The part of a report that says how the named parts work together."""

from __future__ import annotations

from residuum.figures import (
    Bullets,
    Fold,
    Heading,
    LayeredGraph,
    Link,
    Paragraph,
    Part,
)
from residuum.findings.record.composition_evidence import (
    LEAST_PATH,
    CompositionEvidence,
    PathEvidence,
)
from residuum.findings.record.composition_rules import fed_words, path_words, reach_words
from residuum.findings.record.rules import percent
from residuum.findings.report.composition_tables import kind_table, path_table, score_table
from residuum.findings.report.part_layers import PORTS, layers_of

_MOST_TOLD = 4


def composition_parts(evidence: CompositionEvidence) -> list[Part]:
    """Heading, picture, sentences and tables."""
    shown: list[Part] = [
        Heading("How do they work together?"),
        Paragraph(
            "Each path is one experiment: one input of one part (a head's queries, keys or values, "
            "or an MLP's input) reads what the sender writes on the other prompt of the pair, and "
            f"everything else stays{_passing(evidence)}. What the corrupt run regains and what the "
            "clean run loses by one path says who feeds whom."
        ),
    ]
    picture = path_graph(evidence)
    if picture is not None:
        shown.append(picture)
    shown.append(Paragraph(f"**From part to part:** {fed_words(evidence)}."))
    shown.append(Paragraph(f"**To the answer, past other heads:** {reach_words(evidence)}."))
    shown += _details(evidence)
    if evidence.left_out:
        shown.append(Paragraph(f"Not done: {'; '.join(evidence.left_out)}."))
    return shown


def _passing(evidence: CompositionEvidence) -> str:
    return ", but for MLPs in between, which pass the change on" if evidence.through_mlps else ""


def _details(evidence: CompositionEvidence) -> list[Part]:
    shown: list[Part] = []
    told = [path_words(evidence, path) for path in evidence.fed[:_MOST_TOLD]]
    if told:
        shown.append(Bullets(told))
    if evidence.paths:
        shown.append(path_table(evidence))
    if evidence.heads:
        shown += [Heading("What is each head?", level=3), kind_table(evidence)]
    if evidence.scores:
        shown.append(Fold("What the weights say of each pair", [score_table(evidence)]))
    return shown


def path_graph(evidence: CompositionEvidence) -> LayeredGraph | None:
    """The parts from the tokens to the logits and what flows between them; None without a path."""
    paths = sorted(
        (path for path in evidence.paths if path.feeds != "not shown"),
        key=lambda path: -path.restores.value,
    )
    if not paths:
        return None
    ends = {at for path in paths for at in (path.sender, path.receiver)}
    ends |= {head.at for head in evidence.heads if head.named}
    names, boxes, rows = layers_of(ends)
    links = [
        Link(
            names.index(path.sender), names.index(path.receiver), path.restores.value,
            PORTS.get(path.reads, 0.0), _note(path),
        )
        for path in paths
    ]  # fmt: skip
    return LayeredGraph(
        boxes,
        links,
        rows,
        unit="of the distance",
        noun="paths",
        title="What feeds what",
        caption="From the tokens (bottom) to the logits. Queries arrive at the left of a head, "
        "keys in the middle, values at the right. Width: the share of the distance between "
        "corrupt and clean that this path alone restores. Drawn: paths whose interval lies above "
        f"0 both ways and that restore or cost at least {percent(LEAST_PATH)}.",
        does_not_show="paths through heads that are not named.",
    )


def _note(path: PathEvidence) -> str:
    reads = "" if path.reads in ("logits", "mlp") else path.reads
    return ", ".join(each for each in (reads, "may feed" * (path.feeds == "may feed")) if each)
