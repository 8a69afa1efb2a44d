"""The rules by which a part gets its names: attention alone gives none, an edge has to bear it out.

A name of a head needs two things: from a position where its strongest edge has its effect, the head
looks at a kind of place far more than uniform attention would; and an edge out of it, in the
circuit, has an effect that goes with the name. Names by tokens alone (previous, duplicate,
induction, first) need a third: the same on random repeats, where a place holds nothing but its
token. On a task the token before may just be the subject of the sentence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from residuum.circuits.roles.part_role import (
    HEAD_ROLES,
    MLP_ROLES,
    UNKNOWN,
    HeadAttention,
    PartEffect,
)

AT_LEAST = 0.25
"""A part works at a position that has this share of its strongest edge's largest effect."""

FIRST = 0.5
"""Share of attention to the first token from which on a head may be called by that."""

COPYING = 0.5
"""Sum of the OV circuit's eigenvalues over that of their sizes, from which on a head copies."""

_MATCH_NAMES = {
    "induction": "induction",
    "duplicate": "duplicate-token",
    "previous": "previous-token",
}
_DETECTORS = {
    "induction": "induction",
    "duplicate": "duplicate_token",
    "previous": "previous_token",
    "first": "first_token",
}
"""Kind of place -> the detector that looks at it on random repeats."""

MOVING = ("name mover", "moves through MLP", "negative")
"""Names of heads that write for or against the answer."""


@dataclass
class Seen:
    """What is known of one part.

    Attributes:
        at: its name.
        feeds, fed_by, by_position, attention, detectors: as of :class:`PartRole`.
        repeats: detectors that lie above their nulls on random repeats.
        end: name of the last token's position.
        names: given so far.
        evidence, against: in words.
    """

    at: str
    feeds: tuple[PartEffect, ...]
    fed_by: tuple[PartEffect, ...]
    by_position: tuple[PartEffect, ...]
    attention: tuple[HeadAttention, ...]
    detectors: Mapping[str, float]
    repeats: frozenset[str]
    end: str
    names: list[str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    against: list[str] = field(default_factory=list)

    @property
    def is_head(self) -> bool:
        """Whether it is a head."""
        return "head_out" in self.at

    @property
    def logits(self) -> PartEffect | None:
        """Its edge into the logits."""
        return next((each for each in self.feeds if each.receiver == "logits"), None)

    @property
    def counted(self) -> list[PartEffect]:
        """Edges out of it that count."""
        return [each for each in self.feeds if each.counts]

    @property
    def works_at(self) -> tuple[str, ...]:
        """Positions at which its strongest edge has its effect, largest first."""
        sure = [each for each in self.by_position if each.counts]
        return tuple(e.position for e in sure if abs(e.value) >= AT_LEAST * abs(sure[0].value))

    def looks(self, to: str, *places: str) -> HeadAttention | None:
        """The attention to this kind of place, from the first of these positions where it holds."""
        for place in places:
            for each in self.attention:
                if each.to == to and each.from_ == place and each.holds:
                    return each
        return None

    def name(self, name: str, *words: str) -> None:
        """Give a name."""
        self.names.append(name)
        self.evidence += [f"{name}: {each}" for each in words]


def look(seen: HeadAttention) -> str:
    """An attention in words."""
    interval = f"[{seen.low:.2f}, {seen.high:.2f}]"
    return (
        f"attends {seen.share:.2f} {interval} from {seen.from_} to {_KINDS.get(seen.to, seen.to)} "
        f"(uniform {seen.null:.2f})"
    )


_KINDS = {
    "previous": "the token before",
    "duplicate": "earlier occurrences of the token",
    "induction": "what followed earlier occurrences of the token",
    "first": "the first token",
    "answer": "the answer",
    "wrong again": "a wrong answer's later occurrence",
}


def name_head(seen: Seen, mlps: Sequence[str]) -> None:
    """Every name of a head but S-inhibition-like, which needs the others' names.

    Args:
        mlps: receivers of MLPs from which counted edges lead to the logits.
    """
    if not seen.counted:
        _refuse(seen)
        return
    _moving(seen, mlps)
    for kind, name in _MATCH_NAMES.items():
        _matching(seen, kind, name)
    _copying(seen)
    if not seen.names:
        _matching(seen, "first", "first-token", FIRST)


def _matching(seen: Seen, kind: str, name: str, least: float = 0.0) -> None:
    """A name by tokens alone: borne out by an edge, and by random repeats."""
    found = seen.looks(kind, *seen.works_at)
    if found is None or found.share < least:
        return
    score = f"{seen.detectors.get(_DETECTORS[kind], math.nan):.2f}"
    null = f"{seen.detectors.get(_DETECTORS[kind] + ' null', math.nan):.2f}"
    if _DETECTORS[kind] in seen.repeats:
        there = f"and {score} on random repeats (null at most {null})"
        seen.name(name, look(found), there, f"counts through {_edges(seen.counted)}")
    else:
        seen.against.append(f"{look(found)}, but {score} on random repeats (null at most {null})")


def _moving(seen: Seen, mlps: Sequence[str]) -> None:
    """Whether it writes for or against the answer."""
    logits = seen.logits
    sure = logits is not None and logits.counts
    answer = seen.looks("answer", seen.end)
    if sure and logits is not None and logits.value < 0:
        words = [f"writes against the answer, {_effect(logits)}"]
        seen.name("negative", *words, *([look(answer)] if answer else []))
    if answer is None or seen.end not in seen.works_at:
        return
    if sure and logits is not None and logits.value > 0:
        seen.name("name mover", look(answer), f"writes the answer, {_effect(logits)}")
        return
    through = [e for e in seen.counted if e.slot == "mlp" and e.value > 0 and e.receiver in mlps]
    if through:
        seen.name("moves through MLP", look(answer), f"read by {_edges(through)}")


def _copying(seen: Seen) -> None:
    """Whether it raises what it attends to, where no narrower name says so."""
    logits, scores = seen.logits, seen.detectors
    if logits is None or not logits.counts or logits.value <= 0:
        return
    if {"name mover", "induction"} & set(seen.names):
        return
    copies = scores.get("copying", 0.0) > scores.get("copying null", float("inf"))
    if copies and scores.get("ov_copying", 0.0) >= COPYING:
        seen.name(
            "copying",
            f"its OV circuit raises the tokens that it reads ({scores['ov_copying']:+.2f} of 1)",
            f"writes the answer, {_effect(logits)}",
        )


def name_inhibiting(seen: Seen, others: Mapping[str, Seen], queries: Mapping[str, str]) -> None:
    """Whether it looks at a repeated wrong answer and changes what heads that move names look for.

    Args:
        others: all heads by name.
        queries: receiver ``q_in`` that it reaches -> path in words.
    """
    found = seen.looks("wrong again", seen.end)
    if found is None or not seen.counted or seen.end not in seen.works_at:
        return
    for part, path in queries.items():
        if part in others and set(MOVING) & set(others[part].names):
            words = f"feeds the query of {short(part)} ({others[part].names[0]}){path}"
            seen.name("S-inhibition-like", look(found), words)
            return


def _refuse(seen: Seen) -> None:
    """What it looks at, where no edge out of it counts."""
    holds = [each for each in seen.attention if each.holds and not each.to.startswith("@")]
    if not seen.feeds:
        seen.against.append("no edge out of it was measured")
        return
    seen.against.append(
        f"no edge out of it counts (the largest is {_effect(seen.feeds[0])}); a head that attends "
        "is not a head that matters"
    )
    seen.against += [look(each) for each in holds[:2]]


def name_mlp(seen: Seen) -> None:
    """Names of an MLP, a neuron or a latent."""
    logits = seen.logits
    if not seen.counted:
        _refuse(seen)
        return
    if logits is not None and logits.counts:
        role = "MLP to logits" if logits.value > 0 else "negative"
        does = "writes the answer" if logits.value > 0 else "writes against the answer"
        seen.name(role, f"{does}, {_effect(logits)}")
    fed = [each for each in seen.fed_by if each.counts]
    parts = [each for each in fed if each.sender != "embed"]
    on = [each for each in seen.counted if each.receiver != "logits"]
    if parts and on:
        seen.name("MLP relay", f"reads {_senders(parts)}", f"read by {_edges(on)}")
    elif fed and on:
        seen.name("MLP on tokens", f"reads {_senders(fed)}", f"read by {_edges(on)}")


def settle(seen: Seen) -> tuple[str, ...]:
    """Its names in order; unknown where there is none, with what was seen."""
    order = HEAD_ROLES if seen.is_head else MLP_ROLES
    names = tuple(name for name in order if name in seen.names)
    if names:
        return names
    if seen.counted:
        seen.against.append(f"it matters ({_effect(seen.feeds[0])}), and nothing says what it does")
        holds = [e for e in seen.attention if e.holds and e.from_ in seen.works_at]
        told = [e for e in holds if e.to not in _DETECTORS or e.to == "first"]
        seen.against += [look(each) for each in sorted(told, key=lambda e: -e.share)[:2]]
        if seen.is_head and not seen.works_at:
            seen.against.append("its effect is told from zero at no single position")
    return (UNKNOWN,)


def short(part: str) -> str:
    """``L1H0`` for ``L1.head_out[H0]``, ``L2 MLP`` for ``L2.mlp_out``; else as it stands."""
    if ".head_out[" in part:
        return part.replace(".head_out[", "").replace("]", "")
    return part.removesuffix(".mlp_out") + " MLP" * part.endswith(".mlp_out")


def _effect(effect: PartEffect) -> str:
    where = "logits" if effect.receiver == "logits" else effect.receiver
    return f"{effect.value:+.3g} [{effect.low:.3g}, {effect.high:.3g}] into {where}"


def _edges(effects: Sequence[PartEffect], most: int = 3) -> str:
    told = ", ".join(f"{each.receiver} {each.value:+.3g}" for each in effects[:most])
    return told + (f" and {len(effects) - most} more" if len(effects) > most else "")


def _senders(effects: Sequence[PartEffect], most: int = 3) -> str:
    told = ", ".join(f"{short(each.sender)} {each.value:+.3g}" for each in effects[:most])
    return told + (f" and {len(effects) - most} more" if len(effects) > most else "")
