"""The pictures of a finding's report."""

from __future__ import annotations

import numpy as np

from residuum.figures import (
    Bars,
    Column,
    Guide,
    HeatMap,
    Lines,
    Panel,
    Series,
    Table,
)
from residuum.findings.claim import metric_words, short
from residuum.findings.evidence import Estimate, GridEvidence
from residuum.findings.found import Found
from residuum.findings.rules import number, percent, share

_NOT_NEEDED = "that the cell is needed: other parts may be able to stand in for it."


def lens_lines(finding: Found) -> Lines:
    """The answer's lead by layer, over all prompts."""
    reading = finding.lens
    lead = reading.difference
    two_sided = len(reading.tracked) > 1
    return Lines(
        list(range(len(lead))),
        [
            Series(
                "answer minus wrong answer" if two_sided else "log probability of the answer",
                [each.value for each in lead],
                lo=[each.low for each in lead],
                hi=[each.high for each in lead],
            )
        ],
        x="read after",
        x_labels=reading.layers,
        y="lead of the answer" if two_sided else "log probability",
        unit="logits" if two_sided else "nats",
        guides=[Guide(0.0, "no preference")] if two_sided else [],
        title="The answer's lead, read after each layer (logit lens)",
        caption=f"Mean over {lead[0].n} clean prompts, at the last token: the stream after each "
        "layer, sent through the final norm and the unembedding as if the model stopped there. "
        "The band is the 95 % interval.",
        does_not_show="that later layers read the stream in this way.",
    )


def lens_map(finding: Found) -> HeatMap:
    """The most likely word after each layer and token of one prompt; the last layer on top."""
    reading = finding.lens
    tracked = " and ".join(f"`{word.strip()}`" for word in reading.tracked)
    return HeatMap(
        [list(row) for row in reversed(reading.probabilities)],
        row_labels=list(reversed(reading.layers)),
        col_labels=[token.strip() or "␣" for token in reading.tokens],
        cell_text=[[word.strip() for word in row] for row in reversed(reading.words)],
        x="token",
        y="read after",
        unit="probability",
        scale="sequential",
        limits=(0.0, 1.0),
        title="Most likely next word, read after each layer",
        caption=f"One clean prompt. Answer and wrong answer: {tracked}. Colour is the probability "
        "of the word in the cell.",
    )


def stream_map(finding: Found) -> HeatMap | None:
    """The stream by layer and position; None where prompts do not line up."""
    grid = finding.where.stream if finding.where else None
    if grid is None:
        return None
    return _map(
        grid,
        finding,
        x="position in the sentence",
        title="The residual stream, by layer and position",
        caption="The whole stream at one position, before the first layer (embed) and after each. "
        "The strong cells trace the path of what differs, from the changed word up and over to the "
        "last token. Columns are roles in the sentence, with the word in one of the prompts.",
        does_not_show="which part of the layer put it there.",
    )


def head_map(finding: Found) -> HeatMap:
    """Every head."""
    assert finding.where is not None
    return _map(
        finding.where.heads,
        finding,
        x="head",
        title="Every attention head",
        caption="One head at all positions.",
        does_not_show=_NOT_NEEDED,
    )


def part_map(finding: Found) -> HeatMap:
    """Whole attention and MLP of each layer."""
    assert finding.where is not None
    return _map(
        finding.where.parts,
        finding,
        x="part of the layer",
        title="All heads of a layer together, and its MLP",
        caption="What attention (`attn_out`) or the MLP (`mlp_out`) adds to the stream, at all "
        "positions.",
        does_not_show=_NOT_NEEDED,
    )


def _map(
    grid: GridEvidence, finding: Found, *, x: str, title: str, caption: str, does_not_show: str
) -> HeatMap:
    return HeatMap(
        np.asarray(grid.recovered, dtype=float)[::-1],
        row_labels=list(reversed(grid.rows)),
        col_labels=grid.cols,
        x=x,
        y="layer",
        unit="of the distance",
        title=title,
        caption=f"{caption} 1 is the clean answer, 0 the corrupt one, a distance of "
        f"{finding.behaviour.contrast.value:.2f} {finding.unit}; mean over {grid.n} pairs.",
        does_not_show=does_not_show,
    )


def head_bars(finding: Found) -> Bars:
    """The named heads' patch effects; where none is named, the answer's own metric."""
    if finding.parts is None:
        seen = finding.behaviour
        return _bars(
            ["clean", "corrupt"], [seen.metric_clean, seen.metric_corrupt], finding.unit,
            title=f"{metric_words(finding.metric)} on both sides", caption="",
        )  # fmt: skip
    heads = finding.parts.heads
    return _bars(
        [short(head.at) for head in heads],
        [head.patch for head in heads],
        finding.unit,
        title="Effect of giving one head its clean value",
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
    """Each named head under three interventions."""
    assert finding.parts is not None
    rows = [
        [
            short(head.at),
            100 * head.recovered.value,
            number(head.patch),
            number(head.swap_drop),
            number(head.zero_drop),
        ]
        for head in finding.parts.heads
    ]
    columns = [Column(f"{what} ({finding.unit})", align="right")
               for what in ("patched gains", "swapped loses", "silenced loses")]  # fmt: skip
    return Table(
        [Column("head"), Column("recovers (%)", digits=0), *columns],
        rows,
        title="The heads one by one, with 95 % intervals",
        caption="**Patched**: its clean value in the corrupt run; as a share of the distance "
        "between corrupt and clean this is what it **recovers**. **Swapped**: its corrupt value in "
        "the clean run. **Silenced**: zeros in the clean run, which also takes away what the head "
        "does on both prompts alike.",
        does_not_show="effects that only appear together: they are in the comparison below.",
    )


def control_table(finding: Found) -> Table:
    """The named heads together, beside the random sets."""
    assert finding.parts is not None
    joint = finding.parts.together
    rows = [
        _control("patched: recover", joint.recovered, joint.random_recovered),
        _control("swapped: lose", joint.swap_drop, joint.random_swap_drop),
        _control("silenced: lose", joint.zero_drop, joint.random_zero_drop),
    ]
    return Table(
        [
            Column("all together"),
            Column("named heads", align="right"),
            Column("random: mean", align="right"),
            Column("random: highest", align="right"),
        ],
        rows,
        title="The named heads together, against random heads",
        caption="Shares of the distance between corrupt and clean, with 95 % intervals. Random: "
        f"{len(joint.random_recovered)} sets of {len(finding.components)} heads, none of them "
        "named. All heads of the model together recover "
        f"{share(joint.all_heads_recovered)}.",
    )


def _control(name: str, estimate: Estimate, random: tuple[float, ...]) -> list[str]:
    mean = sum(random) / len(random) if random else float("nan")
    return [name, share(estimate), percent(mean), percent(max(random, default=float("nan")))]


def attention_panel(finding: Found) -> Panel:
    """The named heads' attention on one prompt."""
    assert finding.parts is not None
    maps = [
        HeatMap(
            [
                [weight if key <= query else None for key, weight in enumerate(row)]
                for query, row in enumerate(picture.weights)
            ],
            row_labels=_numbered(picture.tokens),
            col_labels=_numbered(picture.tokens),
            x="looked at (key)",
            y="looking (query)",
            unit="attention",
            scale="sequential",
            limits=(0.0, 1.0),
            title=short(picture.at),
        )
        for picture in finding.parts.pictures
    ]
    prompt = " ".join(token.strip() for token in finding.parts.pictures[0].tokens)
    return Panel(
        maps,
        columns=4,
        title="Attention of the named heads on one prompt",
        caption=f"“{prompt}” Each row is a token looking back; a row sums to 1. Click a map for "
        "its tokens and numbers.",
        does_not_show="that what a head looks at is what it is used for.",
    )


def _numbered(tokens: tuple[str, ...]) -> list[str]:
    return [f"{pos} {token.strip()}" for pos, token in enumerate(tokens)]


def sample_table(finding: Found) -> Table:
    """Some pairs as text."""
    rows = [
        [sample.clean, _words(sample.answers), sample.says_clean.strip(), sample.metric_clean,
         sample.corrupt, sample.says_corrupt.strip(), sample.metric_corrupt]
        for sample in finding.samples
    ]  # fmt: skip
    unit = finding.unit
    return Table(
        [
            Column("clean prompt"), Column("answer"), Column("model says"),
            Column(metric_words(finding.metric), unit, digits=1),
            Column("corrupt prompt"), Column("model says"),
            Column(metric_words(finding.metric), unit, digits=1),
        ],
        rows,
        title="Pairs",
    )  # fmt: skip


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(word.strip() for word in words)
