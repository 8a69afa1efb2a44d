"""What few latents tell: the record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.dictionaries.judging.evaluation_result import plain
from residuum.dictionaries.judging.ground_truth_result import Measured

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars


@dataclass(frozen=True)
class ProbeRow:
    """One class, told by k numbers of one basis.

    Attributes:
        name: of the class, or ``mean of the classes``.
        basis: ``latents``, ``random directions`` or ``all numbers`` of the vector.
        k: how many numbers the probe reads.
        accuracy: balanced, on held-out documents; 0.5 is chance.
        control: the same with the words dealt out among the classes at random.
        selectivity: the difference of the two.
    """

    name: str
    basis: str
    k: int
    accuracy: Measured
    control: Measured
    selectivity: Measured


@dataclass(frozen=True, eq=False, repr=False)
class SparseProbing:
    """What few latents tell about tokens of known classes.

    Shows: whether a class has latents of its own, against directions that were never trained and
    against classes of no meaning. Does not show: that the model uses the class, or these latents;
    words of a class were seen in training the probe, in other documents.

    Attributes:
        rows: a row for each class, basis and k.
        level: of the intervals, over held-out documents.
        provenance: model, strategy, seed.
    """

    rows: tuple[ProbeRow, ...]
    level: float
    provenance: Provenance

    def __repr__(self) -> str:
        means = [each for each in self.rows if each.name == "mean of the classes"]
        parts = [f"{each.basis} k={each.k} {each.accuracy}" for each in means]
        return f"SparseProbing({'; '.join(parts)})"

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each class, basis and k, with interval ends."""
        import pandas as pd

        rows = []
        for each in self.rows:
            row: dict[str, Any] = {"class": each.name, "basis": each.basis, "k": each.k}
            for name in ("accuracy", "control", "selectivity"):
                found: Measured = getattr(each, name)
                row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
            rows.append(row)
        return pd.DataFrame(rows)

    def figure(self, title: str = "") -> Bars:
        """Balanced accuracy, class by class."""
        from residuum.figures import Bars

        found = [each.accuracy for each in self.rows]
        return Bars(
            [f"{each.name}: {each.basis}, k={each.k}" for each in self.rows],
            [each.value for each in found],
            lo=[each.low for each in found],
            hi=[each.high for each in found],
            x="balanced accuracy",
            order="given",
            title=title or "What few latents tell",
            caption=f"Held-out documents, {self.level:.0%} intervals over them; 0.5 is chance.",
            does_not_show="that the model uses the class or these latents.",
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN is null."""
        rows = [
            {
                "class": each.name, "basis": each.basis, "k": each.k,
                "accuracy": plain(each.accuracy), "control": plain(each.control),
                "selectivity": plain(each.selectivity),
            }
            for each in self.rows
        ]  # fmt: skip
        return {"rows": rows, "level": self.level, "provenance": self.provenance.to_json()}

    def save(self, path: str | Path) -> None:
        """Write plain data (``.json``), the table (``.csv``) or the figure (HTML, SVG, PNG).

        Raises:
            OptionError: another suffix.
            StoreError: it cannot be written.
        """
        save_result(self, path, "sparse probing")
