"""What the paths between the named parts allow to say; none of it decides the status."""

from __future__ import annotations

from collections.abc import Sequence

from residuum.findings.record.composition_evidence import CompositionEvidence
from residuum.findings.record.path_evidence import LEAST_PATH, PathEvidence
from residuum.findings.record.rules import ALPHA, Outcome, Rule, percent, share
from residuum.findings.record.words import short

MOST_SAID = 3
"""Senders that a sentence names."""


def composition_rules(evidence: CompositionEvidence) -> tuple[Rule, ...]:
    """Do they feed one another, do the weights agree, do they reach the answer, what are they."""
    return (_feeding(evidence), _weights(evidence), _reaching(evidence), _kinds(evidence))


def _feeding(evidence: CompositionEvidence) -> Rule:
    between = evidence.between
    outcome: Outcome = "holds" if evidence.fed else "fails" if _none(between) else "unclear"
    return _rule(
        "They feed one another",
        f"one path or more from part to part restores and costs something, intervals above 0, "
        f"{percent(LEAST_PATH)} of the distance at least, joint p at most {ALPHA:g}, and more than "
        f"every other head tried on the same input (no: all intervals below {percent(LEAST_PATH)})",
        fed_words(evidence),
        outcome,
    )


def _weights(evidence: CompositionEvidence) -> Rule:
    """Is what a path carries in the weights: its composition score beyond random matrices."""
    straight = [path for path in evidence.fed if path.straight]
    found = [(path, score) for path in straight if (score := evidence.score(path))]
    agree = [(path, score) for path, score in found if score.p <= ALPHA]
    outcome: Outcome = "unclear"
    if found:
        outcome = "holds" if len(agree) == len(found) else "fails" if not agree else "unclear"
    said = "; ".join(
        f"{arrow(path)} score {score.score:.2f}, random up to {score.high:.2f}, p {score.p:.2g}"
        for path, score in found[:MOST_SAID]
    )
    return _rule(
        "The weights agree",
        "where one head feeds another straight along the stream, what it writes lies in what the "
        f"other reads, more than the same matrices turned at random (p at most {ALPHA:g}, each "
        "pair by itself)",
        f"{len(agree)} of {len(found)} such paths; {said}" if found else _untold(evidence),
        outcome,
    )


def _untold(evidence: CompositionEvidence) -> str:
    """Why the weights say nothing."""
    if not evidence.fed:
        return "not testable: no head is shown to feed another"
    if not any(path.straight for path in evidence.fed):
        return "not testable: it passes through MLPs, which these scores leave out"
    return "not testable: there are no scores of these parts"


def _reaching(evidence: CompositionEvidence) -> Rule:
    """Does what a named part writes come to the logits without other heads."""
    paths = evidence.reaching
    shown = [p for p in paths if p.feeds == "feeds" and p.beyond_controls is not False]
    outcome: Outcome = "holds" if shown else "fails" if _none(paths) else "unclear"
    return _rule(
        "They reach the answer",
        "what one named part or more writes changes the answer without passing through another "
        f"head, at least {percent(LEAST_PATH)} of the distance both ways, intervals above 0, joint "
        f"p at most {ALPHA:g}, and more than every other head tried (no: all intervals below "
        f"{percent(LEAST_PATH)})",
        reach_words(evidence),
        outcome,
    )


def reach_words(evidence: CompositionEvidence) -> str:
    """How strongly the named parts act on the logits without other heads, without a full stop."""
    paths = evidence.reaching
    if not paths:
        return "not tested"
    may = [path for path in paths if path.feeds != "not shown"]
    if not may and not _none(paths):
        return _not_known(paths)
    if not may:
        return "none of them does; they act, if they do, through other heads"
    shown = [path for path in may if path.feeds == "feeds"] or may
    said = ", ".join(f"{short(p.sender)} {share(p.restores)}" for p in shown[:MOST_SAID])
    left = len(shown) - len(shown[:MOST_SAID])
    said += f" and {left} more" if left else ""
    if not all(path.straight for path in shown):
        most = max(path.direct.value for path in shown)
        said += f"; with MLPs held {percent(max(most, 0.0))} at most"
    controls = max(path.controls for path in shown)
    if controls:
        best = max(path.control for path in shown)
        said += f"; the best of {controls} other heads {percent(best)}"
    return said if shown[0].feeds == "feeds" else f"may: {said}; joint p {shown[0].p:.2g}"


def _kinds(evidence: CompositionEvidence) -> Rule:
    heads = [head for head in evidence.heads if head.named]
    known = [head for head in heads if head.kind]
    outcome: Outcome = "unclear"
    if heads and any(head.attends for head in heads):
        outcome = "holds" if len(known) == len(heads) else "fails" if not known else "unclear"
    return _rule(
        "Of a known kind",
        "every named head attends in a way that has a name, and its removal bears the name out on "
        "the same prompts",
        "; ".join(f"{short(head.at)} {head.kind}" for head in known) or "none of them",
        outcome,
    )


def _rule(name: str, demands: str, found: str, outcome: Outcome) -> Rule:
    return Rule(name, demands, found, outcome, "composition", decides=False)


def arrow(path: PathEvidence) -> str:
    """A path as people write it.

    >>> from residuum.findings.record.evidence import Estimate
    >>> one = Estimate(0.4, 0.3, 0.5, 32)
    >>> arrow(PathEvidence("L0.z[H0]", "L1.z[H0]", "k", one, one, one, 0, 0, 0, 1, "feeds"))
    'L0.H0 → (k) L1.H0'
    """
    reads = "" if path.reads in ("mlp", "logits") else f"({path.reads}) "
    return f"{short(path.sender)} → {reads}{short(path.receiver)}"


def fed_words(evidence: CompositionEvidence) -> str:
    """Who feeds whom, in one sentence without a full stop; or why nobody is said to."""
    if evidence.fed:
        return _told(evidence.fed)
    if not evidence.paths:
        return "not tested"
    if not evidence.between:
        return "not testable: none of these parts lies before another"
    may = [path for path in evidence.between if path.feeds != "not shown"]
    if not may and not _none(evidence.between):
        return _not_known(evidence.between)
    if not may:
        return "no path between these parts restores and costs anything"
    beaten = [path for path in may if path.beyond_controls is False]
    if len(beaten) == len(may):
        return (
            f"no more than other heads do: {arrow(may[0])} {share(may[0].restores)}, the best of "
            f"{may[0].controls} others {percent(may[0].control)}"
        )
    best = next(path for path in may if path.beyond_controls is not False)
    few = (
        f"these pairs have too few templates for any p below {evidence.floor:.2g}"
        if evidence.floor > ALPHA
        else f"joint p {best.p:.2g}"
    )
    return f"may: {arrow(best)} restores {share(best.restores)}, but {few}"


def _none(paths: Sequence[PathEvidence]) -> bool:
    """Whether all of some paths are shown to be absent."""
    return bool(paths) and all(path.absent for path in paths)


def _not_known(paths: Sequence[PathEvidence]) -> str:
    """That none is shown, and the one that may be largest."""
    path = max((each for each in paths if not each.absent), key=lambda each: each.restores.value)
    return f"not known: {arrow(path)} restores {share(path.restores)} and costs {share(path.loses)}"


def _told(paths: Sequence[PathEvidence]) -> str:
    """Paths of a sender into the same kind of input together: ``A → (q) B, C``."""
    groups: dict[tuple[str, str], list[PathEvidence]] = {}
    for path in paths:
        groups.setdefault((path.sender, path.reads), []).append(path)
    said = []
    for found in list(groups.values())[:MOST_SAID]:
        more = "".join(f", {short(path.receiver)}" for path in found[1:])
        restores = [path.restores for path in found]
        range_ = share(restores[0]) if len(found) == 1 else _range([r.value for r in restores])
        said.append(f"{arrow(found[0])}{more} ({range_})")
    left = len(groups) - len(said)
    return "; ".join(said) + (f"; and {left} more" if left else "")


def _range(values: Sequence[float]) -> str:
    low, high = percent(min(values)), percent(max(values))
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def path_words(evidence: CompositionEvidence, path: PathEvidence) -> str:
    """One path in a sentence: who, what each is, how much, and what else was tried."""
    names = [_named(evidence, at) for at in (path.sender, path.receiver)]
    reads = {"q": "as its queries", "k": "as its keys", "v": "as its values"}.get(path.reads, "")
    said = f"{names[1]} reads {reads} what {names[0]} writes".replace("  ", " ")
    said += (
        f": this path alone restores {share(path.restores)} of the distance and costs "
        f"{share(path.loses)}, joint p {path.p:.2g}"
    )
    if not path.straight:
        said += f"; with the MLPs in between held {percent(path.direct.value)} are left".replace(
            "-0 %", "0 %"
        )
    if path.controls:
        said += f"; the best of {path.controls} other heads restores {percent(path.control)}"
    else:
        said += "; there is no other head before it to compare with"
    score = evidence.score(path)
    if score is not None and score.own == score.own and score.own * score.tokens >= 2:
        said += f"; by the weights {percent(score.own)} of {score.tokens} tokens match themselves"
    return f"{said}."


def _named(evidence: CompositionEvidence, at: str) -> str:
    kind = evidence.kind(at)
    return f"{short(at)} ({kind})" if kind else short(at)
