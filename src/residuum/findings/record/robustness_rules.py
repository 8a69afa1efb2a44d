"""What follows for robustness: it narrows the claim, and decides no status."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from residuum.findings.record.evidence import Estimate
from residuum.findings.record.robustness_evidence import (
    Fold,
    NewPairs,
    OtherModel,
    RobustnessEvidence,
    Way,
)
from residuum.findings.record.rules import ENOUGH, Outcome, Rule, percent, share
from residuum.findings.record.words import listed, short

STABLE = 0.5
"""Mean overlap (Jaccard) with the named parts from which other draws are said to agree."""
_NARROWS = "(narrows the claim, decides no status)"


def robustness_rules(evidence: RobustnessEvidence) -> tuple[Rule, ...]:
    """Rules about what was tried; what could not be tried has none."""
    rules = []
    if evidence.folds:
        rules.append(_folds(evidence.folds))
    if evidence.draws:
        rules.append(_draws(evidence))
    if evidence.new:
        rules.append(_new(evidence.new))
    if evidence.ways:
        rules.append(_ways(evidence.ways))
    if evidence.models:
        rules.append(_models(evidence.models))
    return tuple(rules)


def _rule(name: str, demands: str, found: str, outcome: Outcome) -> Rule:
    return Rule(name, f"{demands} {_NARROWS}", found, outcome, "robustness", decides=False)


def _folds(folds: Sequence[Fold]) -> Rule:
    return _rule(
        "Other templates",
        "chosen on some templates, the parts recover and lose at least "
        f"{percent(ENOUGH)} of the distance on the others, interval and all",
        "; ".join(
            f"on {_count(each.measured_on)}: recover {share(each.recovered)}, "
            f"lose {share(each.lost)}"
            for each in folds
        ),
        enough([each for fold in folds for each in (fold.recovered, fold.lost)]),
    )


def _count(templates: Sequence[str]) -> str:
    return f"{len(templates)} other template{'' if len(templates) == 1 else 's'}"


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


def _new(new: Sequence[NewPairs]) -> Rule:
    return _rule(
        "New pairs",
        "on new pairs from the same source the named parts recover and lose at least "
        f"{percent(ENOUGH)} of the distance, interval and all",
        "; ".join(
            f"{each.n} pairs of seed {each.seed}: recover {share(each.recovered)}, lose "
            f"{share(each.lost)}"
            for each in new
        ),
        enough([each for pairs in new for each in (pairs.recovered, pairs.lost)]),
    )


def _ways(ways: Sequence[Way]) -> Rule:
    outcomes = [_way(each) for each in ways]
    return _rule(
        "Other removals",
        "every way of removal costs something, with its interval above 0, and more than every "
        "random set",
        "; ".join(
            f"{each.how} {share(each.lost)}, random up to {percent(each.worst_random)}"
            for each in ways
        ),
        "fails" if "fails" in outcomes else "unclear" if "unclear" in outcomes else "holds",
    )


def _way(way: Way) -> Outcome:
    if not way.lost.value > 0:
        return "fails"
    beyond = not way.lost.value <= way.worst_random
    return "holds" if not way.lost.low <= 0 and beyond else "unclear"


def _models(models: Sequence[OtherModel]) -> Rule:
    measured = [each for model in models for each in (model.recovered, model.lost) if each]
    missing = any(not each.present for each in models)
    return _rule(
        "Other models",
        "in the other models the behaviour is there, and a search names parts that recover and "
        f"lose at least {percent(ENOUGH)} of the distance, interval and all",
        "; ".join(map(model_words, models)),
        "fails" if missing else enough(measured),
    )


def model_words(model: OtherModel) -> str:
    """What came out in another model."""
    if model.recovered is None or model.lost is None:
        return f"{model.name}: the behaviour is absent"
    parts = listed([short(at) for at in model.parts])
    return f"{model.name}: {parts} recover {share(model.recovered)}, lose {share(model.lost)}"


def enough(estimates: Sequence[Estimate]) -> Outcome:
    """Whether all lie above the least share, interval and all.

    >>> enough([Estimate(0.9, 0.8, 1.0, 8)]), enough([Estimate(0.4, 0.2, 0.6, 8)])
    ('holds', 'unclear')
    """
    if any(not each.value > ENOUGH for each in estimates):
        return "fails"
    return "holds" if all(each.low > ENOUGH for each in estimates) else "unclear"


def robustness_words(evidence: RobustnessEvidence) -> str:
    """What narrows the claim, without a full stop; empty where all that was tried holds."""
    broken = [rule for rule in robustness_rules(evidence) if rule.outcome != "holds"]
    said = {
        "Other templates": "it is not shown to carry over to other templates",
        "Other draws": "other halves of the pairs name other parts",
        "New pairs": "it is not shown to hold on new pairs",
        "Other removals": "not every way of removal agrees",
        "Other models": "it does not hold in every other model tried",
    }
    return "; ".join(f"{said[rule.name]} ({rule.found})" for rule in broken)


def robustness_notes(evidence: RobustnessEvidence) -> str:
    """What was tried and held, and what could not be tried; for the scope.

    >>> robustness_notes(RobustnessEvidence((), (), (), (), (), (), ("other templates: one only",)))
    'Beyond these pairs: not tried: other templates: one only.'
    """
    held = [rule.name.lower() for rule in robustness_rules(evidence) if rule.outcome == "holds"]
    said = [f"holds for {listed(held)}"] if held else []
    said += [f"not tried: {'; '.join(evidence.left_out)}"] if evidence.left_out else []
    return f"Beyond these pairs: {'; '.join(said)}." if said else ""
