"""How a training went: loss, L0, explained variance and dead share over the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Panel

_SUMS = ("loss", "mse", "penalty", "auxiliary", "l0", "residual", "variance")


@dataclass(frozen=True, eq=False)
class Curve:
    """One entry a window of steps; each figure is the mean over the window's samples.

    Attributes:
        step: steps done at the end of the window.
        samples: rows seen by then.
        loss: what is minimised.
        mse: squared error of a sample, summed over its coordinates.
        penalty: the sparsity penalty, without its coefficient; 0 where there is none.
        auxiliary: the loss of the dead latents, without its coefficient.
        l0: active latents in a sample.
        explained_variance: ``1 - error / variance about the mean``, of training samples.
        dead_share: latents that were active in none of the last ``dead_after`` samples.
        coefficient: of the penalty, at the end of the window.
        rate: learning rate at the end of the window.
    """

    step: np.ndarray
    samples: np.ndarray
    loss: np.ndarray
    mse: np.ndarray
    penalty: np.ndarray
    auxiliary: np.ndarray
    l0: np.ndarray
    explained_variance: np.ndarray
    dead_share: np.ndarray
    coefficient: np.ndarray
    rate: np.ndarray

    @staticmethod
    def from_rows(rows: Sequence[Sequence[float]]) -> Curve:
        """From one row of numbers a window, in the order of the attributes."""
        table = np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS))
        return Curve(**dict(zip(COLUMNS, table.T, strict=True)))

    def __len__(self) -> int:
        return len(self.step)

    def last(self) -> dict[str, float]:
        """The figures of the last window; none before the first is full."""
        return {name: float(getattr(self, name)[-1]) for name in COLUMNS if len(self)}

    def to_dataframe(self) -> pd.DataFrame:
        """One row a window, the attributes as columns."""
        import pandas as pd

        return pd.DataFrame({name: getattr(self, name) for name in COLUMNS})

    def to_json(self) -> dict[str, list[float]]:
        """Plain data."""
        return {name: getattr(self, name).tolist() for name in COLUMNS}

    @staticmethod
    def from_json(data: Mapping[str, Sequence[float]]) -> Curve:
        """Read what :meth:`to_json` wrote."""
        return Curve(**{name: np.array(data[name], dtype=np.float64) for name in COLUMNS})

    def figure(self, title: str, caption: str = "", does_not_show: str = "") -> Panel:
        """Error, L0 and the two shares, one under the other."""
        from residuum.figures import Lines, Panel, Series

        x = self.samples
        error = np.where(self.mse > 0, self.mse, np.nan)
        parts = (
            Lines(x, [Series("squared error", error)], x="samples", y="squared error",
                  unit="per sample", y_scale="log"),
            Lines(x, [Series("L0", self.l0)], x="samples", y="active latents", unit="per sample"),
            Lines(x, [Series("explained variance", self.explained_variance),
                      Series("dead latents", self.dead_share)], x="samples", y="share"),
        )  # fmt: skip
        return Panel(
            parts, columns=1, thumbnails=False, title=title, caption=caption,
            does_not_show=does_not_show,
        )  # fmt: skip


COLUMNS = tuple(each.name for each in fields(Curve))


class CurveWriter:
    """Sums the steps of a window up to one row; its state can be kept in mid-window."""

    def __init__(self) -> None:
        self.rows: list[list[float]] = []
        self._sums = dict.fromkeys(_SUMS, 0.0)
        self._steps = 0

    def add(self, measured: Mapping[str, float]) -> None:
        """A step's figures: ``loss, mse, penalty, auxiliary, l0`` as means, and the sums of the
        squared ``residual`` and of the squares about the mean, ``variance``.
        """
        for name in _SUMS:
            self._sums[name] += measured[name]
        self._steps += 1

    def close(
        self, *, step: int, samples: int, dead_share: float, coefficient: float, rate: float
    ) -> dict[str, float]:
        """End the window; the row by name."""
        mean = {name: self._sums[name] / max(self._steps, 1) for name in _SUMS[:5]}
        spread = self._sums["variance"]
        explained = 1 - self._sums["residual"] / spread if spread > 0 else float("nan")
        row = {
            **mean, "step": step, "samples": samples, "explained_variance": explained,
            "dead_share": dead_share, "coefficient": coefficient, "rate": rate,
        }  # fmt: skip
        self.rows.append([float(row[name]) for name in COLUMNS])
        self._sums, self._steps = dict.fromkeys(_SUMS, 0.0), 0
        return {name: float(row[name]) for name in COLUMNS}

    def state(self) -> dict[str, Any]:
        """Plain data; exact."""
        return {"rows": self.rows, "sums": self._sums, "steps": self._steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.rows = [list(row) for row in state["rows"]]
        self._sums, self._steps = dict(state["sums"]), int(state["steps"])
