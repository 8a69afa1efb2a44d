"""What was measured on named parts, in the words of a claim."""

from __future__ import annotations

from residuum.findings.record.part_evidence import PartsEvidence
from residuum.findings.record.parts_rules import idle_parts, opposed_parts, rival_rule
from residuum.findings.record.rules import ALPHA, IDLE, percent, share
from residuum.findings.record.words import listed, short

FEW = 4
"""Parts that are said apart by name; more are counted."""


def parts_words(parts: PartsEvidence) -> str:
    """What they regain and cost together, beside chance; what a search names; which are idle."""
    joint = parts.together
    recovered, lost = joint.chance
    its = "its" if len(parts.named) == 1 else "their"
    best = (
        f"the best of {joint.controls} regains {percent(max(recovered))} and loses "
        f"{percent(max(lost))}"
        if recovered
        else "there is no other part to compare with"
    )
    return (
        f"given {its} clean values, a corrupt run regains {share(joint.recovered)} of the "
        "difference between the two prompts; "
        f"given {its} corrupt values, a clean run loses {share(joint.swap_drop)}; {best}"
        f"{_beaten(parts)}{_riding_along(parts)}"
    )


def _riding_along(parts: PartsEvidence) -> str:
    """Which of the named parts do nothing, and which work against the answer; else empty."""
    idle = [short(at) for at in idle_parts(parts.named)]
    against = [short(at) for at in opposed_parts(parts.named)]
    said = ""
    if idle:
        does = "does" if len(idle) == 1 else "do"
        said += f"; {listed(idle, FEW)} {does} less than {percent(IDLE)}, alone and beside others"
    if against:
        works = "works" if len(against) == 1 else "work"
        said += f"; {listed(against, FEW)} {works} against the answer"
    return said


def _beaten(parts: PartsEvidence) -> str:
    """That a search names parts that carry more, where it does."""
    rival = parts.rival
    if rival is None or all(rule.outcome == "holds" for rule in rival_rule(parts)):
        return ""
    names = listed([short(at) for at in rival.parts])
    return f"; a search names {names}, which regain {share(rival.recovered)}"


def by_themselves(parts: PartsEvidence) -> str:
    """Which of the named parts are not shown by themselves; empty where all are.

    >>> by_themselves(PartsEvidence((), None, (), (), 0.01))  # type: ignore[arg-type]
    ''
    """
    said: list[str] = []
    for verdict in ("undecided", "not shown"):
        named = [short(part.at) for part in parts.named if part.verdict == verdict]
        if named:
            lowest = min(part.p for part in parts.named if part.verdict == verdict)
            are = "is" if len(named) == 1 else "are"
            said.append(f"{listed(named, FEW)} {are} {verdict} (joint p from {lowest:.2g})")
    if said and parts.floor > ALPHA:
        said.append(f"with so few templates no p is below {parts.floor:.2g}")
    return "; ".join(said)
