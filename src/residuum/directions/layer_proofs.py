"""What can be read at every place beside what is used there: accuracy and causal effect."""

from __future__ import annotations

import math
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
from residuum.runs import Model, Task, shown, wilson_interval

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
        low, high: its 95 % interval: whole templates resampled; Wilson's over ``n_test`` examples
            where the test side has one template, which says nothing of other wordings.
        by_template: whether that interval resamples templates.
        n_test: examples on the probes' test side.
        majority: accuracy of saying the commonest class.
        proofs: of each place's direction.
        edit: which edit stands beside the accuracy: ``"swap"``, ``"add"`` or ``"erase"``.
        provenance: model and the rest.
    """

    places: tuple[str, ...]
    accuracy: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    by_template: bool
    n_test: int
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
    def effect_intervals(self) -> tuple[tuple[float, float], ...]:
        """Their 95 % intervals, by template; NaN where the pairs are of one template."""
        return tuple(self._interval(proof) for proof in self.proofs)

    @property
    def chance(self) -> tuple[float, ...]:
        """The same of random directions, their 95th percentile."""
        return tuple(
            self._test(proof).random_high / (proof.clean - proof.corrupt) for proof in self.proofs
        )

    def figure(self) -> Lines:
        """Accuracy and causal effect by place, in one picture; both are shares."""
        from residuum.figures import Guide, Lines, Series

        low, high = zip(*self.effect_intervals, strict=True)
        lines = [
            Series("read: test accuracy", self.accuracy, self.low, self.high),
            Series(f"used: share of the gap, {self.edit}", self.effects, low, high),
            Series("used: random directions' 95th percentile", self.chance),
        ]
        return Lines(
            list(range(len(self))),
            lines,
            x="place",
            y="accuracy and effect",
            unit="share",
            x_labels=[at.split("@")[0].removesuffix(".resid_post") for at in self.places],
            guides=[Guide(self.majority, "majority")],
            title="What can be read, and what is used",
            caption=self._caption,
            does_not_show="that one place alone carries the answer; each place is edited by itself",
        )

    @property
    def _caption(self) -> str:
        proof = self.proofs[0]
        wordings = f"{proof.n_templates} template" + ("s" if proof.n_templates > 1 else "")
        return (
            f"Read: {self.n_test} test examples. Used: {proof.n_pairs} pairs of {proof.task} in "
            f"{wordings} that no probe was fitted on; {proof.n_random} random directions. Bands: "
            "95 % intervals; read, "
            + ("by template" if self.by_template else "Wilson's, as the test side has one template")
            + (
                "; used, by template."
                if proof.n_templates > 1
                else "; used, none for one template."
            )
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
            "format": 1, "edit": self.edit, "majority": self.majority, "n_test": self.n_test,
            "by_template": self.by_template, "places": rows,
            "provenance": self.provenance.to_json(),
        }  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write ``.json``, ``.csv``, or the figure as HTML, SVG or PNG."""
        save_result(self, path, "layer proofs")

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def _test(self, proof: Proof) -> Any:
        return next(test for test in proof.tests if test.kind == self.edit)

    def _interval(self, proof: Proof) -> tuple[float, float]:
        low, high = self._test(proof).interval
        gap = proof.clean - proof.corrupt
        return (low / gap, high / gap)

    def _rows(self) -> list[dict[str, Any]]:
        rows = []
        for index, proof in enumerate(self.proofs):
            test, (low, high) = self._test(proof), self._interval(proof)
            rows.append(
                {"at": self.places[index], "accuracy": self.accuracy[index],
                 "accuracy_low": self.low[index], "accuracy_high": self.high[index],
                 "effect_frac": test.recovered_frac, "effect_low": low, "effect_high": high,
                 "random_high_frac": self.chance[index], "p": test.p,
                 "p_adjusted": test.p_adjusted, "causal": proof.verdict["causal"]}
            )  # fmt: skip
        return rows


def prove_layers(
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

    Returns:
        Accuracy and effect of every place, both as shares, each with its 95 % interval.

    Raises:
        OptionError, TaskError: no probes; another edit; and see :func:`rz.prove`.

    Shows, Does not show: as :class:`LayerProofs`.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> task = rz.task("refusal", model, n=40)
    >>> probes = rz.probe(model, rz.Examples.from_task(task), layers=[2], method=rz.MassMean())
    >>> rz.prove_layers(probes, model, task).places
    ('L2.resid_post@-1',)
    """
    if not isinstance(probes, Probes):
        raise OptionError(f"probes={shown(probes)}", mend="probe first: rz.probe(model, examples)")
    if edit not in EDITS:
        raise OptionError(f"edit={shown(edit)} is none", mend=f"use one of: {', '.join(EDITS)}")
    scores = probes.scores
    found = [
        prove(probes.direction(score.at), model, task, n_random=n_random, seed=seed)
        for score in track(scores, progress, "proofs", len(scores))
    ]
    low, high = zip(*(_accuracy_interval(score, probes.counts[2]) for score in scores), strict=True)
    return LayerProofs(
        places=tuple(score.at for score in scores),
        accuracy=tuple(score.test for score in scores),
        low=low,
        high=high,
        by_template=all(math.isfinite(score.low) for score in scores),
        n_test=probes.counts[2],
        majority=probes.majority,
        proofs=tuple(found),
        edit=edit,
        provenance=found[0].provenance,
    )


def _accuracy_interval(score: Any, n: int) -> tuple[float, float]:
    if math.isfinite(score.low):
        return (score.low, score.high)
    return wilson_interval(round(score.test * n), n)
