"""How well lenses predict the model's output from each layer, on text held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.lenses.result_file import plain
from residuum.runs import bootstrap_mean_intervals

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Lines


@dataclass(frozen=True, eq=False, repr=False)
class LensFit:
    """KL(output || lens) by layer, for the tuned lens and the logit lens.

    Shows: how much of the output an affine reader finds at each layer, on this text. Does not show:
    that the model itself reads the stream so, nor how the lens does on other text.

    Attributes:
        layers: row labels, ``embed``, ``L0`` …; the last has no translator.
        tuned, logit: ``[layer sequence]`` mean over the tokens of each sequence, in bits.
        level, resamples, seed: of the bootstrap over sequences.
    """

    layers: tuple[str, ...]
    tuned: np.ndarray
    logit: np.ndarray
    provenance: Provenance
    level: float = 0.95
    resamples: int = 2000
    seed: int = 0

    def interval(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ends for the mean over sequences of ``[layer sequence]``."""
        return bootstrap_mean_intervals(values, self.level, self.resamples, self.seed)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a layer: both lenses and the gain, paired by sequence, with intervals; bits."""
        import pandas as pd

        columns: dict[str, Sequence[Any] | np.ndarray] = {"layer": self.layers}
        gain = self.logit - self.tuned
        for name, values in (("tuned", self.tuned), ("logit", self.logit), ("gain", gain)):
            low, high = self.interval(values)
            columns |= {name: values.mean(-1), f"{name}_low": low, f"{name}_high": high}
        return pd.DataFrame(columns)

    def figure(self, title: str = "How far each layer is from the output") -> Lines:
        """Both lenses over the layers, with bands."""
        from residuum.figures import Lines, Series

        series = []
        for name, values in (("logit lens", self.logit), ("tuned lens", self.tuned)):
            low, high = self.interval(values)
            series.append(Series(name, values.mean(-1), low, high))
        return Lines(
            list(range(len(self.layers))),
            series,
            x="layer",
            y="KL(output || lens)",
            unit="bits",
            x_labels=list(self.layers),
            title=title,
            caption=f"Mean over {self.tuned.shape[1]} held-out sequences; bands: "
            f"{100 * self.level:g} % bootstrap intervals over them.",
            does_not_show="that the model itself reads the stream so.",
        )

    def __repr__(self) -> str:
        rows = ", ".join(
            f"{layer} {tuned:.2f} ({logit:.2f})"
            for layer, tuned, logit in zip(
                self.layers, self.tuned.mean(-1), self.logit.mean(-1), strict=True
            )
        )
        return f"LensFit(KL in bits, tuned lens (logit lens): {rows})"

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        frame = self.to_dataframe()
        return {
            "layers": list(self.layers),
            "unit": "bits",
            "table": {name: plain(frame[name]) for name in frame.columns},
            "tuned": self.tuned.tolist(),
            "logit": self.logit.tolist(),
            "intervals": {"level": self.level, "resamples": self.resamples, "seed": self.seed},
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write ``.json``, the table as ``.csv``, or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, a folder, or a file in a folder that does not exist.
        """
        save_result(self, path, "a lens fit")
