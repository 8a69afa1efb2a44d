"""What follows for robustness: it narrows the claim, and decides no status."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from residuum.findings.record.evidence import Estimate
from residuum.findings.record.mechanism import Kind
from residuum.findings.record.robustness_evidence import (
    OtherModel,
    RobustnessEvidence,
    Way,
)
from residuum.findings.record.rules import ENOUGH, Outcome, Rule, percent, share
from residuum.findings.record.whole_rules import CIRCUIT_ENOUGH
from residuum.findings.record.words import listed, model_name, short

STABLE = 0.5
"""Mean overlap (Jaccard) with the named parts from which other draws are said to agree."""
_LEAST: dict[Kind, float] = {
    "components": ENOUGH, "circuit": CIRCUIT_ENOUGH, "direction": ENOUGH
}  # fmt: skip
_DEMANDS: dict[Kind, str] = {
    "components": f"recover and lose at least {percent(ENOUGH)} of the distance",
    "circuit": f"at least {percent(CIRCUIT_ENOUGH)} of the distance is done by its edges alone, "
    "and lost without them",
    "direction": f"adding it and erasing it close at least {percent(ENOUGH)} of the distance",
}
_NARROWS = "(narrows the claim, decides no status)"


def robustness_rules(evidence: RobustnessEvidence) -> tuple[Rule, ...]:
    """Rules about what was tried; what could not be tried has none."""
    rules = []
    if evidence.folds:
        rules.append(_folds(evidence))
    if evidence.draws:
        rules.append(_draws(evidence))
    if evidence.new:
        rules.append(_new(evidence))
    if evidence.ways:
        rules.append(_ways(evidence.ways))
    if evidence.models:
        rules.append(_models(evidence.models))
    return tuple(rules)


def _rule(name: str, demands: str, found: str, outcome: Outcome) -> Rule:
    return Rule(name, f"{demands} {_NARROWS}", found, outcome, "robustness", decides=False)


def _folds(evidence: RobustnessEvidence) -> Rule:
    kind = evidence.kind
    begins = (
        f"chosen on some templates, the parts {_DEMANDS[kind]} on the others"
        if kind == "components"
        else f"on some templates and on the others by themselves, {_DEMANDS[kind]}"
    )
    return _rule(
        "Other templates",
        f"{begins}, interval and all",
        "; ".join(
            f"on {_count(each.measured_on, kind)}: {both_words(kind, each.recovered, each.lost)}"
            for each in evidence.folds
        ),
        enough([each for f in evidence.folds for each in (f.recovered, f.lost)], _LEAST[kind]),
    )


def both_words(kind: Kind, recovered: Estimate, lost: Estimate) -> str:
    """What a mechanism restores and what is lost by it, in its own words.

    >>> one = Estimate(0.9, 0.8, 1.0, 8)
    >>> both_words("circuit", one, one)
    'alone it does 90 % [80, 100], without it 90 % [80, 100] is lost'
    """
    if kind == "circuit":
        return f"alone it does {share(recovered)}, without it {share(lost)} is lost"
    if kind == "direction":
        return f"added it closes {share(recovered)}, erased {share(lost)}"
    return f"recover {share(recovered)}, lose {share(lost)}"


def _count(templates: Sequence[str], kind: Kind) -> str:
    other = "other " if kind == "components" else ""
    return f"{len(templates)} {other}template{'' if len(templates) == 1 else 's'}"


def _draws(evidence: RobustnessEvidence) -> Rule:
    overlaps = [each.jaccard for each in evidence.draws]
    always = listed([short(at) for at in evidence.always]) if evidence.always else "none"
    return _rule(
        "Other draws",
        f"chosen on other halves of the pairs, the parts overlap by {percent(STABLE)} or more on "
        "average with the named ones (Jaccard)",
        f"{percent(fmean(overlaps))} over {len(overlaps)} draws, {percent(min(overlaps))} at "
        f"least; chosen every time: {always}",
        "holds" if fmean(overlaps) >= STABLE else "fails",
    )


def _new(evidence: RobustnessEvidence) -> Rule:
    kind = evidence.kind
    named = "the named parts " if kind == "components" else ""
    return _rule(
        "New pairs",
        f"on new pairs from the same source {named}{_DEMANDS[kind]}, interval and all",
        "; ".join(
            f"{each.n} pairs of seed {each.seed}: {both_words(kind, each.recovered, each.lost)}"
            for each in evidence.new
        ),
        enough([each for n in evidence.new for each in (n.recovered, n.lost)], _LEAST[kind]),
    )


def _ways(ways: Sequence[Way]) -> Rule:
    outcomes = [_way(each) for each in ways]
    return _rule(
        "Other removals",
        "every way of removal costs something, with its interval above 0, and more than every "
        "random one of its size",
        "; ".join(
            f"{each.how} {share(each.lost)}, random up to {percent(each.worst_random)}"
            for each in ways
        ),
        "fails" if "fails" in outcomes else "unclear" if "unclear" in outcomes else "holds",
    )


def _way(way: Way) -> Outcome:
    """One way; without an interval, or without random ones, it shows nothing."""
    if way.lost.value <= 0:
        return "fails"
    return "holds" if way.lost.low > 0 and way.lost.value > way.worst_random else "unclear"


def _models(models: Sequence[OtherModel]) -> Rule:
    outcomes = [_model(each) for each in models]
    return _rule(
        "Other models",
        "in the other models the behaviour is there, and a search names parts that recover and "
        f"lose at least {percent(ENOUGH)} of the distance, interval and all",
        "; ".join(map(model_words, models)),
        "fails" if "fails" in outcomes else "unclear" if "unclear" in outcomes else "holds",
    )


def _model(model: OtherModel) -> Outcome:
    """In one other model."""
    measured = [each for each in (model.recovered, model.lost) if each is not None]
    return enough(measured) if model.present else "fails"


def model_words(model: OtherModel) -> str:
    """What came out in another model."""
    name = model_name(model.name)
    if model.recovered is None or model.lost is None:
        return f"{name}: the behaviour is absent"
    parts = listed([short(at) for at in model.parts])
    return f"{name}: {parts} recover {share(model.recovered)}, lose {share(model.lost)}"


def enough(estimates: Sequence[Estimate], least: float = ENOUGH) -> Outcome:
    """Whether all lie above the least share, interval and all.

    >>> enough([Estimate(0.9, 0.8, 1.0, 8)]), enough([Estimate(0.4, 0.2, 0.6, 8)])
    ('holds', 'unclear')
    """
    if any(each.value <= least for each in estimates):
        return "fails"
    return "holds" if all(each.low > least for each in estimates) else "unclear"


def robustness_words(evidence: RobustnessEvidence) -> str:
    """What narrows the claim, without a full stop; empty where all that was tried holds."""
    said = {
        "Other templates": "it is not shown to carry over to other templates",
        "Other draws": "other halves of the pairs name other parts",
        "New pairs": "it is not shown to hold on new pairs",
        "Other removals": "not every way of removal shows it",
        "Other models": "it is not shown to hold in every other model",
    }
    if evidence.ways and all(map(_alone, evidence.ways)):
        said["Other removals"] = "there is nothing random to compare removals with"
    broken = [rule for rule in robustness_rules(evidence) if rule.outcome != "holds"]
    short_found = {
        "Other removals": _weak_ways(evidence.ways),
        "Other models": _elsewhere(evidence.models),
    }
    return "; ".join(
        f"{said[rule.name]} ({short_found.get(rule.name, rule.found)})" for rule in broken
    )


def _weak_ways(ways: Sequence[Way]) -> str:
    """The ways that do not show it, and what each costs beside random ones."""
    said = []
    for each in ways:
        if _way(each) != "holds":
            beaten = each.lost.value <= each.worst_random
            beside = f" and random ones up to {percent(each.worst_random)}" if beaten else ""
            beside = ", with no random ones beside it" if _alone(each) else beside
            said.append(f"{each.how}, {percent(each.lost.value)} is lost{beside}")
    if all(map(_alone, ways)):
        return "; ".join(f"{each.how}, {share(each.lost)} is lost" for each in ways)
    return "; ".join(said)


def _alone(way: Way) -> bool:
    """Whether there was nothing random to compare with."""
    return way.worst_random != way.worst_random


def _elsewhere(models: Sequence[OtherModel]) -> str:
    """Of how many other models it holds, and what came out in the rest."""
    rest = [each for each in models if _model(each) != "holds"]
    absent = [model_name(each.name) for each in rest if not each.present]
    said = [model_words(each) for each in rest if each.present]
    said += [f"the behaviour is absent in {listed(absent)}"] if absent else []
    return f"it does in {len(models) - len(rest)} of {len(models)}; {'; '.join(said)}"


def robustness_notes(evidence: RobustnessEvidence) -> str:
    """What was tried and held, and what could not be tried; for the scope.

    >>> left_out = ("other templates: one only",)
    >>> robustness_notes(RobustnessEvidence("components", (), (), (), (), (), (), left_out))
    'Beyond these pairs: not tried: other templates: one only.'
    """
    held = [rule.name.lower() for rule in robustness_rules(evidence) if rule.outcome == "holds"]
    said = [f"holds for {listed(held)}"] if held else []
    said += [f"not tried: {'; '.join(evidence.left_out)}"] if evidence.left_out else []
    return f"Beyond these pairs: {'; '.join(said)}." if said else ""
