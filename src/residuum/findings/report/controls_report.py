"""The part of a finding's report on controls: where nothing should be found."""

from __future__ import annotations

from residuum.figures import Bars, Column, Fold, Heading, Paragraph, Part, Table
from residuum.findings.record.controls_evidence import ControlsEvidence, PushControl
from residuum.findings.record.controls_rules import attending_words
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.rules import number, percent, share
from residuum.findings.record.words import short

_REGAINED = {
    "components": "**Regained**: what the parts' clean values give the corrupt run",
    "circuit": "**Regained**: what the circuit's edges alone do",
    "direction": "**Regained**: what adding the direction gives the corrupt run",
}
_WEIGHTS = {"permuted": "permuted", "fresh": "before training"}


def controls_parts(evidence: ControlsEvidence, unit: str) -> list[Part]:
    """Headings, tables and pictures.

    Args:
        evidence: what was measured.
        unit: of the metric.
    """
    shown: list[Part] = [
        Heading("Is it found where nothing is?"),
        Paragraph(
            "The same measurements where they should say nothing: in models of this shape that "
            "learned nothing, with answers handed out at random, and with random pushes."
        ),
    ]
    if evidence.weights:
        shown.append(_weights(evidence, unit))
    if evidence.labels is not None or evidence.pushes is not None:
        title = "Against answers at random"
        if evidence.pushes is not None:
            title = "Against random pushes, and against answers at random"
        shown.append(Fold(title, [_bars(evidence)], printed=False))
    if evidence.attending:
        shown += _attending(evidence)
    if evidence.left_out:
        shown.append(Paragraph(f"Not done: {'; '.join(evidence.left_out)}."))
    return shown


def _weights(evidence: ControlsEvidence, unit: str) -> Table:
    rows = [
        [
            f"{_WEIGHTS[each.kind]}, seed {each.seed}",
            _whole(each.choice),
            percent(each.shuffled.value),
            number(each.contrast),
            "present" if each.present else "absent",
            _whole(each.gained),
            "found there too" if each.found else "not there",
        ]
        for each in evidence.weights
    ]
    return Table(
        [
            Column("weights"),
            Column("answer preferred", align="right"),
            Column("random labels", align="right"),
            Column(f"clean minus corrupt ({unit})", align="right"),
            Column("behaviour"),
            Column("regained", align="right"),
            Column("mechanism"),
        ],
        rows,
        title="The same pairs and the same mechanism in models that learned nothing",
        caption="**Permuted**: the entries of every weight matrix at other places. **Before "
        f"training**: new weights, as the model's own code draws them. {_REGAINED[evidence.kind]}, "
        "as a share of the intact model's distance between corrupt and clean. 95 % intervals.",
    )


def _whole(estimate: Estimate) -> str:
    """A share that stays on its line."""
    return share(estimate).replace(" ", "\u00a0")


def _bars(evidence: ControlsEvidence) -> Bars:
    """Own values, random labels and random pushes, all as shares."""
    names, values = [], []
    if evidence.pushes is not None:
        pushes = evidence.pushes
        names += ["clean: regained", "random push: regained",
                  "corrupt: lost", "random push: lost"]  # fmt: skip
        values += [pushes.recovered, _range(pushes.random_recovered), pushes.lost,
                   _range(pushes.random_lost)]  # fmt: skip
    if evidence.labels is not None and evidence.labels.own.value:
        labels, own = evidence.labels, evidence.labels.own.value
        scale = evidence.pushes.recovered.value / own if evidence.pushes else 1 / own
        names.append("clean, random labels")
        values.append(Estimate(scale * labels.mean, scale * labels.low, scale * labels.high, 0))
    return Bars(
        names,
        [100 * each.value for each in values],
        lo=[100 * each.low for each in values],
        hi=[100 * each.high for each in values],
        x="share of the distance",
        unit="%",
        order="given",
        title="Own values, random pushes, random labels",
        caption=_bars_caption(evidence.pushes),
        does_not_show="what the parts say; only that it is not the push, and not any label.",
    )


def _bars_caption(pushes: PushControl | None) -> str:
    said = (
        "The distance: between corrupt and clean. "
        "Clean, corrupt: the parts' own values. Their whiskers: 95 % intervals; those of random "
        "labels: what holds 95 % of them."
    )
    if pushes is None:
        return said
    return (
        f"Random pushes: mean and range of {len(pushes.random_recovered)} draws; each part is "
        "moved along one random direction, place by place as far as the other side's value lies. "
        + said
    )


def _range(values: tuple[float, ...]) -> Estimate:
    return Estimate(sum(values) / len(values), min(values), max(values), len(values))


def _attending(evidence: ControlsEvidence) -> list[Part]:
    rows = [
        [
            short(head.at),
            f"{share(head.attention)} to {head.place}",
            share(head.recovered),
            share(head.swapped),
            _known(head.averaged),
            _known(head.beyond),
            head.use,
        ]
        for head in evidence.attending
    ]
    more = evidence.more_attending
    shown: list[Part] = [
        Heading("Do heads that attend strikingly matter?", level=3),
        Paragraph(
            "A picture of attention is no proof of use. Every head of the model that gives much of "
            "its attention to one place was put to the test, whether it is named or not. "
            f"{_idle(evidence)}"
        ),
    ]
    table = Table(
        [
            Column("head"),
            Column("attends"),
            Column("patched: regains", align="right"),
            Column("swapped: loses", align="right"),
            Column("at its mean: loses", align="right"),
            Column("beyond the named", align="right"),
            Column("use"),
        ],
        rows,
        title="Heads that attend strikingly, and what the answer owes to each",
        caption="Places: from the last token to the answer or to what differs within a pair; from "
        "every token to the one before, to the same token earlier, or to what followed that. The "
        "first token counts as no place. Effects are shares of the distance, with 95 % intervals. "
        "**Beyond the named**: its corrupt value, once the named parts have theirs: what it does "
        "when it has to stand in. **Not causal**: all effects below 5 %, intervals and all."
        + (f" {more} more attend as strikingly and were not tested." if more else ""),
        does_not_show="that an idle head is idle on other prompts.",
    )
    return [*shown, Fold("Each of these heads, in numbers", [table], printed=False)]


def _idle(evidence: ControlsEvidence) -> str:
    said = attending_words(evidence)
    if said:
        return f"**Attending, not causal.** {said}"
    return f"None of {len(evidence.attending)} is shown to be idle."


def _known(estimate: Estimate | None) -> str:
    return "–" if estimate is None else share(estimate)
