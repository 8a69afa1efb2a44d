"""The pictures of a finding's report: behaviour, lens, sweeps and data."""

from __future__ import annotations

import numpy as np

from residuum.figures import Column, Guide, HeatMap, Lines, Series, Table
from residuum.findings.record.evidence import GridEvidence
from residuum.findings.record.found import Found
from residuum.findings.record.rules import percent
from residuum.findings.record.words import metric_words

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
    """Every head; numbers in the cells that are shown."""
    assert finding.where is not None
    said = finding.where.heads.sure
    return _map(
        finding.where.heads,
        finding,
        x="head",
        title="Every attention head",
        caption=f"One head at all positions. A number stands where the effect is shown: {said}.",
        does_not_show=_NOT_NEEDED,
        marked=True,
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
    grid: GridEvidence,
    finding: Found,
    *,
    x: str,
    title: str,
    caption: str,
    does_not_show: str,
    marked: bool = False,
) -> HeatMap:
    return HeatMap(
        np.asarray(grid.recovered, dtype=float)[::-1],
        row_labels=list(reversed(grid.rows)),
        col_labels=grid.cols,
        cell_text=_shown(grid) if marked else None,
        x=x,
        y="layer",
        unit="of the distance",
        title=title,
        caption=f"{caption} 1 is the clean answer, 0 the corrupt one, a distance of "
        f"{finding.behaviour.contrast.value:.2f} {finding.unit}; mean over {grid.n} pairs.",
        does_not_show=does_not_show,
    )


def _shown(grid: GridEvidence) -> list[list[str]]:
    """The share recovered, where the effect is shown; nothing elsewhere. The last layer first."""
    lines = zip(reversed(grid.recovered), reversed(grid.verdict), strict=True)
    return [
        [_brief(value) if verdict == "shown" else "" for value, verdict in zip(*line, strict=True)]
        for line in lines
    ]


def _brief(value: float) -> str:
    """A share with one digit where it is below one percent."""
    return percent(value) if abs(value) >= 0.01 else f"{100 * value:.1f} %"


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
