"""The result of judging a circuit: every figure under every reference, and how far they spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.circuit_saving import read_json
from residuum.circuits.judging import score_text
from residuum.circuits.judging.ratios import Estimate, spread
from residuum.circuits.judging.reference_scores import AVERAGES, ReferenceScores
from residuum.circuits.judging.score_figure import score_figure
from residuum.circuits.judging.score_file import fields_of, score_record
from residuum.core import OptionError, Provenance
from residuum.core.saving import save_result
from residuum.runs import Model

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars, Lines


@dataclass(frozen=True, eq=False, repr=False)
class CircuitScores:
    """How well a circuit stands for its model on a task, under several references.

    Shows: what of the behaviour the circuit alone brings about (faithfulness), what the rest alone
    does (completeness), what each part adds (minimality), and how far these depend on what the
    rest is replaced with and on how examples are averaged. Does not show: that the circuit is
    better than a random one or a rival (``rz.trial`` asks that), why it works, or anything on other
    prompts.

    Attributes:
        circuit: what was judged.
        by_reference: the reference's name -> its scores.
        metric, unit: what was measured.
        examples: how many pairs.
        sizes: shares of the graph's edges on the curves; none without scores to choose by.
        how: how edges were chosen at each size, ``"greedy"`` or ``"top"``.
        subsets: names of the parts in each random set that completeness was tried with.
        passes, bound: forward-pass equivalents spent on masked runs, and the least there is.
        held_out: whether none of the prompts was there when it was found; None: not known.
        held_out_why: how that is known.
        warnings: what a reader must know before quoting a number.
    """

    circuit: Circuit
    by_reference: Mapping[str, ReferenceScores]
    metric: str
    unit: str
    examples: int
    sizes: tuple[float, ...]
    how: str
    subsets: tuple[tuple[str, ...], ...]
    passes: float
    bound: float
    provenance: Provenance
    held_out: bool | None = None
    held_out_why: str = ""
    warnings: tuple[str, ...] = ()

    def __getitem__(self, reference: str) -> ReferenceScores:
        """The scores under one reference.

        Raises:
            OptionError: it was not judged under that one.
        """
        if reference not in self.by_reference:
            raise OptionError(
                f"the circuit was not judged under {reference!r}",
                mend=f"use one of: {', '.join(self.by_reference)}",
            )
        return self.by_reference[reference]

    @property
    def faithfulness(self) -> Mapping[tuple[str, str], Estimate]:
        """(reference, average) -> faithfulness; never one number."""
        return {
            (name, average): each.faithfulness(average)
            for name, each in self.by_reference.items()
            for average in AVERAGES
        }

    @property
    def spread(self) -> tuple[float, float]:
        """Smallest and largest faithfulness over references and ways to average."""
        return spread(list(self.faithfulness.values()))

    def summary(self) -> str:
        """The scores in words, with their spread over the choices."""
        return score_text.summary(self)

    def __repr__(self) -> str:
        return self.summary()

    def to_dataframe(self) -> pd.DataFrame:
        """Every figure, one row each.

        Columns: ``reference, measure, average, selection, size, of, value, low, high, examples``.
        """
        import pandas as pd

        return pd.DataFrame([row for each in self.by_reference.values() for row in each.rows()])

    def figure(self, by: str = "absolute", *, title: str = "") -> Lines | Bars:
        """Faithfulness over sizes, a line for each reference; without sizes, bars.

        Args:
            by: whose circuits: chosen by ``"signed"`` or ``"absolute"`` score.
            title: of the figure.

        Raises:
            OptionError: another selection.
        """
        if by not in ("signed", "absolute"):
            raise OptionError(f"by={by!r} is unknown", mend="use 'signed' or 'absolute'")
        return score_figure(self, by, title)

    def to_json(self) -> dict[str, Any]:
        """Plain data: what was measured, the circuit, every figure; with a hash over all of it."""
        return score_record(self)

    @staticmethod
    def from_json(data: Any) -> CircuitScores:
        """Read what :meth:`to_json` wrote; of the circuit's scores by example, only their errors.

        Raises:
            StoreError: another kind or format, or a content that was changed after it was written.
        """
        return CircuitScores(**fields_of(data))

    def save(self, path: str | Path) -> None:
        """Write all as JSON, the table as CSV, or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: a path that cannot be written to.
        """
        save_result(self, path, "a circuit's scores")


def load_circuit_scores(path: str | Path, model: Model | None = None) -> CircuitScores:
    """Read what the scores' ``save`` wrote as ``.json``.

    Args:
        path: the file.
        model: refused where the circuit is another model's.

    Raises:
        StoreError: no such file, no scores of a circuit, or a file that was changed.
        LoadError: another model's.
    """
    found = CircuitScores.from_json(read_json(path, "a circuit's scores"))
    if model is not None:
        found.circuit.check_fits(model)
    return found
