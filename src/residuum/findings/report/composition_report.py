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
from residuum.findings.record.composition_evidence import CompositionEvidence
from residuum.findings.record.composition_rules import fed_words, path_words, reach_words
from residuum.findings.record.path_evidence import LEAST_PATH, PathEvidence
from residuum.findings.record.rules import percent
from residuum.findings.record.words import short
from residuum.findings.report.composition_tables import kind_table, path_table, score_table
from residuum.findings.report.part_layers import PORTS, layers_of

_MOST_TOLD = 4


def composition_parts(evidence: CompositionEvidence) -> list[Part]:
    """Heading, picture, sentences and tables."""
    shown: list[Part] = [
        Heading("How do they work together?"),
        Paragraph(
            "Each path is one experiment: one input of one part (a head's queries, keys or values, "
            "an MLP's input) reads what the sender writes on the other prompt of the pair; all "
            f"else stays{_passing(evidence)}."
        ),
    ]
    picture = path_graph(evidence)
    if picture is not None:
        shown.append(picture)
    shown += [Bullets(_said(evidence)), *_details(evidence)]
    if evidence.left_out:
        shown.append(Paragraph(f"Not done: {'; '.join(evidence.left_out)}."))
    return shown


def _passing(evidence: CompositionEvidence) -> str:
    return ", but for MLPs in between, which pass the change on" if evidence.through_mlps else ""


def _said(evidence: CompositionEvidence) -> list[str]:
    """What came out, a line each."""
    known = [f"{short(head.at)} {head.kind}" for head in evidence.heads if head.named and head.kind]
    return [
        f"**From part to part:** {fed_words(evidence)}.",
        *(path_words(evidence, path) for path in evidence.fed[:_MOST_TOLD]),
        f"**To the answer, past other heads:** {reach_words(evidence)}.",
        *([f"**Of a known kind:** {'; '.join(known)}."] if known else []),
    ]


def _details(evidence: CompositionEvidence) -> list[Part]:
    """All numbers; those of the paths are printed where one is shown."""
    paths: list[Part] = [path_table(evidence)] if evidence.paths else []
    beside: list[Part] = [kind_table(evidence)] if evidence.heads else []
    beside += [score_table(evidence)] if evidence.scores else []
    if evidence.fed:
        shown: list[Part] = [Fold("All paths, in numbers", paths)]
        heads = "What each head is, by attention and by weights"
        return [*shown, Fold(heads, beside, printed=False)] if beside else shown
    if not (paths or beside):
        return []
    title = "All paths, and what each head is, by attention and by weights"
    return [Fold(title, [*paths, *beside], printed=False)]


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
