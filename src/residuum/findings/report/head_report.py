"""The parts of a finding's report that are about its heads and MLPs."""

from __future__ import annotations

from residuum.figures import Bullets, Fold, Heading, Paragraph, Part
from residuum.findings.record.found import Found
from residuum.findings.record.part_evidence import SWAP
from residuum.findings.record.words import listed, short
from residuum.findings.report.attention_pictures import attention_panel, last_token_map
from residuum.findings.report.head_pictures import (
    control_table,
    head_bars,
    head_table,
    removal_lines,
    removal_table,
    role_table,
)
from residuum.findings.report.named import given, half, noun, others, these
from residuum.findings.report.sentences import WAYS, cannot, control, movers, together, writers


def found_lines(finding: Found) -> list[str]:
    """Backup and movers, each in a sentence, right below the claim."""
    if finding.parts is None or finding.roles is None:
        return []
    unit = finding.unit
    backup = f"**Backup.** {together(finding.parts.main, unit)}"
    return [backup, _first_bold(movers(finding.roles, unit))]


def _first_bold(text: str) -> str:
    """The first sentence in bold."""
    first, _, rest = text.partition(". ")
    return f"**{first}.** {rest}" if rest else f"**{text}**"


def chosen_heads(finding: Found) -> list[Part]:
    """The named parts one by one."""
    assert finding.where is not None and finding.parts is not None
    names, them = (f"`{short(at)}`" for at in finding.components), these(finding.components)
    said = (
        f"the {them} that the caller stated. Nothing was searched for, and all numbers below are "
        "from the measuring half."
        if given(finding)
        else f"the {them} that moved the answer most on {half(finding)} pairs set apart for "
        "choosing. All numbers below are from the other pairs, which had no part in the choice."
    )
    return [
        Heading(f"Which {them}?"),
        Paragraph(f"{', '.join(names)}: {said}"),
        head_table(finding),
    ]


def controls(finding: Found) -> list[Part]:
    """The named parts together, against random ones, and against the sum of each alone."""
    assert finding.parts is not None
    them, one = noun(finding.components), noun(finding.components, one=True)
    random = others(finding.components)
    main = finding.parts.main
    title = f"The {them} removed one after the other, each given {WAYS[main.how][0]}"
    shown: list[Part] = [
        Heading(f"Would any {them} do?"),
        Paragraph(
            f"The named {them} together, beside random sets of as many {random}. What even all "
            "heads of the model do not recover comes through the words themselves, which stay "
            "corrupt at their own position."
        ),
        control_table(finding),
        Heading("Do others stand in for a missing one?", level=3),
        Bullets([f"**{together(main, finding.unit)}**", control(main, finding.unit)]),
        Fold(
            "One by one as bars, one after the other, and removed in every way",
            [
                head_bars(finding),
                Paragraph(
                    f"If each {one}'s work were its own, removing them together would cost the sum "
                    "of removing each alone. More than that means that others stand in while only "
                    "one is missing (a backup), or that what reads them is not linear; removal "
                    "alone does not tell which."
                ),
                removal_lines(finding, main, title),
                *_every_way(finding),
            ],
            printed=False,
        ),
    ]
    if finding.parts.left_out:
        shown.append(Paragraph(cannot(finding.parts.left_out)))
    return shown


def _every_way(finding: Found) -> list[Part]:
    assert finding.parts is not None
    main = finding.parts.main
    beside = [each for each in finding.parts.removals if each is not main]
    return [Bullets([together(each, finding.unit) for each in beside]), removal_table(finding)]


def written_by(finding: Found) -> list[Part]:
    """What each head does for the answer, and who writes it."""
    roles = finding.roles
    assert roles is not None
    shown: list[Part] = [
        Heading("Which heads write the answer?"),
        Paragraph(
            "Beside the heads above stand those whose direct path to the logits speaks for the "
            "answer on the choosing half. **Writer**: this path is shown and positive on the other "
            "half too. **Mover**: a writer that also attends from the last token to the answer (a "
            "tenth of its attention at least, more than to the wrong answer), and whose corrupt "
            "value costs the clean run something, each with its interval. A head that only "
            "**matters** acts, as far as shown, through other parts."
        ),
    ]
    if not roles.heads:
        return [*shown, Paragraph(writers(roles, finding.unit))]
    shown += [
        Bullets([_first_bold(movers(roles, finding.unit)), writers(roles, finding.unit)]),
        role_table(finding),
        _direct(finding),
        Heading("What do they look at?", level=3),
        last_token_map(finding),
        Fold("Attention from every token", [attention_panel(finding)], printed=False),
    ]
    return shown


def _direct(finding: Found) -> Part:
    """Those with a direct path, removed together."""
    roles = finding.roles
    assert roles is not None
    if roles.removal is None:
        return Paragraph("No head's direct path speaks for the answer on the choosing half.")
    unit, names = finding.unit, listed([short(at) for at in roles.writers])
    told: list[Part] = [
        Paragraph(
            f"Chosen for their direct path: {names}. {together(roles.removal, unit)} "
            f"{control(roles.removal, unit)}"
        )
    ]
    if len(roles.writers) > 1:
        title = f"Heads with a direct path, removed in turn, each given {WAYS[SWAP][0]}"
        told.append(removal_lines(finding, roles.removal, title))
    return Fold("The heads with a direct path, removed together", told, printed=False)
