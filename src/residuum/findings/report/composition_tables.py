"""Tables of a report on how the named parts work together."""

from __future__ import annotations

from residuum.figures import Column, Table
from residuum.findings.record.composition_evidence import CompositionEvidence
from residuum.findings.record.head_reading import Attending, HeadReading
from residuum.findings.record.path_evidence import PathEvidence
from residuum.findings.record.rules import percent, share
from residuum.findings.record.words import short
from residuum.findings.report.share_cells import share_cell

_PLACES = {
    "previous_token": "the token before",
    "induction": "what followed the same token before",
    "duplicate_token": "the same token before",
    "first_token": "the first token",
    "name_mover": "the answer's place",
    "s_inhibition": "a repeated wrong answer",
}
_MOST_ROWS = 16


def path_table(evidence: CompositionEvidence) -> Table:
    """The paths that feed or may feed, and the largest of the others; named ends only."""
    found = sorted(evidence.paths, key=lambda path: (not path.between, -path.restores.value))
    drawn = [path for path in found if path.feeds != "not shown"]
    others = [path for path in found if path.feeds == "not shown"]
    shown = [*drawn[:_MOST_ROWS], *others[: max(4, _MOST_ROWS - len(drawn))]]
    rows = [
        [
            _end(path.sender), _end(path.receiver), _reads(path), share_cell(path.restores),
            share_cell(path.loses), _held(path), f"{path.p:.2g}", _controls(path),
            path.feeds,
        ]
        for path in shown
    ]  # fmt: skip
    left = len(evidence.paths) - len(shown)
    held = (
        "**MLPs held**: the same with every MLP in between held. " if evidence.through_mlps else ""
    )
    return Table(
        [
            Column("from"), Column("to"), Column("reads as"), Column("restores", align="right"),
            Column("costs", align="right"), Column("MLPs held", align="right"),
            Column("joint p", align="right"), Column("other heads", align="right"),
            Column("verdict"),
        ],
        rows,
        title="Paths between the parts, with 95 % intervals",
        caption="Shares of the distance between corrupt and clean. **Restores**: the sender's "
        "clean value on this path alone, in the corrupt run. **Costs**: its corrupt value in the "
        f"clean run. {held}**Other heads**: {_tried(evidence)}. Joint test: {evidence.sure}."
        + (f" {left} more paths, smaller ones, are in the JSON." if left > 0 else ""),
        does_not_show="that a path which is not shown is absent, where the pairs are too few.",
    )  # fmt: skip


def _tried(evidence: CompositionEvidence) -> str:
    if not evidence.controls:
        return "there is none before these parts"
    return (
        f"the most that one of {len(evidence.controls)} others, drawn at random, restores by the "
        "same input, and how many of them lie before it"
    )


def _end(at: str) -> str:
    if at == "embed":
        return "tokens"
    return at if at == "logits" else short(at)


def _held(path: PathEvidence) -> str:
    return "not tried" if path.direct.value != path.direct.value else share_cell(path.direct)


def _reads(path: PathEvidence) -> str:
    words = {"q": "queries (q)", "k": "keys (k)", "v": "values (v)"}
    return words.get(path.reads, "input" if path.reads == "mlp" else "")


def _controls(path: PathEvidence) -> str:
    if not path.controls:
        return "none before it" if path.feeds != "not shown" else "not tried"
    return f"{share_cell(path.control)} ({path.controls} tried)"


def kind_table(evidence: CompositionEvidence) -> Table:
    """What each head may be called, what it looks at, and what its weights do with a token."""
    rows = [
        [
            short(head.at) + ("" if head.named else " (writes)"), _kinds(head),
            _looks(head.attends), head.copying, _share_of(head.writes_own, head.tokens),
            _share_of(head.asks_own, head.tokens),
        ]
        for head in evidence.heads
    ]  # fmt: skip
    return Table(
        [
            Column("head"), Column("kind"), Column("looks at"),
            Column("copying", digits=2), Column("writes own", align="right"),
            Column("asks own", align="right"),
        ],
        rows,
        title="The heads, by attention and by weights",
        caption="**Kind**: confirmed where the attention exceeds its null and removing the head "
        "bears the name out on the same prompts; a question mark where only the attention is "
        "there. **Looks at**: the place of which its share of attention exceeds the null most. "
        "**Copying**: Σλ / Σ|λ| of the full OV circuit, from -1 to 1. **Writes own**: tokens of "
        "the task that raise their own logit most when it attends to them; **asks own**: tokens "
        "that, as a query, score highest for themselves; by the direct path from the embedding, "
        "chance is one in as many.",
        does_not_show="what a head does on other text.",
    )  # fmt: skip


def _kinds(head: HeadReading) -> str:
    sure = [each.name for each in head.kinds if each.status == "confirmed"]
    rest = [f"{each.name}?" for each in head.kinds if each.status != "confirmed"]
    return ", ".join([*sure, *rest]) or "no known kind"


def _looks(attends: tuple[Attending, ...]) -> str:
    if not attends:
        return "not known"
    most = max(attends, key=lambda each: each.share.value - each.null)
    if not most.share.low > most.null:
        return "nothing listed more than by chance"
    return f"{_PLACES.get(most.to, most.to)}: {share(most.share)}, null {percent(most.null)}"


def _share_of(value: float, tokens: int) -> str:
    return "not known" if value != value else f"{percent(value)} of {tokens}"


def score_table(evidence: CompositionEvidence) -> Table:
    """Composition scores of the pairs, beside their random baselines."""
    rows = [
        [
            short(each.sender), short(each.receiver), each.reads, each.score, each.baseline,
            each.high, f"{each.p:.2g}", _share_of(each.own, each.tokens),
        ]
        for each in sorted(evidence.scores, key=lambda each: each.baseline - each.score)
    ]  # fmt: skip
    return Table(
        [
            Column("writes"), Column("reads"), Column("as"), Column("score", digits=3),
            Column("random: mean", digits=3), Column("random: 97.5 %", digits=3),
            Column("p", align="right"), Column("matches itself", align="right"),
        ],
        rows,
        title="Composition scores, from the weights",
        caption="How much of what one head writes the other reads as queries, keys or values, "
        "beside the same matrices turned at random; p is of each pair by itself. **Matches "
        "itself**: tokens of the task that, sent by the first head, score highest with themselves "
        "at the second (as values: raise their own logit most).",
        does_not_show="that the path is used on any prompt: that is in the table of paths.",
    )  # fmt: skip
