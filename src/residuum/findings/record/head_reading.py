"""What a head is, by its attention and by its weights."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.findings.record.evidence import Estimate


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
