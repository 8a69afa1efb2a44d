"""What a learned subspace does, beside what says whether that means anything."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.figures import Bars

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Alignment:
    """Interchange accuracy of a learned subspace on templates it was not trained on.

    Attributes:
        at, task: where and on what.
        k: dimensions.
        basis: orthonormal rows ``[k d]``.
        accuracy: share of prompts that prefer their partner's answer after the interchange.
        interval: its 95 % interval, clustered by template; NaN for a single template.
        train_accuracy: the same on the templates trained on.
        whole_site: the same, when the whole site is exchanged.
        random, random_high: mean and 95th percentile over random subspaces of ``k`` dimensions with
            the activations' covariance, levelled as in :func:`random_directions.levelled`.
        untrained, untrained_whole_site: the same search on the same architecture with random
            weights, judged on the same pairs; and its whole site exchanged.
        trained_on, judged_on: templates.
        provenance: model, task, method, seed.

    Shows: whether the interchange carries the answer better than chance and than a model that
    learned nothing. Does not show: that the model uses the subspace: prove it.
    """

    at: str
    task: str
    k: int
    basis: Float[Tensor, "k d"]
    accuracy: float
    interval: tuple[float, float]
    train_accuracy: float
    whole_site: float
    random: float
    random_high: float
    untrained: float
    untrained_whole_site: float
    trained_on: tuple[str, ...]
    judged_on: tuple[str, ...]
    provenance: Provenance

    @property
    def holds(self) -> bool:
        """Whether the accuracy (its lower end) is above both controls."""
        low = self.accuracy if math.isnan(self.interval[0]) else self.interval[0]
        return low > self.random_high and low > self.untrained

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"Alignment({self.at} on {self.task}, k={self.k}: interchange accuracy "
            f"{self.accuracy:.3f} [{low:.3f}, {high:.3f}] on {', '.join(self.judged_on)}; "
            f"training templates {self.train_accuracy:.3f}, whole site {self.whole_site:.3f}, "
            f"random {self.random:.3f} (95th percentile {self.random_high:.3f}), "
            f"untrained model {self.untrained:.3f})"
        )

    def _rows(self) -> list[tuple[str, float, float, float]]:
        nan = math.nan
        return [
            ("learned, held-out templates", self.accuracy, *self.interval),
            ("learned, training templates", self.train_accuracy, nan, nan),
            ("whole site", self.whole_site, nan, nan),
            ("random subspaces, mean", self.random, nan, nan),
            ("random subspaces, 95th percentile", self.random_high, nan, nan),
            ("learned in an untrained model", self.untrained, nan, nan),
            ("whole site of the untrained model", self.untrained_whole_site, nan, nan),
        ]

    def figure(self) -> Bars:
        """The accuracies beside each other."""
        names, values, lo, hi = zip(*self._rows(), strict=True)
        return Bars(
            names,
            values,
            lo=lo,
            hi=hi,
            x="interchange accuracy",
            order="given",
            title=f"{self.k} dimensions of {self.at} on {self.task}",
            does_not_show="That the model uses this subspace: a proof asks that.",
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each accuracy: columns ``what, accuracy, low, high``."""
        import pandas as pd

        return pd.DataFrame(self._rows(), columns=["what", "accuracy", "low", "high"])

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN as None."""
        return {
            "at": self.at,
            "task": self.task,
            "k": self.k,
            "basis": self.basis.tolist(),
            "accuracies": [
                {"what": what, **{name: None if math.isnan(x) else x for name, x in numbers}}
                for what, *values in self._rows()
                for numbers in [list(zip(("accuracy", "low", "high"), values, strict=True))]
            ],
            "trained_on": list(self.trained_on),
            "judged_on": list(self.judged_on),
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write ``.json``, ``.csv``, or the figure as HTML, SVG or PNG."""
        save_result(self, path, "an alignment")
