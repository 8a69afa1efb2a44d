"""Where a direction comes from: which examples, which split, which seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from residuum.core import StoreError


@dataclass(frozen=True)
class Origin:
    """The data behind a direction.

    Attributes:
        data_hash: of the examples given; empty for a direction that needs none.
        source: where they came from.
        classes: names of the labels.
        n_fit: examples that the vector was fitted on.
        split_by: ``"group"`` or ``"example"`` where the site was chosen on held-out examples.
        read_at: token that was read, such as ``"-1"``, or ``"as named"`` by each example.
        seed: of the split and of the method.
        fitted_on: identity of each example (or token row) it was fitted on or chosen by, so that
            a proof on the same ones can be refused.
        groups: templates of those.
    """

    data_hash: str = ""
    source: str = ""
    classes: tuple[str, ...] = ()
    n_fit: int = 0
    split_by: str = ""
    read_at: str = ""
    seed: int | None = None
    fitted_on: frozenset[str] = frozenset()
    groups: tuple[str, ...] = ()

    def overlap(self, identities: Sequence[str]) -> int:
        """How many of these examples it was fitted on or chosen by."""
        return sum(each in self.fitted_on for each in identities)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {"fitted_on": sorted(self.fitted_on)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Origin:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: keys missing or unknown.
        """
        if not isinstance(data, Mapping) or set(data) != {each.name for each in fields(Origin)}:
            raise StoreError("not the origin of a direction", mend="give what to_json wrote")
        lists = {name: tuple(data[name]) for name in ("classes", "groups")}
        return Origin(**{**data, **lists, "fitted_on": frozenset(data["fitted_on"])})
