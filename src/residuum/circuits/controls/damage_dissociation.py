"""Double dissociation: whether two circuits are specific, each for its own task."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.circuits.judging.ratios import Estimate


@dataclass(frozen=True)
class Dissociation:
    """Whether two circuits are specific, each for its own task.

    Attributes:
        first, second: names of the circuits, and of their tasks.
        harm_first, harm_second: damage of the circuit on its own task.
        own_first, own_second: damage of the circuit on its own task less that on the other's.
        on_first, on_second: damage on the task by its own circuit less that by the other.
    """

    first: str
    second: str
    harm_first: Estimate
    harm_second: Estimate
    own_first: Estimate
    own_second: Estimate
    on_first: Estimate
    on_second: Estimate

    @property
    def harmless(self) -> tuple[str, ...]:
        """Circuits whose removal is not told from doing their own task no harm."""
        harms = ((self.first, self.harm_first), (self.second, self.harm_second))
        return tuple(name for name, harm in harms if not harm.low > 0)

    @property
    def holds(self) -> bool:
        """Whether it is a double dissociation: each does harm, and more than where it should not.

        A difference alone is not enough: a circuit that leaves its own task as it is and makes the
        other's better would have one.
        """
        four = (self.own_first, self.own_second, self.on_first, self.on_second)
        return not self.harmless and all(each.low > 0 for each in four)

    def __str__(self) -> str:
        said = "double dissociation" if self.holds else "no double dissociation"
        if self.harmless:
            said += f", for {' and '.join(self.harmless)} may do its own task no harm"
        return (
            f"{self.first} and {self.second}: {said} ({self.first} harms its own task "
            f"{self.harm_first}, {self.second} {self.harm_second}; {self.first} on its own task "
            f"less the other {self.own_first}, {self.second} {self.own_second}; on {self.first} "
            f"its own circuit less the other {self.on_first}, on {self.second} {self.on_second})"
        )
