"""How the named parts work together: what each is, what it hands on, and to whom."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.findings.record.head_reading import ComposedScore, HeadReading
from residuum.findings.record.path_evidence import PathEvidence


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
