"""How well a truth monitor does on wordings and entities that it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.directions.monitor_roc import auroc, auroc_interval, roc
from residuum.directions.truth_monitor import TruthMonitor

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Lines

Interval = tuple[float, float]


@dataclass(frozen=True, repr=False)
class MonitorReport:
    """How well a monitor flags answers on wordings and entities that it was not fitted on.

    Shows: that these answers can be told apart from the inside, without the true answers. Does not
    show: that it holds where the model does not know the truth, or where it was trained not to be
    pushed; see what fools it.

    Attributes:
        scores: nats, one for each statement, by a monitor fitted on other wordings and entities.
        departs: whether the answer departs from the truth.
        groups, entities: of each statement.
        fold_aurocs: of each fold that held both classes.
        flagged_right: share of all answers whose flag (score above ``threshold_nats``) is right.
        monitor: fitted on all statements, for use.
    """

    scores: np.ndarray
    departs: np.ndarray
    groups: tuple[str, ...]
    entities: tuple[str, ...]
    fold_aurocs: tuple[float, ...]
    flagged_right: float
    monitor: TruthMonitor
    seed: int
    provenance: Provenance

    @property
    def auroc(self) -> float:
        """Of all held-out scores together."""
        return auroc(self.scores, self.departs)

    @property
    def auroc_interval(self) -> Interval:
        """95 % bootstrap, by entity where entities are known, else by wording."""
        return auroc_interval(
            self.scores, self.departs, self.entities or self.groups, seed=self.seed
        )

    def __repr__(self) -> str:
        low, high = self.auroc_interval
        return (
            f"MonitorReport(AUROC {self.auroc:.3f} [{low:.3f}, {high:.3f}] on {len(self.scores)} "
            f"answers of {len(set(self.groups))} wordings, none of them fitted on; worst fold "
            f"{min(self.fold_aurocs):.3f}; flags right {100 * self.flagged_right:.1f} %)"
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each statement."""
        import pandas as pd

        columns: dict[str, Any] = {"group": self.groups}
        if self.entities:
            columns["entity"] = self.entities
        columns |= {"score_nats": self.scores, "departs": self.departs}
        return pd.DataFrame(columns)

    def figure(self, title: str = "") -> Lines:
        """The ROC curve."""
        from residuum.figures import Lines, Series

        false, true = roc(self.scores, self.departs)
        grid = np.linspace(0, 1, 101)
        at = np.searchsorted(false, grid, side="right") - 1
        low, high = self.auroc_interval
        return Lines(
            grid,
            [Series("monitor", true[at]), Series("chance", grid)],
            x="false positive rate",
            y="true positive rate",
            unit="share",
            title=title or "Answers that depart from the represented truth",
            caption=f"AUROC {self.auroc:.3f} [{low:.3f}, {high:.3f}], each answer scored by a "
            "monitor fitted on other wordings and entities.",
            does_not_show="what happens where the model does not know the truth.",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "auroc": self.auroc,
            "auroc_interval": list(self.auroc_interval),
            "fold_aurocs": list(self.fold_aurocs),
            "flagged_right": self.flagged_right,
            "threshold_nats": self.monitor.threshold_nats,
            "at": str(self.monitor.direction.at),
            "scale": self.monitor.scale,
            "scores": self.scores.tolist(),
            "departs": self.departs.tolist(),
            "groups": list(self.groups),
            "entities": list(self.entities),
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write it as JSON, its table as CSV, or its figure as HTML, SVG or PNG."""
        save_result(self, path, "a monitor's report")
