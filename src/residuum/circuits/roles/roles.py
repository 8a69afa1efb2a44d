"""The result of naming a circuit's parts: each part's role with its evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.circuits.graph.circuit_saving import read_json
from residuum.circuits.graph.fitting import check_weights
from residuum.circuits.roles import role_text
from residuum.circuits.roles.part_role import ROLES, PartEffect, PartRole
from residuum.circuits.roles.role_figure import role_figure
from residuum.circuits.roles.role_file import fields_of, role_record
from residuum.core import OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.runs import Model

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import LayeredGraph


@dataclass(frozen=True, eq=False, repr=False)
class Roles:
    """What each part of a circuit is called, and on what evidence.

    Shows: where each head of the circuit looks from the positions at which its strongest edge has
    its effect, what each measured edge changes, and the names that follow from both by stated
    rules. Does not show: that a head that attends is a head that matters (a head without an edge
    that counts has no name); that a part does nothing else, on these prompts or others; what
    several parts do together; nor, of an unknown part, that it does nothing.

    Attributes:
        parts: heads and MLPs of the circuit in forward order.
        effects: every edge that was measured, in the graph's order.
        reference: what an edge carried instead.
        task: name of the task.
        metric, unit: what was measured.
        n_pairs: how many pairs.
        positions: that were told apart; ``"rest"`` are all other tokens.
        n_edges, measured: edges of the circuit, and how many of them were measured.
        least_attention, least_effect: bounds that a name needed.
        passes: forward-pass equivalents spent on edges.
        circuit_hash: of the circuit.
        warnings: what a reader must know before quoting a name.
    """

    parts: tuple[PartRole, ...]
    effects: tuple[PartEffect, ...]
    reference: str
    task: str
    metric: str
    unit: str
    n_pairs: int
    positions: tuple[str, ...]
    n_edges: int
    measured: int
    least_attention: float
    least_effect: float
    passes: float
    circuit_hash: str
    warnings: tuple[str, ...]
    provenance: Provenance

    def __iter__(self) -> Iterator[PartRole]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, part: str) -> PartRole:
        """One part, by ``"L1H0"``, ``"L1.head_out[H0]"``, ``"L1.z[H0]"`` or ``"L1.mlp_out"``.

        Raises:
            OptionError: it is not in the circuit.
        """
        wanted = str(part).replace(".z[", ".head_out[")
        for each in self.parts:
            if wanted in (each.at, role_text.short(each.at)):
                return each
        known = ", ".join(role_text.short(each.at) for each in self.parts)
        raise OptionError(f"{part} is no part of this circuit", mend=f"its parts are: {known}")

    def of(self, role: str) -> tuple[PartRole, ...]:
        """The parts that have this name, among others or alone.

        Raises:
            OptionError: no such role.
        """
        if role not in ROLES:
            raise OptionError(f"there is no role {role!r}", mend=f"use one of: {', '.join(ROLES)}")
        return tuple(each for each in self.parts if role in each.names)

    def summary(self) -> str:
        """Every role with its parts, and what was measured."""
        return role_text.summary(self)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def figure(self, title: str = "") -> LayeredGraph:
        """The parts with their roles, layers from bottom to top, and the edges that count."""
        return role_figure(self, title)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each part.

        Columns: ``part, role, roles, works_at, logits, logits_low, logits_high, feeds, fed_by,
        attention, evidence, against``, and of heads every detector's score and null.
        """
        import pandas as pd

        return pd.DataFrame([role_text.row(each) for each in self.parts])

    def to_json(self) -> dict[str, Any]:
        """Plain data, with a hash over all of it; NaN as None."""
        return role_record(self)

    @staticmethod
    def from_json(data: Any) -> Roles:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: another kind or format, or a content that was changed after it was written.
        """
        return Roles(**fields_of(data))

    def save(self, path: str | Path) -> None:
        """Write all as JSON, the table as CSV, or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: a path that cannot be written to.
        """
        save_result(self, path, "a circuit's roles")


def load_roles(path: str | Path, model: Model | None = None) -> Roles:
    """Read what the roles' ``save`` wrote as ``.json``.

    Args:
        path: the file.
        model: refused where the parts are another model's.

    Raises:
        StoreError: no such file, no roles of a circuit, or a file that was changed.
        LoadError: another model's.
    """
    found = Roles.from_json(read_json(path, "a circuit's roles"))
    if model is not None:
        again = "name the parts on this model: rz.name_roles(circuit, model, task)"
        check_weights(found.provenance, model, "circuit with roles", again)
    return found
