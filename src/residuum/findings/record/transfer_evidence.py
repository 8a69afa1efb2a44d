"""A claim about one model tried on another: what was claimed, and what was seen there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from residuum.findings.record.mechanism import Kind
from residuum.findings.record.rules import Status

Verdict = Literal["holds", "does not hold", "cannot be said"]
Seen = Literal["feeds", "may feed", "not shown"]
LEAST_KIND = 0.2
"""Share of the named parts' effect from which a kind of part is said to carry the mechanism."""
RESTING = ("first-token",)
"""Kinds that say where a head looks when it has nothing to do; they are not compared."""


@dataclass(frozen=True)
class KindShare:
    """How much of the mechanism parts of one kind carry.

    Attributes:
        name: kind of part, such as ``previous-token`` or ``MLP``.
        confirmed: share, 0 to 1, of what the named parts recover one by one that those recover
            whose kind is confirmed; a part of two kinds counts for both.
        attending: the same, with those that only attend so.
    """

    name: str
    confirmed: float
    attending: float


@dataclass(frozen=True)
class Feed:
    """What a part of one kind hands to a part of another.

    Attributes:
        sender, receiver: kinds of parts.
        reads: ``q``, ``k``, ``v`` or ``mlp``.
        seen: the best that a path between two named parts of these kinds allows to say.
        strongest: largest share of the distance that such a path restores or costs.
    """

    sender: str
    reads: str
    receiver: str
    seen: Seen
    strongest: float


@dataclass(frozen=True)
class Portrait:
    """A mechanism without addresses: of which kinds its parts are, and which feeds which.

    Attributes:
        read: whether a composition stage told the kinds.
        kinds: the largest share first.
        feeds: the strongest first.
    """

    read: bool
    kinds: tuple[KindShare, ...]
    feeds: tuple[Feed, ...]

    @property
    def carrying(self) -> tuple[str, ...]:
        """Kinds that carry the mechanism: confirmed, :data:`LEAST_KIND` of the effect or more."""
        return tuple(each.name for each in self.kinds if each.confirmed >= LEAST_KIND)

    def share(self, name: str) -> KindShare:
        """What parts of this kind carry; nothing where there is none."""
        found = (each for each in self.kinds if each.name == name)
        return next(found, KindShare(name, 0.0, 0.0))


@dataclass(frozen=True)
class OriginClaim:
    """The finding that is tried elsewhere.

    Attributes:
        hash: of the finding.
        claim: as it stands there.
        status: of the finding.
        model, weights: name and hash.
        task, task_hash: name and hash of the pairs.
        kind, components: of its mechanism.
        portrait: kinds of its parts.
    """

    hash: str
    claim: str
    status: Status
    model: str
    weights: str
    task: str
    task_hash: str
    kind: Kind
    components: tuple[str, ...]
    portrait: Portrait


@dataclass(frozen=True)
class TransferEvidence:
    """What came of it on another model.

    Attributes:
        origin: the finding that was tried.
        same_components: whether its own addresses were examined, and nothing searched for.
        pairs: how the pairs were made for this model, in words.
        status: of the finding on this model.
        present: whether this model shows the behaviour.
        here: kinds of the parts that are named here.
        anywhere: kinds that some part of this model is of, or only attends like, named or not;
            read where the finding is undecided, else None.
        verdict: what follows by :func:`transfer_rules`.
    """

    origin: OriginClaim
    same_components: bool
    pairs: str
    status: Status
    present: bool
    here: Portrait
    verdict: Verdict
    anywhere: tuple[str, ...] | None = None
