"""The rules about named parts: enough, needed, more than chance, none better, none idle."""

from __future__ import annotations

from collections.abc import Sequence

from residuum.findings.record.evidence import Estimate
from residuum.findings.record.part_evidence import PartEvidence, PartsEvidence, SetEvidence
from residuum.findings.record.rules import (
    ALPHA,
    ENOUGH,
    FEWEST_SETS,
    IDLE,
    MORE,
    Outcome,
    Rule,
    above,
    lead,
    percent,
    share,
)
from residuum.findings.record.words import MOST, listed, short


def parts_rules(evidence: PartsEvidence) -> tuple[Rule, ...]:
    """All rules about named parts, in the order in which a page lists them."""
    return (
        *mechanism_rules(evidence.together),
        *rival_rule(evidence),
        idle_rule(evidence.named),
        each_rule(evidence.named),
    )


def mechanism_rules(evidence: SetEvidence) -> tuple[Rule, ...]:
    """Is this the mechanism: enough, needed, and more than chance."""
    recovered, lost = evidence.chance
    best, worst = (max(each, default=float("nan")) for each in (recovered, lost))
    return (
        Rule(
            "Enough",
            f"patched together into the corrupt run they recover at least {percent(ENOUGH)} of the "
            "distance from corrupt to clean, interval and all",
            share(evidence.recovered),
            above(evidence.recovered, ENOUGH),
            "mechanism",
            decides=True,
        ),
        Rule(
            "Needed",
            "given their corrupt values in the clean run, at least "
            f"{percent(ENOUGH)} of the distance is lost, interval and all",
            share(evidence.swap_drop),
            above(evidence.swap_drop, ENOUGH),
            "mechanism",
            decides=True,
        ),
        Rule(
            "More than chance",
            f"both exceed every one of {evidence.controls} by {percent(MORE)} of the distance "
            "(beyond the whole distance nothing counts as more)",
            f"the best of these recovers {percent(best)} and loses {percent(worst)}",
            _beyond(evidence),
            "mechanism",
            decides=True,
        ),
    )


def rival_rule(parts: PartsEvidence) -> tuple[Rule, ...]:
    """Do parts that a search names carry more than the stated ones; none where it names no others.

    A set that holds some of the right parts recovers something too, and more than random sets do.
    """
    rival = parts.rival
    if rival is None:
        return ()
    own = parts.together
    gaps = (
        (_nearness(rival.recovered.value) - _capped(own.recovered.value), rival.more_recovered),
        (_nearness(rival.lost.value) - _capped(own.swap_drop.value), rival.more_lost),
    )
    outcomes = {_beaten(gap, each) for gap, each in gaps}
    names = ", ".join(short(at) for at in rival.parts)
    return (
        Rule(
            "No better parts of their number",
            "the parts that a search names on the choosing half, as many or fewer, do not recover "
            f"or lose {percent(MORE)} of the distance more than these, interval of the difference "
            "above 0 (beyond the whole distance nothing counts as more)",
            f"{names}: recover {share(rival.recovered)}, lose {share(rival.lost)}",
            "fails" if "fails" in outcomes else "unclear" if "unclear" in outcomes else "holds",
            "mechanism",
            decides=True,
        ),
    )


def _beaten(gap: float, more: Estimate) -> Outcome:
    """By a gap that counts, interval of the difference above 0; unclear where either is unknown."""
    if gap < MORE or more.low <= 0:
        return "holds"
    return "fails" if gap >= MORE and more.low > 0 else "unclear"


def each_rule(named: Sequence[PartEvidence]) -> Rule:
    """Is every named part shown by itself; the claim says which are not."""
    verdicts = [part.verdict for part in named]
    shown = sum(verdict == "shown" for verdict in verdicts)
    highest = max(part.p for part in named)
    outcome: Outcome = "holds" if shown == len(verdicts) else "unclear"
    return Rule(
        "Each by itself",
        f"patched alone, every named part is shown at {percent(ALPHA)} in the joint test over its "
        "whole sweep (decides how parts are named, not the status)",
        f"{shown} of {len(verdicts)} shown; largest joint p {highest:.2g}",
        "fails" if "not shown" in verdicts else outcome,
        "each",
        decides=False,
    )


def idle_rule(named: Sequence[PartEvidence]) -> Rule:
    """Does every named part do something; one that only rides along with others does not."""
    idle, against = idle_parts(named), opposed_parts(named)
    least = min(named, key=lambda part: abs(doing(part)))
    found = (
        f"{listed([short(at) for at in idle], MOST)}: nothing" if idle else
        f"all {len(named)}; the least is {short(least.at)} with {percent(abs(doing(least)))}"
    )  # fmt: skip
    if against:
        found += f"; {listed([short(at) for at in against], MOST)}: against the answer"
    return Rule(
        "No idle part",
        f"every named part moves the answer by at least {percent(IDLE)} of the distance, interval "
        "by pair away from 0, alone or as what the others do less without it",
        found,
        "fails" if idle else "holds",
        "mechanism",
        decides=True,
    )


def idle_parts(named: Sequence[PartEvidence]) -> tuple[str, ...]:
    """Addresses of the parts that do nothing."""
    return tuple(part.at for part in named if abs(doing(part)) < IDLE)


def opposed_parts(named: Sequence[PartEvidence]) -> tuple[str, ...]:
    """Addresses of the parts whose clean values work against the answer."""
    return tuple(part.at for part in named if doing(part) <= -IDLE)


def doing(part: PartEvidence) -> float:
    """What a part does at most, alone or beside the others, as a share; 0 where that is not shown.

    Below 0 where it works against the answer.
    """
    return part.does.value if part.does.low * part.does.high > 0 else 0.0


def _beyond(evidence: SetEvidence) -> Outcome:
    """Both by the margin: holds. Neither at all: fails, but where the parts carry nearly everything
    already, and nothing could exceed chance by the margin."""
    chance = evidence.chance
    if len(chance[0]) < FEWEST_SETS:
        return "unclear"
    own = (evidence.recovered.value, evidence.swap_drop.value)
    gaps = [lead(mine, max(all_)) for mine, all_ in zip(own, chance, strict=True)]
    if all(gap >= MORE for gap in gaps):
        return "holds"
    return "unclear" if any(gap > 0 for gap in gaps) or min(own) >= 1 - MORE else "fails"


def _nearness(value: float) -> float:
    """How near a share comes to the whole distance; one that goes too far is off by the rest."""
    return 1 - abs(1 - value) if value > 1 else value


def _capped(value: float) -> float:
    return min(value, 1.0)
