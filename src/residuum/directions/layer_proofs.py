"""What can be read at every place beside what is used there: accuracy and causal effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.core import SILENT, OptionError, Progress, Provenance
from residuum.core.notebook import html_of
from residuum.core.progress import track
from residuum.core.saving import save_result
from residuum.directions.probes.result import Probes
from residuum.directions.proof import Proof
from residuum.directions.proving import prove
from residuum.runs import Model, Task, shown

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Lines

EDITS = ("add", "erase", "swap")


@dataclass(frozen=True, eq=False, repr=False)
class LayerProofs:
    """Every place's probe as a direction, proven on pairs that it was not found on.

    Shows: where the class can be read, and where the answer follows what is read. Does not show:
    which of many places is the one that counts; each p is for its place alone.

    Attributes:
        places: address of each.
        accuracy: test accuracy of each place's probe, 0 to 1.
        low, high: its 95 % interval.
        majority: accuracy of saying the commonest class.
        proofs: of each place's direction.
        edit: which edit stands beside the accuracy: ``"swap"``, ``"add"`` or ``"erase"``.
        provenance: model and the rest.
    """

    places: tuple[str, ...]
    accuracy: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    majority: float
    proofs: tuple[Proof, ...]
    edit: str
    provenance: Provenance

    def __len__(self) -> int:
        return len(self.places)

    def __repr__(self) -> str:
        rows = zip(self.places, self.accuracy, self.effects, strict=True)
        said = ", ".join(f"{at} read {a:.2f} used {e:.2f}" for at, a, e in rows)
        return f"LayerProofs({said})"

    @property
    def effects(self) -> tuple[float, ...]:
        """Share of the gap between clean and corrupt answers that the edit closes."""
        return tuple(self._test(proof).recovered_frac for proof in self.proofs)

    @property
    def chance(self) -> tuple[float, ...]:
        """The same of random directions, their 95th percentile."""
        return tuple(
            self._test(proof).random_high / (proof.clean - proof.corrupt) for proof in self.proofs
        )

    def figure(self) -> Lines:
        """Accuracy and causal effect by place, in one picture; both are shares."""
        from residuum.figures import Guide, Lines, Series

        used = [self._test(proof) for proof in self.proofs]
        gaps = [proof.clean - proof.corrupt for proof in self.proofs]
        lines = [
            Series("read: test accuracy", self.accuracy, self.low, self.high),
            Series(
                f"used: the {self.edit} closes of the gap", self.effects,
                [test.interval[0] / gap for test, gap in zip(used, gaps, strict=True)],
                [test.interval[1] / gap for test, gap in zip(used, gaps, strict=True)],
            ),
            Series("random directions, 95th percentile", self.chance),
        ]  # fmt: skip
        proof = self.proofs[0]
        return Lines(
            list(range(len(self))),
            lines,
            x="place",
            y="accuracy and effect",
            unit="share",
            x_labels=[at.split("@")[0].removesuffix(".resid_post") for at in self.places],
            guides=[Guide(self.majority, "majority")],
            title="What can be read, and what is used",
            caption=f"Used on {proof.n_pairs} pairs of {proof.task} that no probe was fitted on; "
            f"{proof.n_random} random directions; 95 % intervals.",
            does_not_show="that one place alone carries the answer; each place is edited by itself",
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each place."""
        import pandas as pd

        return pd.DataFrame(self._rows())

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN as None."""
        rows = [
            {key: None if isinstance(v, float) and not math.isfinite(v) else v
             for key, v in row.items()} for row in self._rows()
        ]  # fmt: skip
        return {
            "format": 1, "edit": self.edit, "majority": self.majority, "places": rows,
            "provenance": self.provenance.to_json(),
        }  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write ``.json``, ``.csv``, or the figure as HTML, SVG or PNG."""
        save_result(self, path, "layer proofs")

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def _test(self, proof: Proof) -> Any:
        return next(test for test in proof.tests if test.kind == self.edit)

    def _rows(self) -> list[dict[str, Any]]:
        tests = [self._test(proof) for proof in self.proofs]
        return [
            {"at": at, "accuracy": accuracy, "effect_frac": test.recovered_frac, "p": test.p,
             "p_adjusted": test.p_adjusted, "random_high_frac": chance}
            for at, accuracy, test, chance in zip(
                self.places, self.accuracy, tests, self.chance, strict=True
            )
        ]  # fmt: skip


def layer_proofs(
    probes: Probes,
    model: Model,
    task: Task,
    *,
    edit: str = "swap",
    n_random: int = 19,
    seed: int = 0,
    progress: Progress = SILENT,
) -> LayerProofs:
    """What is used beside what can be read: every place's direction, proven on a task.

    Args:
        probes: of every place.
        model: that was probed.
        task: contrast pairs; templates that a probe was fitted on are left out.
        edit: whose effect is shown: ``"swap"``, ``"add"`` or ``"erase"``.
        n_random: random directions at each place, at least 19.
        seed: of those.
        progress: who is told.

    Raises:
        OptionError, TaskError: another edit; and see :func:`rz.prove`.
    """
    if edit not in EDITS:
        raise OptionError(f"edit={shown(edit)} is none", mend=f"use one of: {', '.join(EDITS)}")
    scores = probes.scores
    found = [
        prove(probes.direction(score.at), model, task, n_random=n_random, seed=seed)
        for score in track(scores, progress, "proofs", len(scores))
    ]
    return LayerProofs(
        _column(scores, "at"), _column(scores, "test"), _column(scores, "low"),
        _column(scores, "high"), probes.majority, tuple(found), edit, found[0].provenance,
    )  # fmt: skip


def _column(scores: Sequence[Any], name: str) -> tuple[Any, ...]:
    return tuple(getattr(score, name) for score in scores)
