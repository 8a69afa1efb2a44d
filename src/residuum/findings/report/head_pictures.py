"""The pictures of a finding's report that are about its heads."""

from __future__ import annotations

import math

import numpy as np

from residuum.figures import Bars, Column, Guide, Lines, Series, Table
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.found import Found
from residuum.findings.record.part_evidence import SWAP, RemovalEvidence, RoleEvidence
from residuum.findings.record.rules import number, percent, share
from residuum.findings.record.words import metric_words, short
from residuum.findings.report.named import noun, others, these
from residuum.findings.report.sentences import WAYS


def head_bars(finding: Found) -> Bars:
    """The named heads' patch effects; where none is named, the answer's own metric."""
    if finding.parts is None:
        seen = finding.behaviour
        return _bars(
            ["clean", "corrupt"], [seen.metric_clean, seen.metric_corrupt], finding.unit,
            title=f"{metric_words(finding.metric)} on both sides", caption="",
        )  # fmt: skip
    heads = finding.parts.named
    return _bars(
        [short(head.at) for head in heads],
        [head.patch for head in heads],
        finding.unit,
        title=f"Effect of giving one {noun(finding.components, one=True)} its clean value",
        caption=f"Change of the {metric_words(finding.metric)} towards clean, in the corrupt "
        f"run; mean over {heads[0].patch.n} pairs, with 95 % intervals.",
    )


def _bars(names: list[str], values: list[Estimate], unit: str, *, title: str, caption: str) -> Bars:
    return Bars(
        names,
        [each.value for each in values],
        lo=[each.low for each in values],
        hi=[each.high for each in values],
        x="effect",
        unit=unit,
        order="given",
        title=title,
        caption=caption,
    )


def head_table(finding: Found) -> Table:
    """Each named head patched both ways, with the joint test over all heads."""
    assert finding.parts is not None and finding.where is not None
    swapped = finding.parts.removal(SWAP)
    assert swapped is not None
    rows = [
        [
            short(head.at),
            100 * head.recovered.value,
            number(head.patch),
            _tested(head.verdict, head.p),
            number(lost),
        ]
        for head, lost in zip(finding.parts.named, swapped.alone, strict=True)
    ]
    return Table(
        [
            Column(noun(finding.components, one=True)),
            Column("recovers", "%", digits=0),
            Column("patched: gains", finding.unit, align="right"),
            Column("joint test"),
            Column("swapped: loses", finding.unit, align="right"),
        ],
        rows,
        title=f"The {noun(finding.components)} one by one, with 95 % intervals",
        caption="**Patched**: its clean value in the corrupt run; as a share of the distance "
        "between corrupt and clean this is what it **recovers**. **Swapped**: its corrupt value in "
        f"the clean run. **Joint test**: sign flips, over all heads or over all layers; of heads, "
        f"{finding.where.heads.sure}. Undecided: these pairs are too few to call it absent.",
        does_not_show="effects that only appear together: they are in the comparison below.",
    )


def removal_table(finding: Found) -> Table:
    """Every way of removal: each head alone, the sum, all together, and the random sets."""
    assert finding.parts is not None
    ways = finding.parts.removals
    heads_at = ways[0].parts
    heads = [short(at) for at in heads_at]
    rows = [[name, *(number(way.alone[i]) for way in ways)] for i, name in enumerate(heads)]
    rows += [
        ["sum of each alone", *(f"{way.summed:.2f}" for way in ways)],
        ["all together", *(number(way.together[-1], 1) for way in ways)],
        ["beyond the sum", *(number(way.backup) for way in ways)],
        ["random: mean size", *(_known(way.control) for way in ways)],
        ["random: costliest", *(_known(max(way.random, default=math.nan)) for way in ways)],
    ]
    written = "; ".join(f"**{way.how}** {WAYS[way.how][0]}" for way in ways)
    return Table(
        [Column(f"lost ({finding.unit})"), *(Column(way.how, align="right") for way in ways)],
        rows,
        title=f"The {these(heads_at)} removed from the clean run, with 95 % intervals",
        caption=f"What is written in their place: {written}. Zeros also take away what a part "
        "does on both prompts alike. **Beyond the sum**: all together less the sum of each alone; "
        "above 0 others stand in for a missing one. "
        f"Random: {len(ways[0].random)} sets of {len(heads)} {others(heads_at)}, together; "
        "mean size is the mean of the absolute changes.",
    )


def _known(value: float) -> str:
    return f"{value:.2f}" if value == value else "no set"


def _tested(verdict: str, p: float) -> str:
    return f"{verdict}, p {p:.2g}"


def removal_lines(finding: Found, removal: RemovalEvidence, title: str) -> Lines:
    """What is lost as one head after the other is removed, beside the sum of each alone."""
    low, high = ([getattr(each, end) for each in removal.together] for end in ("low", "high"))
    bounded = bool(np.isfinite([low, high]).all())
    alone = [each.value for each in removal.alone]
    series = [
        Series(
            "together",
            [each.value for each in removal.together],
            lo=low if bounded else None,
            hi=high if bounded else None,
        ),
        Series("sum of each alone", np.cumsum(alone).tolist()),
    ]
    guides = [Guide(0.0, "nothing lost")]
    if removal.random:
        largest = max(removal.random)
        guides.append(Guide(largest, f"costliest of {len(removal.random)} random sets"))
    first, *others = (short(at) for at in removal.parts)
    return Lines(
        list(range(1, len(removal.parts) + 1)),
        series,
        x=f"{these(removal.parts)} removed, one after the other",
        x_labels=[first, *(f"+ {name}" for name in others)],
        y="lost",
        unit=finding.unit,
        guides=guides,
        title=title,
        caption=f"What the clean run loses of the {metric_words(finding.metric)} when each "
        f"gets {WAYS[removal.how][0]}; mean over {removal.backup.n} pairs, the band is the 95 % "
        "interval of the level, drawn by template where there are several; at the end the lines "
        f"differ by {number(removal.backup)}, taken pair by pair.",
        does_not_show="which heads stand in for those that are missing.",
    )


def role_table(finding: Found) -> Table:
    """What each head does for the answer at the last token."""
    assert finding.roles is not None
    rows = [
        [
            short(head.at),
            role(finding, head),
            number(head.direct),
            f"{head.p:.2g}",
            _share(head.attends_answer),
            _share(head.attends_wrong),
            number(head.removal),
        ]
        for head in finding.roles.heads
    ]
    return Table(
        [
            Column("head"),
            Column("role"),
            Column("direct path", finding.unit, align="right"),
            Column("joint p", align="right"),
            Column("at answer", align="right"),
            Column("at wrong", align="right"),
            Column("swapped: loses", finding.unit, align="right"),
        ],
        rows,
        title="What each head does for the answer, with 95 % intervals",
        caption="**Direct path**: the head's clean value reaches the logits of the corrupt run, "
        "every other head and MLP held; **joint p** over all of them. **At answer**, **at wrong**: "
        "attention from the last token of the clean prompt to where the answer (or a wrong answer) "
        "stands, all its places together. **Swapped**: its corrupt value in the clean "
        f"run. Joint test: {finding.roles.sure}.",
        does_not_show="what a head sends through other parts.",
    )


def role(finding: Found, head: RoleEvidence) -> str:
    """What the evidence allows to call a head."""
    named = finding.parts.named if finding.parts else ()
    verdicts = {each.at: each.verdict for each in named}
    said = []
    if head.at in verdicts:
        shown = verdicts[head.at] == "shown"
        said.append("matters" if shown else f"chosen, {verdicts[head.at]} by itself")
    if head.mover:
        said.append("mover")
    elif head.verdict == "shown" and head.direct.value > 0:
        said.append("writer")
    return ", ".join(said) or "undecided"


def _share(estimate: Estimate | None) -> str:
    return "none there" if estimate is None else share(estimate)


def control_table(finding: Found) -> Table:
    """The named heads together, beside the random sets."""
    assert finding.parts is not None
    joint, them = finding.parts.together, noun(finding.components)
    rows = [
        _control("patched: recover", joint.recovered, joint.random_recovered),
        _control("swapped: lose", joint.swap_drop, joint.random_swap_drop),
        _control("silenced: lose", joint.zero_drop, joint.random_zero_drop),
    ]
    return Table(
        [
            Column("all together"),
            Column(f"named {them}", align="right"),
            Column("random: mean", align="right"),
            Column("random: highest", align="right"),
        ],
        rows,
        title=f"The named {them} together, against random ones",
        caption="Shares of the distance between corrupt and clean, with 95 % intervals. Random: "
        f"{len(joint.random_recovered)} sets of {len(finding.components)} "
        f"{others(finding.components)}, none of them named. All heads of the model together "
        f"recover {share(joint.all_heads_recovered)}.",
    )


def _control(name: str, estimate: Estimate, random: tuple[float, ...]) -> list[str]:
    mean = sum(random) / len(random) if random else float("nan")
    return [name, share(estimate), percent(mean), percent(max(random, default=float("nan")))]
