"""The pictures of a finding's report of what its heads look at."""

from __future__ import annotations

from residuum.figures import HeatMap, Panel
from residuum.findings.record.found import Found
from residuum.findings.record.words import short

_NOT_USED = "that what a head looks at is what it is used for."


def last_token_map(finding: Found) -> HeatMap:
    """Where each head looks from the last token, a row for each head."""
    assert finding.roles is not None
    pictures = finding.roles.pictures
    return HeatMap(
        [list(picture.weights[-1]) for picture in pictures],
        row_labels=[short(picture.at) for picture in pictures],
        col_labels=_numbered(pictures[0].tokens),
        x="looked at",
        y="head",
        unit="attention",
        scale="sequential",
        limits=(0.0, 1.0),
        title="Where these heads look from the last token, on one prompt",
        caption=f"“{_prompt(finding)}” A row is a head, the colour the share of its attention that "
        "goes to this token; a row sums to 1.",
        does_not_show=_NOT_USED,
    )


def attention_panel(finding: Found) -> Panel:
    """The heads' attention from every token of one prompt."""
    assert finding.roles is not None
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
        for picture in finding.roles.pictures
    ]
    return Panel(
        maps,
        columns=4,
        title="Attention of these heads from every token",
        caption=f"“{_prompt(finding)}” Each row is a token looking back; a row sums to 1. Click a "
        "map for its tokens and numbers.",
        does_not_show=_NOT_USED,
    )


def _numbered(tokens: tuple[str, ...]) -> list[str]:
    return [f"{pos} {token.strip()}" for pos, token in enumerate(tokens)]


def _prompt(finding: Found) -> str:
    assert finding.roles is not None
    return " ".join(token.strip() for token in finding.roles.pictures[0].tokens)
