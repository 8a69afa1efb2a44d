"""The part of a report about one direction of the stream, beside random ones."""

from __future__ import annotations

from residuum.figures import (
    Bars,
    Bullets,
    Column,
    Fold,
    Guide,
    Heading,
    Lines,
    Paragraph,
    Part,
    Series,
    Table,
)
from residuum.findings.record.direction_evidence import DirectionEvidence
from residuum.findings.record.direction_rules import EDITS, direction_rules, place_words
from residuum.findings.report.share_cells import share_cell

_MARKS = {"holds": "Yes.", "fails": "No.", "unclear": "Not clear."}


def direction_parts(evidence: DirectionEvidence) -> list[Part]:
    """Heading, verdicts in words, pictures and table."""
    shown: list[Part] = [Heading("Is it one direction?")]
    if not evidence.tests:
        return [*shown, Paragraph(f"Not testable: {'; '.join(evidence.left_out)}.")]
    aside = (
        f" ({evidence.left_aside} more share a prompt with the other half and were left aside)"
        if evidence.left_aside
        else ""
    )
    rules = direction_rules(evidence)
    proven = any(rule.outcome == "holds" for rule in rules)
    numbers: list[Part] = [edit_table(evidence), site_lines(evidence)]
    bars = edit_bars(evidence)
    shown += [
        Paragraph(
            "The mean difference between clean and corrupt prompts is a direction of the "
            f"stream{_turned(evidence)}. It was taken from {evidence.n_fit} pairs of the choosing "
            f"half{aside}, in {place_words(evidence.at)}, where it did most there, and is added, "
            "erased and swapped on the other half."
        ),
        Bullets([f"**{rule.name}? {_MARKS[rule.outcome]}** {rule.found}." for rule in rules]),
    ]
    title = "The edits beside random directions, and where else they were tried"
    if proven:
        return [*shown, bars, Fold(title, numbers, printed=False)]
    return [*shown, Fold(title, [bars, *numbers], printed=False)]


def _turned(evidence: DirectionEvidence) -> str:
    if not evidence.turned:
        return ""
    return f" ({evidence.turned} pairs were turned, so that clean has one kind of answer)"


def edit_bars(evidence: DirectionEvidence) -> Bars:
    """What each edit closes of the gap."""
    return Bars(
        [{**EDITS, "leace": "LEACE", "swap": "swapped"}[each.kind] for each in evidence.tests],
        [100 * each.closed.value for each in evidence.tests],
        lo=[100 * each.closed.low for each in evidence.tests],
        hi=[100 * each.closed.high for each in evidence.tests],
        x="closed",
        unit="% of the gap",
        order="given",
        title="What edits along the direction do",
        caption="Share of the gap between clean and corrupt answers that is closed; 100 % when "
        "added or swapped: the answers have changed places; when erased: no difference is left. "
        "95 % intervals, by template where there are several.",
        does_not_show="that the model uses one direction only: random ones are in the table.",
    )


def edit_table(evidence: DirectionEvidence) -> Table:
    """The edits beside random directions."""
    rows = [
        [
            EDITS[each.kind], share_cell(each.closed), share_cell(each.random_mean),
            share_cell(each.random_high), share_cell(each.isotropic_high),
            f"{each.p:.2g}" + ("" if each.decides else ", decides nothing"),
        ]
        for each in evidence.tests
    ]  # fmt: skip
    return Table(
        [
            Column("the direction is"), Column("closes", align="right"),
            Column("random: mean", align="right"), Column("random: 95 %", align="right"),
            Column("even: 95 %", align="right"), Column("p", align="right"),
        ],
        rows,
        title="The direction beside random ones of its norm",
        caption=f"**Random**: {evidence.n_random} directions drawn with the covariance of the "
        "stream there. **Even**: drawn evenly from all directions. p is corrected over adding, "
        f"erasing and swapping. What is added is {evidence.strength:.2f} times as long as the "
        f"stream's mean. {evidence.split[:1].upper()}{evidence.split[1:]}.",
        does_not_show="that there is no other such direction.",
    )  # fmt: skip


def site_lines(evidence: DirectionEvidence) -> Lines:
    """What a direction does at each place, on the choosing half."""
    last = [site for site in evidence.sites if "@" in site.at]
    every = [site for site in evidence.sites if "@" not in site.at]
    return Lines(
        list(range(len(last))),
        [
            Series("swapped, last token", [100 * site.swapped for site in last]),
            Series("added, last token", [100 * site.added for site in last]),
            Series("swapped, every token", [100 * site.swapped for site in every]),
            Series("added, every token", [100 * site.added for site in every]),
        ],
        x="stream after",
        x_labels=[site.at.split(".")[0] for site in last],
        y="closed",
        unit="% of the gap",
        guides=[Guide(0.0, "nothing")],
        title="Where it does most, on the choosing half",
        caption="Found on every other pair there, tried on the rest. Taken: the place where the "
        f"smaller of swapping and adding is largest, {place_words(evidence.at)}. The stream after "
        "the last layer is left out: behind it stand only the logits.",
    )
