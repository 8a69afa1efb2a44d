"""A direction on a review's page."""

from __future__ import annotations

import math

from residuum.figures import Bars, Bullets, Fold, Part, Table
from residuum.findings.audit.evidence import DirectionEvidence
from residuum.findings.record.rules import percent, share

_WORDS = {"add": "added", "erase": "erased", "leace": "erased by LEACE", "swap": "swapped"}


def direction_parts(found: DirectionEvidence) -> list[Part]:
    """What its edits do beside random directions."""
    beyond = sorted(found.flipped_random)
    middle = beyond[len(beyond) // 2] if beyond else math.nan
    return [
        Bars(
            [_WORDS[each.kind] for each in found.edits],
            [each.closed for each in found.edits],
            lo=[each.low for each in found.edits],
            hi=[each.high for each in found.edits],
            x="share of the gap closed",
            order="given",
            title=f"The direction at {found.at}",
            caption=f"{found.pairs} held-out pairs of {found.templates} templates; found by "
            f"{found.method} on others. 1: clean and corrupt answers have changed places (added, "
            "swapped), or no difference is left (erased). Lines: 95 % intervals by template.",
            does_not_show="that it is the only such direction.",
        ),
        Table(
            ["edit", "closes", "random directions, 95th percentile", "p, corrected"],
            [
                [_WORDS[each.kind], percent(each.closed), percent(each.random_high),
                 f"{each.p:.2g}"]
                for each in found.edits
            ],
            title="Beside random directions of the same length",
            caption="Clean prompts that change sides when it is taken away: "
            f"{share(found.flipped)}; random directions: half of them at most "
            f"{percent(middle)}, all at most {percent(max(beyond, default=math.nan))}."
            + (f" Moved most elsewhere: {found.moved_most}, {found.moved_share:.2f} of its own."
               if found.moved_most else ""),
        ),
        Fold("The proof's own words", [Bullets(found.rules)]),
    ]  # fmt: skip
