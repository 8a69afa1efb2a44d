"""The pictures of a finding's report: behaviour, lens, sweeps and data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from residuum.figures import Column, Guide, HeatMap, Lines, Series, Table
from residuum.findings.record.evidence import GridEvidence, Sample
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
        title="The answer's lead after each layer (logit lens)",
        caption=f"Mean over {lead[0].n} clean prompts, at the last token, as if the model stopped "
        "after this layer: final norm, then unembedding. The band is the 95 % interval.",
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
        caption="Before the first layer (embed) and after each: strong cells trace what differs, "
        "from the changed word to the last token. Columns are roles in the sentence, with the word "
        "in one of the prompts.",
        does_not_show="which part of the layer put it there.",
    )


def head_map(finding: Found) -> HeatMap:
    """Every head; numbers in the cells that are shown."""
    assert finding.where is not None
    heads = finding.where.heads
    noted = f" Note: {'; '.join(heads.warnings)}." if heads.warnings else ""
    return _map(
        heads,
        finding,
        x="head",
        title="Every attention head",
        caption="One head at all positions. A number stands where the effect is shown: "
        f"{heads.sure}.{noted}",
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
        unit="share",
        title=title,
        caption=f"{caption} Share of the distance: 1 is the clean answer, 0 the corrupt one, "
        f"{finding.behaviour.contrast.value:.2f} {finding.unit} apart; mean over {grid.n} pairs.",
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


def sample_table(samples: Sequence[Sample], finding: Found, title: str) -> Table:
    """Some pairs as text, a row for each side."""
    rows = []
    for pair in samples:
        answer = _words(pair.answers)
        rows += [
            ["clean", pair.clean, answer, pair.says_clean.strip(), pair.metric_clean],
            ["corrupt", pair.corrupt, answer, pair.says_corrupt.strip(), pair.metric_corrupt],
        ]
    return Table(
        [
            Column("side"), Column("prompt"), Column("answer"), Column("model says"),
            Column(metric_words(finding.metric), finding.unit, digits=1),
        ],
        rows,
        title=title,
        caption="Two rows a pair. The answer is that of the clean prompt, on both sides.",
    )  # fmt: skip


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(word.strip() for word in words)
