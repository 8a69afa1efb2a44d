"""The result of probing: a score for every place, the best one, and the probes themselves."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from residuum.core import Address, OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.directions.direction import Direction
from residuum.directions.origin import Origin
from residuum.directions.probes.figure import accuracy_figure
from residuum.directions.probes.scores import ProbeScore
from residuum.directions.probes.weights import ProbeWeights
from residuum.runs import Model, Run, shown

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars, Lines

ALPHA = 0.05
"""How often a claim about labels without meaning may be made."""


@dataclass(frozen=True, eq=False, repr=False)
class Probes:
    """Probes at many places.

    Shows: how well a linear reader tells the classes apart at each place, on examples (and
    templates) that it was not fitted on. Does not show: that the model uses it; nor, where other
    words go with the class on both sides, that it is the concept that is read.

    Attributes:
        scores: of every place, in order.
        probes: the fitted probes, likewise.
        best_index: the place that did best on the validation side.
        p: of the best place's test accuracy, by permuting the test labels.
        majority: accuracy on the test side of saying the commonest class.
        classes: names of the labels.
        split_by: what was kept on one side: ``"group"`` or ``"example"``.
        counts: examples on the three sides.
        control_token: which token carries the control task.
        skipped: places whose activations do not vary, with what is true of them.
        written: address at which each place's direction is used.
        typical_norms: mean length of each place's activations.
        method: how they were fitted.
        origin: data, split, seed.
        provenance: model and the rest.
        repeated: examples left out since the same one stands on their side already.
    """

    scores: tuple[ProbeScore, ...]
    probes: tuple[ProbeWeights, ...]
    best_index: int
    p: float
    majority: float
    classes: tuple[str, ...]
    split_by: str
    counts: tuple[int, int, int]
    control_token: str
    skipped: tuple[str, ...]
    written: tuple[str, ...]
    typical_norms: tuple[float, ...]
    method: str
    origin: Origin
    provenance: Provenance
    repeated: int = 0

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def best(self) -> ProbeScore:
        """The score of the best place; chosen on validation, so that its test number is honest."""
        return self.scores[self.best_index]

    @property
    def decodable(self) -> bool:
        """Whether the class can be read at the best place.

        p at most 5 %, the interval of the test accuracy above the majority (the accuracy itself,
        where one template gives no interval), and the accuracy above the control task's, where
        there is one. On labels without meaning it is True in at most 5 % of cases.
        """
        best = self.best
        low = best.test if math.isnan(best.low) else best.low
        return self.p <= ALPHA and low > self.majority and not best.test <= best.control

    @property
    def verdict(self) -> str:
        """One sentence with the numbers."""
        best = self.best
        control = (
            f"control {best.control:.3f}, selectivity {best.selectivity:+.3f}"
            + (" (labels drawn for words are read as well)" if best.test <= best.control else "")
            if math.isfinite(best.control)
            else f"no control task ({self.control_token})"
        )
        interval = (
            f"[{best.low:.3f}, {best.high:.3f}]"
            if math.isfinite(best.low)
            else "(no interval: the test side has one template)"
        )
        return (
            f"{'decodable' if self.decodable else 'not shown to be decodable'} at {best.at}: test "
            f"accuracy {best.test:.3f} {interval} against majority "
            f"{self.majority:.3f} (p = {self.p:.4f}), shuffled {best.shuffled:.3f}, {control}; "
            f"split by {self.split_by}"
            + (f"; {self.repeated} repeated examples left out" if self.repeated else "")
        )

    def __repr__(self) -> str:
        return f"Probes({len(self)} places, {self.method}; {self.verdict})"

    def place(self, at: str | int | Address | None = None) -> int:
        """Index of a place: by address, by layer, or the best.

        Raises:
            OptionError: there is no such place, or several.
        """
        if at is None:
            return self.best_index
        if isinstance(at, int):
            found = [i for i, score in enumerate(self.scores) if score.layer == at]
        else:
            name = str(Address.parse(at))
            found = [
                i
                for i, score in enumerate(self.scores)
                if name in (score.at, self.written[i], score.at.split("@")[0])
            ]
        if len(found) != 1:
            raise OptionError(
                f"{shown(at)} names {len(found)} of {len(self)} places",
                mend=f"use one of: {', '.join(score.at for score in self.scores[:12])}",
            )
        return found[0]

    def direction(self, at: str | int | Address | None = None) -> Direction:
        """The probe of a place (the best by default) as a direction towards class 1.

        For several classes it spans the differences of all classes from the first.
        """
        index = self.place(at)
        probe = self.probes[index]
        single = len(probe.matrix) == 1
        return Direction(
            at=Address.parse(self.written[index]),
            vector=probe.vectors,
            typical_norm=self.typical_norms[index],
            threshold=probe.threshold if single else math.nan,
            method=f"FromProbe({self.method})",
            origin=self.origin,
            weight_hash=self.provenance.weight_hash,
            provenance=self.provenance,
        )

    def probabilities(self, run: Run | Tensor, at: str | int | Address | None = None) -> Tensor:
        """Probability of each class at every token of a run, ``[... class]``.

        Args:
            run: a run that captured the place's site, or its values ``[... d]``.
            at: the place; the best by default.

        Raises:
            LoadError: a run of another model.
        """
        index = self.place(at)
        site = Address.parse(self.scores[index].at.split("@")[0])
        if isinstance(run, Run):
            self.direction(self.scores[index].at).check_run(run)
        values: Any = run if isinstance(run, Tensor) else run[site]
        flat = values.reshape(-1, values.shape[-1])
        found = self.probes[index].probabilities(flat)
        return found.reshape(*values.shape[:-1], found.shape[-1])

    def figure(
        self, model: Model | None = None, prompt: Any = None, at: str | int | Address | None = None
    ) -> Lines | Bars:
        """Accuracy of every place; with a model and a prompt, the projection of its tokens."""
        if model is not None and prompt is not None:
            return self.direction(at).figure(model, prompt)
        sides = " / ".join(map(str, self.counts))
        return accuracy_figure(
            self.scores,
            self.best_index,
            self.majority,
            f"{' / '.join(self.classes)}: what a linear probe reads",
            f"{self.method}; {sides} examples (train / validation / test), split by "
            f"{self.split_by}; 95 % intervals.",
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each place."""
        import pandas as pd

        rows = [asdict(score) | {"selectivity": score.selectivity} for score in self.scores]
        return pd.DataFrame(rows).assign(best=[i == self.best_index for i in range(len(self))])

    def to_json(self) -> dict[str, Any]:
        """Plain data without the probes' weights (save a direction for those); NaN as None."""
        rows = [asdict(score) | {"selectivity": score.selectivity} for score in self.scores]
        return {
            "format": 1,
            "scores": [{key: _plain(value) for key, value in row.items()} for row in rows],
            "best": self.best.at,
            "p": self.p,
            "decodable": self.decodable,
            "verdict": self.verdict,
            "majority": self.majority,
            "classes": list(self.classes),
            "split_by": self.split_by,
            "counts": list(self.counts),
            "repeated": self.repeated,
            "control_token": self.control_token,
            "skipped": list(self.skipped),
            "method": self.method,
            "data_hash": self.origin.data_hash,
            "seed": self.origin.seed,
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write ``.json``, ``.csv``, or the figure as HTML, SVG or PNG."""
        save_result(self, path, "probes")


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
