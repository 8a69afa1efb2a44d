"""The rules that say whether a claim holds on another model. The verdict is computed, not typed."""

from __future__ import annotations

from residuum.findings.record.path_evidence import LEAST_PATH
from residuum.findings.record.rules import Outcome, Rule, Status, percent
from residuum.findings.record.transfer_evidence import (
    LEAST_KIND,
    Feed,
    KindShare,
    OriginClaim,
    Portrait,
    TransferEvidence,
    Verdict,
)
from residuum.findings.record.words import listed, model_name

SUPPORTED, KINDS, FEEDS = "Supported there", "Parts of the same kinds", "They feed one another so"
EXIST = "There are such parts"
_OUTCOMES: dict[Status, Outcome] = {
    "supported": "holds",
    "not supported": "fails",
    "undecided": "unclear",
}


def transfer_rules(evidence: TransferEvidence) -> tuple[Rule, ...]:
    """Is it supported there and, where the parts were searched for anew, are they of its kinds.

    Where it is undecided which parts carry it there, a kind that no part of that model is of
    refutes all the same.
    """
    rules = (_supported(evidence),)
    if evidence.same_components or evidence.origin.kind != "components":
        return rules
    if rules[0].outcome == "unclear":
        return (*rules, *_exist(evidence))
    if rules[0].outcome != "holds":
        return rules
    return (*rules, _kinds(evidence), *_feeds(evidence))


def verdict(rules: tuple[Rule, ...]) -> Verdict:
    """``holds`` if every rule does, ``does not hold`` if one fails, else ``cannot be said``.

    >>> verdict((Rule("a", "", "", "holds", "transfer", False),))
    'holds'
    """
    outcomes = [rule.outcome for rule in rules]
    if "fails" in outcomes:
        return "does not hold"
    return "cannot be said" if "unclear" in outcomes else "holds"


def _supported(evidence: TransferEvidence) -> Rule:
    how = (
        "the same components, circuit or direction"
        if evidence.same_components
        else "what is found anew"
    )
    found = f"the finding there is {evidence.status}"
    if not evidence.present:
        found += ": that model does not show the behaviour"
    return _rule(
        SUPPORTED,
        f"on the other model, {how} is supported by the rules of every finding",
        found,
        _OUTCOMES[evidence.status],
    )


def _exist(evidence: TransferEvidence) -> tuple[Rule, ...]:
    """Has the model parts of the kinds at all, whether they are named or not."""
    there, anywhere = evidence.origin.portrait, evidence.anywhere
    if anywhere is None or not there.carrying:
        return ()
    gone = [name for name in there.carrying if name not in anywhere]
    shares = [f"{name} parts ({percent(there.share(name).confirmed)})" for name in gone]
    kind = "this kind" if len(gone) == 1 else "one of these kinds"
    said = f"it has {listed(list(there.carrying))} parts"
    if gone:
        said = f"there {listed(shares)} carry it; no part of this model is of {kind}, or attends so"
    return (
        _rule(
            EXIST,
            f"of every kind of part that carries {percent(LEAST_KIND)} or more of the mechanism in "
            "the origin, confirmed, this model has one that at least attends so, named or not",
            said,
            "fails" if gone else "holds",
        ),
    )


def _kinds(evidence: TransferEvidence) -> Rule:
    """Does every kind that carries the mechanism in the origin carry it here as well."""
    origin, here = evidence.origin.portrait, evidence.here
    wanted = [here.share(name) for name in origin.carrying]
    outcome: Outcome = "holds"
    if not (origin.read and here.read and wanted):
        outcome = "unclear"
    elif any(each.attending < LEAST_KIND for each in wanted):
        outcome = "fails"
    elif any(each.confirmed < LEAST_KIND for each in wanted):
        outcome = "unclear"
    return _rule(
        KINDS,
        f"every kind of part that carries {percent(LEAST_KIND)} or more of the mechanism in the "
        "origin, confirmed, carries as much here; addresses may differ",
        _compared(origin, here, wanted),
        outcome,
    )


def _compared(origin: Portrait, here: Portrait, wanted: list[KindShare]) -> str:
    if not origin.read:
        return "not testable: the origin has no composition stage to tell the kinds of its parts"
    if not here.read:
        return "not testable: no composition stage was run here"
    if not wanted:
        return "not testable: no kind of part is confirmed for enough of the origin"
    said = []
    for each in wanted:
        text = f"{each.name} {percent(origin.share(each.name).confirmed)} there, "
        text += f"{percent(each.confirmed)} here"
        if each.attending - each.confirmed >= 0.005:
            text += f" ({percent(each.attending)} with those that only attend so)"
        said.append(text)
    return "; ".join(said)


def _feeds(evidence: TransferEvidence) -> tuple[Rule, ...]:
    """Is the strongest path between two parts of the origin found here, by kinds and input.

    A path of which nothing was shown here refutes only where what it can do was measured to be
    small: an interval that holds zero is no proof of absence.
    """
    origin, here = evidence.origin.portrait, evidence.here
    known = [feed for feed in origin.feeds if feed.seen == "feeds"]
    if not known:
        return ()
    best = max(each.strongest for each in known)
    wanted = [each for each in known if each.strongest == best]
    seen = [found for each in wanted for found in here.feeds if _path(found) == _path(each)]
    outcome: Outcome = "unclear"
    if any(each.seen == "feeds" for each in seen):
        outcome = "holds"
    elif seen and all(each.strongest < LEAST_PATH for each in seen):
        outcome = "fails"
    said = "; ".join(f"{feed_words(each)}: {each.seen}" for each in seen)
    return (
        _rule(
            FEEDS,
            f"the strongest path between named parts of the origin, "
            f"{listed([feed_words(each) for each in wanted])}, feeds here too; what was seen not "
            f"to do so refutes where it does less than {percent(LEAST_PATH)} both ways",
            said or "not testable: no two named parts here are of these kinds",
            outcome,
        ),
    )


def _path(feed: Feed) -> tuple[str, str, str]:
    return (feed.sender, feed.reads, feed.receiver)


def feed_words(feed: Feed) -> str:
    """A path between kinds, as people write it.

    >>> feed_words(Feed("previous-token", "k", "induction", "feeds", 0.2))
    'previous-token → (k) induction'
    """
    return f"{feed.sender} → ({feed.reads}) {feed.receiver}"


def _rule(name: str, demands: str, found: str, outcome: Outcome) -> Rule:
    return Rule(name, demands, found, outcome, "transfer", decides=False)


def transfer_words(evidence: TransferEvidence, model: str) -> str:
    """The verdict as a sentence.

    Args:
        evidence: what came of it.
        model: name of the other model.
    """
    origin = evidence.origin
    verdicts = {
        "holds": "holds on",
        "does not hold": "does not hold on",
        "cannot be said": "cannot be said to hold or not on",
    }
    reason = _open_words(evidence) or _agreed(evidence)
    return f"{origin_words(origin)} {verdicts[evidence.verdict]} {model_name(model)} ({reason})."


def _open_words(evidence: TransferEvidence) -> str:
    """Why it fails; or, where nothing does, what is unclear; empty where all holds."""
    rules = transfer_rules(evidence)
    worst = "fails" if any(rule.outcome == "fails" for rule in rules) else "unclear"
    return "; ".join(
        _missing(evidence) if (rule.name, worst) == (KINDS, "fails") else rule.found
        for rule in rules
        if rule.outcome == worst
    )


def _missing(evidence: TransferEvidence) -> str:
    """Kinds that carry the mechanism there and not here."""
    there, here = evidence.origin.portrait, evidence.here
    gone = [name for name in there.carrying if here.share(name).attending < LEAST_KIND]
    return "; ".join(
        f"{name} parts carry {percent(there.share(name).confirmed)} of it there, "
        f"{percent(here.share(name).attending)} here"
        for name in gone
    )


def _agreed(evidence: TransferEvidence) -> str:
    if evidence.same_components:
        what = (
            "components are"
            if evidence.origin.kind == "components"
            else f"{evidence.origin.kind} is"
        )
        return f"the same {what} supported there"
    if evidence.origin.kind != "components":
        return f"a {evidence.origin.kind} found there in the same way is supported"
    kinds = listed(list(evidence.origin.portrait.carrying))
    return f"supported there by parts of the same kinds: {kinds}"


def origin_words(origin: OriginClaim) -> str:
    """The finding that was tried, in words."""
    return f"What finding {origin.hash[:12]} says of {origin.task} in {model_name(origin.model)}"
