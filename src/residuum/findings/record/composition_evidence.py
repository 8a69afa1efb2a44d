"""How the named parts work together: what each is, what it hands on, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from residuum.findings.record.evidence import Estimate

Feeds = Literal["feeds", "may feed", "not shown"]
LEAST_PATH = 0.02
"""Share of the clean-corrupt distance below which no path is said to feed."""


@dataclass(frozen=True)
class HeadKind:
    """A name for what a head does.

    Attributes:
        name: such as ``previous-token`` or ``induction``.
        status: ``confirmed`` (it attends so beyond its null, and its removal bears the name out on
            the same prompts), ``attends only`` or ``not tested``.
        on: prompts it was seen on: ``repeats`` (of random tokens) or the task's name.
    """

    name: str
    status: str
    on: str


@dataclass(frozen=True)
class Attending:
    """How much of a head's attention goes to one kind of place.

    Attributes:
        to: detector, such as ``previous_token``.
        share: mean over prompts.
        null: the same where the kind of place is taken away.
    """

    to: str
    share: Estimate
    null: float


@dataclass(frozen=True)
class HeadReading:
    """One head, by its attention and by its weights.

    Attributes:
        at: its address.
        named: whether the claim names it; the others write the answer.
        kinds: what it may be called, confirmed ones first; empty where nothing fits.
        attends: shares of attention, beside their nulls.
        copying: Σλ / Σ|λ| of its full OV circuit, -1 to 1; NaN where the weights cannot be read.
        writes_own: share of ``tokens`` that, attended to, raise their own logit most among them.
        asks_own: share of ``tokens`` that, as a query, score highest for themselves as a key, read
            straight from the embedding.
        tokens: how many of the task's tokens these shares are over: chance is one in so many.
    """

    at: str
    named: bool
    kinds: tuple[HeadKind, ...]
    attends: tuple[Attending, ...]
    copying: float
    writes_own: float
    asks_own: float
    tokens: int

    @property
    def kind(self) -> str:
        """The confirmed names, in words; empty where none is."""
        return " and ".join(each.name for each in self.kinds if each.status == "confirmed")


@dataclass(frozen=True)
class PathEvidence:
    """What one part sends to one input of a later part, and what comes of it.

    Attributes:
        sender: ``embed`` or the address of a part.
        receiver: the part that reads, or ``logits``.
        reads: ``q``, ``k``, ``v``, ``mlp`` or ``logits``.
        restores: share of the distance gained by the corrupt run when this input alone reads what
            the sender writes on the clean prompt.
        loses: share lost by the clean run when it reads what is written on the corrupt one.
        direct: ``restores`` with every MLP between the two held: straight along the stream; NaN
            where nothing reaches this input.
        p: joint sign-flip p of the mean of the two, over all paths of the table.
        control: the largest ``restores`` of other heads, not named, into the same input.
        control_loses: the same of ``loses``.
        controls: how many other heads lie before this input and were tried; 0 where none does, or
            where nothing reaches this input.
        feeds: what may be said, see :func:`verdict`.
    """

    sender: str
    receiver: str
    reads: str
    restores: Estimate
    loses: Estimate
    direct: Estimate
    p: float
    control: float
    control_loses: float
    controls: int
    feeds: Feeds

    @property
    def between(self) -> bool:
        """Whether it goes from part to part, not from the tokens or to the logits."""
        return self.sender != "embed" and self.receiver != "logits"

    @property
    def straight(self) -> bool:
        """Whether half of it or more goes along the stream, without the MLPs in between."""
        return self.direct.value >= self.restores.value / 2

    @property
    def beyond_controls(self) -> bool | None:
        """Whether it exceeds every other head tried, both ways; None where none was."""
        if not self.controls:
            return None
        return self.restores.value > self.control and self.loses.value > self.control_loses


def verdict(restores: Estimate, loses: Estimate, p: float, alpha: float) -> Feeds:
    """What two measurements of a path allow to say.

    ``feeds``: both intervals lie above 0, the larger of the two is at least :data:`LEAST_PATH`, and
    the joint p is at most ``alpha``; ``may feed``: all but the last.

    Args:
        restores, loses: see :class:`PathEvidence`.
        p: joint over all paths.
        alpha: bound on it.

    >>> one = Estimate(0.4, 0.3, 0.5, 32)
    >>> verdict(one, one, 0.01, 0.05), verdict(one, one, 0.2, 0.05)
    ('feeds', 'may feed')
    """
    if not (restores.low > 0 and loses.low > 0):
        return "not shown"
    if max(restores.value, loses.value) < LEAST_PATH:
        return "not shown"
    return "feeds" if p <= alpha else "may feed"


@dataclass(frozen=True)
class ComposedScore:
    """How much of what one head writes another would read, from the weights alone.

    Attributes:
        sender, receiver: addresses of two heads.
        reads: ``q``, ``k`` or ``v``.
        score: between 0 and 1.
        baseline, high: mean and 97.5 % of the same matrices turned at random.
        p: of this pair alone.
        own: share of ``tokens`` that match themselves through both: for ``k`` and ``q`` a token
            scores highest for itself as sent by the other head, for ``v`` it raises its own logit
            most; NaN where the weights cannot be read.
        tokens: how many tokens; chance is one in so many.
    """

    sender: str
    receiver: str
    reads: str
    score: float
    baseline: float
    high: float
    p: float
    own: float
    tokens: int


@dataclass(frozen=True)
class CompositionEvidence:
    """The parts, the paths between them, and what their weights say.

    Attributes:
        heads: what each head is.
        paths: from the tokens to the parts, between them, and to the logits.
        scores: composition scores of heads that lie before one another.
        through_mlps: whether MLPs between the ends of a path passed the change on.
        controls: addresses of the other heads that were tried as senders.
        sure: how many paths are shown, in words.
        floor: smallest joint p that these pairs can give.
        left_out: what was not done, and why.
    """

    heads: tuple[HeadReading, ...]
    paths: tuple[PathEvidence, ...]
    scores: tuple[ComposedScore, ...]
    through_mlps: bool
    controls: tuple[str, ...]
    sure: str
    floor: float
    left_out: tuple[str, ...]

    @property
    def reaching(self) -> tuple[PathEvidence, ...]:
        """Paths from named parts to the logits, the strongest first."""
        found = [
            path for path in self.paths if path.receiver == "logits" and self.is_named(path.sender)
        ]
        return tuple(sorted(found, key=lambda path: -path.restores.value))

    def is_named(self, at: str) -> bool:
        """Whether the claim names a part; the others are heads that write the answer."""
        return at.endswith(".mlp_out") or any(each.at == at and each.named for each in self.heads)

    @property
    def between(self) -> tuple[PathEvidence, ...]:
        """Paths from part to part, the strongest first."""
        found = [path for path in self.paths if path.between]
        return tuple(sorted(found, key=lambda path: -path.restores.value))

    @property
    def fed(self) -> tuple[PathEvidence, ...]:
        """Those of them that feed and that no other head tried exceeds; those whose both ends the
        claim names come first."""
        found = [
            path
            for path in self.between
            if path.feeds == "feeds" and path.beyond_controls is not False
        ]
        return tuple(sorted(found, key=lambda path: not self.inside(path)))

    def inside(self, path: PathEvidence) -> bool:
        """Whether the claim names both ends of a path."""
        return self.is_named(path.sender) and self.is_named(path.receiver)

    def score(self, path: PathEvidence) -> ComposedScore | None:
        """What the weights say of a path; None where nothing does."""
        ends = (path.sender, path.receiver, path.reads)
        found = (s for s in self.scores if (s.sender, s.receiver, s.reads) == ends)
        return next(found, None)

    def kind(self, at: str) -> str:
        """The confirmed kinds of a head, in words; empty where there are none."""
        return next((head.kind for head in self.heads if head.at == at), "")
