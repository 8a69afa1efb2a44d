"""The part of a report about a claim that comes from another model."""

from __future__ import annotations

from residuum.figures import Callout, Column, Heading, Paragraph, Part, Table
from residuum.figures.page import Tone
from residuum.findings.record.rules import percent
from residuum.findings.record.transfer_evidence import TransferEvidence, Verdict
from residuum.findings.record.transfer_rules import feed_words, transfer_words
from residuum.findings.record.words import model_name, parts_in_words

_TONES: dict[Verdict, Tone] = {
    "holds": "good",
    "does not hold": "bad",
    "cannot be said": "warning",
}


_NOT = "not shown"


def transfer_parts(evidence: TransferEvidence, model: str) -> list[Part]:
    """What was claimed of the first model, what was seen here, and what follows.

    Args:
        evidence: what came of it.
        model: name of this model.
    """
    origin = evidence.origin
    how = (
        "Exactly its components were examined"
        if evidence.same_components
        else "The mechanism was searched for anew"
    )
    named = f" It names {parts_in_words(origin.components)}." if origin.components else ""
    shown: list[Part] = [
        Heading("Does the claim about another model hold here?"),
        Callout(
            transfer_words(evidence, model), "By stated rules", _TONES[evidence.verdict],
            evidence.verdict.capitalize(),
        ),
        Paragraph(
            f"The claim is that of finding `{origin.hash[:12]}` about "
            f"{model_name(origin.model)} (weights `{origin.weights[:12]}`), there "
            f"{origin.status}.{named} {how}, on {evidence.pairs}."
        ),
        Paragraph(f"In its own words: {origin.claim}"),
    ]  # fmt: skip
    table = _portraits(evidence, model)
    return [*shown, table] if table is not None else shown


def _portraits(evidence: TransferEvidence, model: str) -> Table | None:
    """Kinds of parts and paths between them, there and here; None where no kind is known."""
    there, here = evidence.origin.portrait, evidence.here
    names = dict.fromkeys(each.name for each in (*there.kinds, *here.kinds))
    rows = [
        [name, *(percent(side.share(name).confirmed) for side in (there, here)),
         percent(here.share(name).attending)]
        for name in names
    ]  # fmt: skip
    paths = dict.fromkeys(feed_words(each) for side in (there, here) for each in side.feeds)
    seen = [{feed_words(each): each.seen for each in side.feeds} for side in (there, here)]
    paths = [path for path in paths if any(side.get(path, _NOT) != _NOT for side in seen)]
    rows += [[path, *(side.get(path, "–") for side in seen), "–"] for path in paths]
    if not rows:
        return None
    return Table(
        [
            Column("kind of part, or path"),
            Column(f"in {model_name(evidence.origin.model)}"),
            Column(f"in {model_name(model)}"),
            Column("attends so here"),
        ],
        rows,
        title="The mechanism without addresses, there and here",
        caption="Shares of what the named parts recover one by one that parts of this kind carry, "
        "confirmed by removal; a part of two kinds counts for both. Paths lead between named "
        "parts of these kinds, through queries (q), keys (k) or values (v) of the second; those "
        "that are shown on neither side are left out.",
    )
