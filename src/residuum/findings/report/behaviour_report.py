"""The parts of a report about the behaviour, and about where the answer can be read and moved."""

from __future__ import annotations

from collections.abc import Sequence

from residuum.figures import Columns, Figure, Fold, Heading, Paragraph, Part, Table
from residuum.findings.record.found import Found
from residuum.findings.record.mechanism import is_mlp
from residuum.findings.record.rules import number, percent, share
from residuum.findings.record.words import metric_words
from residuum.findings.report.pictures import (
    head_map,
    lens_lines,
    lens_map,
    part_map,
    stream_map,
)


def behaviour_parts(finding: Found) -> list[Part]:
    """Does the model do it, beside corrupt prompts and random labels."""
    task = finding.task["name"]
    return [
        Heading("Does the model do it?"),
        Paragraph(
            "Each pair has a clean prompt and a corrupt one, as long as each other, that differ "
            "only where it matters. The same answer counts on both: a model that does "
            f"`{task}` prefers it after the clean prompt and not after the corrupt one."
        ),
        behaviour_table(finding),
    ]


def behaviour_table(finding: Found) -> Table:
    """The behaviour on both sides."""
    seen = finding.behaviour
    rows = [
        ["most likely next word is the answer", share(seen.accuracy), share(seen.accuracy_corrupt)],
        ["answer ranked above wrong answer", share(seen.choice), share(seen.choice_corrupt)],
        [
            f"{metric_words(finding.metric)} ({finding.unit})",
            number(seen.metric_clean),
            number(seen.metric_corrupt),
        ],
    ]
    return Table(
        ["", "clean prompts", "corrupt prompts"],
        rows,
        title="Behaviour, with 95 % intervals",
        caption=f"{seen.choice.n} pairs. With labels handed out at random ({seen.shuffles} "
        f"times), the answer is ranked above the wrong one on {percent(seen.shuffled.value)} "
        f"of the clean prompts (95 % of the times between {percent(seen.shuffled.low)} and "
        f"{percent(seen.shuffled.high)}).",
        does_not_show="what in the model does it.",
    )


def where_parts(finding: Found) -> list[Part]:
    """After which layer the answer can be read, and from where it can be moved."""
    if finding.where is None:
        prompt = Fold("One prompt, layer by layer", [lens_map(finding)], printed=False)
        return [Heading("Where does the answer become readable?"), lens_lines(finding), prompt]
    lens, stream, layers = lens_lines(finding), stream_map(finding), part_map(finding)
    kept: list[Part] = [lens_map(finding)]
    title = "One prompt, layer by layer"
    beside: Sequence[Figure] = [lens, layers if stream is None else stream]
    if stream is not None and any(is_mlp(at) for at in finding.components):
        beside, kept, title = (
            [stream, layers],
            [lens, *kept],
            "The lead after each layer; one prompt",
        )
    elif stream is not None:
        kept, title = [*kept, layers], f"{title}; whole layers of heads, and MLPs"
    return [
        Heading("Where can the answer be read, and moved from?"),
        Paragraph(
            "Each cell of a map is one experiment: run the corrupt prompts, but give this one "
            "place the value that it has on the clean prompt, and see how far the answer moves "
            "towards clean. A place that restores it by itself carries what the prompts differ in."
        ),
        Columns([[each] for each in beside]),
        head_map(finding),
        Fold(title, kept, printed=False),
    ]
