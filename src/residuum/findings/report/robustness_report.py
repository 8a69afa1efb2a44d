"""The part of a finding's report on robustness: other templates, draws, pairs, removals, models."""

from __future__ import annotations

from residuum.figures import Bars, Bullets, Column, Fold, Heading, HeatMap, Paragraph, Part, Table
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.robustness_evidence import OtherModel, RobustnessEvidence
from residuum.findings.record.robustness_rules import robustness_notes, robustness_rules
from residuum.findings.record.rules import ENOUGH, number, percent, share
from residuum.findings.record.words import listed, object_words, short

_MOST_NAMED = 3
_MOVED = {
    "components": "**Recover**: the parts' clean values in the corrupt run. **Lose**: their "
    "corrupt values in the clean run. On other templates the parts are those that were chosen "
    "without these templates; on new pairs they are the named ones.",
    "circuit": "**Recover**: what the circuit's edges alone do. **Lose**: what is lost without "
    "them.",
    "direction": "**Recover**: what adding the direction closes. **Lose**: what erasing it takes "
    "away.",
}
_MARKS = {"holds": "Yes.", "fails": "No.", "unclear": "Not clear."}


def robustness_parts(evidence: RobustnessEvidence, unit: str) -> list[Part]:
    """Headings, tables and pictures.

    Args:
        evidence: what was measured.
        unit: of the metric.
    """
    shown: list[Part] = [
        Heading("Does it hold?"),
        Paragraph(f"{_asked(evidence)}, and pairs never seen."),
    ]
    rules, notes = robustness_rules(evidence), robustness_notes(evidence)
    if rules:
        shown.append(
            Bullets([f"**{rule.name}? {_MARKS[rule.outcome]}** {rule.found}." for rule in rules])
        )
    if notes:
        shown.append(Paragraph(notes))
    if evidence.models:
        shown.append(_models(evidence, unit))
    more: list[Part] = [_bars(evidence)] if evidence.folds or evidence.new else []
    if evidence.folds:
        more.append(_folds(evidence))
    if evidence.draws:
        more.append(_draws(evidence))
    if evidence.ways:
        more.append(_ways(evidence))
    if more:
        shown.append(Fold("Each template, each draw, each way of removal", more, printed=False))
    return shown


def _asked(evidence: RobustnessEvidence) -> str:
    """What is measured again."""
    if evidence.kind == "components":
        return (
            "The same parts, or a new choice of them, on pairs that had no part in the first "
            "choice: sentences of other templates, other halves of the pairs"
        )
    named = object_words(evidence.kind, evidence.parts)
    return f"{named[0].upper()}{named[1:]} on other pairs: sentences of other templates"


def _bars(evidence: RobustnessEvidence) -> Bars:
    """What is recovered and lost on each set of other pairs."""
    rows: list[tuple[str, Estimate]] = []
    for each in evidence.folds:
        name = f"on {_brief(each.measured_on)}"
        rows += [(f"recover {name}", each.recovered), (f"lose {name}", each.lost)]
    for each in evidence.new:
        name = f"on new pairs {each.seed}"
        rows += [(f"recover {name}", each.recovered), (f"lose {name}", each.lost)]
    return Bars(
        [name for name, _ in rows],
        [100 * each.value for _, each in rows],
        lo=[100 * each.low for _, each in rows],
        hi=[100 * each.high for _, each in rows],
        x="share of the distance",
        unit="%",
        order="given",
        title="On pairs that had no part in the choice",
        caption="The distance: between corrupt and clean. "
        f"{_MOVED[evidence.kind]} 95 % intervals; at least {percent(ENOUGH)} is asked for. New "
        "pairs are numbered by their seed.",
        does_not_show="pairs of another source.",
    )


def _brief(templates: tuple[str, ...]) -> str:
    """Templates by name where they are few."""
    if len(templates) <= _MOST_NAMED:
        return listed(list(templates))
    return f"{templates[0]} and {len(templates) - 1} other templates"


def _folds(evidence: RobustnessEvidence) -> Table:
    rows = [
        [
            ", ".join(each.chosen_on),
            ", ".join(each.measured_on),
            listed([short(at) for at in each.parts]),
            "–" if each.jaccard != each.jaccard else percent(each.jaccard),
            share(each.recovered),
            share(each.lost),
        ]
        for each in evidence.folds
    ]
    return Table(
        [
            Column("chosen on"),
            Column("measured on"),
            Column("parts"),
            Column("overlap", align="right"),
            Column("recover", align="right"),
            Column("lose", align="right"),
        ],
        rows,
        title="Chosen on some templates, measured on the others",
        caption="**Overlap** with the named parts: shared over all of both (Jaccard).",
    )


def _draws(evidence: RobustnessEvidence) -> HeatMap:
    """Which parts each draw chooses."""
    everything = [*evidence.parts]
    for draw in evidence.draws:
        everything += [at for at in draw.parts if at not in everything]
    rows = [("named", evidence.parts), *((f"half {d.seed}", d.parts) for d in evidence.draws)]
    overlaps = ", ".join(percent(each.jaccard) for each in evidence.draws)
    return HeatMap(
        [[float(at in parts) for at in everything] for _, parts in rows],
        row_labels=[name for name, _ in rows],
        col_labels=[short(at) for at in everything],
        x="part",
        y="chosen on",
        unit="chosen",
        scale="sequential",
        limits=(0.0, 1.0),
        title="What other halves of the pairs would have named",
        caption="Each half is drawn at random from all pairs, those used for the choice among "
        f"them. 1: chosen, 0: not. Overlap with the named parts (Jaccard): {overlaps}.",
        does_not_show="parts that pairs of another source would name.",
    )


def _ways(evidence: RobustnessEvidence) -> Bars:
    nan = float("nan")
    rows = []
    for each in evidence.ways:
        rows.append((each.how, each.lost))
        if each.worst_random == each.worst_random:
            worst = Estimate(each.worst_random, nan, nan, 0)
            rows.append((f"{each.how}, random", worst))
    return Bars(
        [name for name, _ in rows],
        [100 * each.value for _, each in rows],
        lo=[100 * each.low for _, each in rows],
        hi=[100 * each.high for _, each in rows],
        x="lost, of the distance",
        unit="%",
        order="given",
        title=f"Without {object_words(evidence.kind, evidence.parts)}, in every way",
        caption="The distance: between corrupt and clean. "
        "Swapped: corrupt values instead. Resampled: those of another prompt. Mean: over the "
        "prompts. Silenced: zeros. Random: the costliest random one, removed in the same way. 95 % "
        "intervals.",
        does_not_show="which of them is right: each asks another question.",
    )


def _models(evidence: RobustnessEvidence, unit: str) -> Table:
    return Table(
        [
            Column("model"),
            Column("answer preferred", align="right"),
            Column(f"clean minus corrupt ({unit})", align="right"),
            Column("a search names"),
            Column("recover", align="right"),
            Column("lose", align="right"),
            Column("the same parts recover", align="right"),
            Column("the same parts lose", align="right"),
        ],
        [_model(each) for each in evidence.models],
        title="The same question asked of other models",
        caption="The search runs on half of the pairs, the rest is measured on the other half. "
        "The same parts are only there in a model of the same shape. 95 % intervals.",
    )


def _model(model: OtherModel) -> list[str]:
    parts = listed([short(at) for at in model.parts]) if model.parts else "behaviour absent"
    found = (model.recovered, model.lost, model.same_recovered, model.same_lost)
    shares = ["–" if each is None else share(each) for each in found]
    return [model.name, share(model.choice), number(model.contrast), parts, *shares]
