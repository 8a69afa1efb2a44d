"""The phase change of induction: two curves over training, their midpoints, paired over seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from residuum.core import LoadError, OptionError, Provenance, ShapeError
from residuum.core.paths import file_to_write
from residuum.core.provenance import content_hash
from residuum.organisms.attention_only.sigmoid import (
    SeedInterval,
    Sigmoid,
    fit_sigmoid,
    half_reached,
    seed_interval,
)

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Panel, Table

Curves = Mapping[str, Mapping[int, Sequence[Mapping[str, Any]]]]
"""Training logs by organism and seed."""

WHOLE, TWIN, PLATEAU = "induction_2l", "induction_2l_nopos", "induction_1l"
CURVES_FILE = Path(__file__).resolve().parents[2] / "assets/organisms/induction_curves.json"
_PLATEAU_LOOKS = 5
_INTERVALS = ("matching", "learning", "lag", "learning_raw", "lag_raw")


@dataclass(frozen=True)
class SeedChange:
    """The phase change of one seed.

    Attributes:
        seed: of weights and data.
        matching: sigmoid of the best head's prefix-matching score.
        learning: sigmoid of the in-context-learning score beyond the one-layer plateau.
        raw: sigmoid of the whole in-context-learning score, nothing taken off. Its midpoint is
            earlier: it counts what token statistics alone teach before induction.
        matching_half, learning_half: steps where half of the way is done, without a sigmoid.
        plateau_nats: in-context-learning score where the one-layer model of this seed ends.
    """

    seed: int
    matching: Sigmoid
    learning: Sigmoid
    raw: Sigmoid
    matching_half: float
    learning_half: float
    plateau_nats: float

    @property
    def midpoints(self) -> tuple[float, float]:
        """Steps of prefix matching and in-context learning; NaN where no change is resolved."""
        return _midpoint(self.matching), _midpoint(self.learning)

    @property
    def raw_midpoint(self) -> float:
        """Step of the whole in-context-learning score; NaN where no change is resolved."""
        return _midpoint(self.raw)

    @property
    def lag(self) -> float:
        """Steps by which in-context learning follows prefix matching; NaN without midpoints."""
        return self.midpoints[1] - self.midpoints[0]

    @property
    def raw_lag(self) -> float:
        """The same with the whole score: most of a lag may lie in what the plateau takes off."""
        return self.raw_midpoint - self.midpoints[0]


@dataclass(frozen=True, eq=False)
class PhaseChange:
    """When prefix matching and in-context learning rise, on several seeds.

    Shows: whether both rise at the same time, within the spacing of the checkpoints. Does not show:
    that one causes the other; for that, remove the heads (``rz.patch``, ``rz.detect_heads``).

    Attributes:
        organism: whose curves were fitted.
        spacing: steps between two checkpoints.
        seeds: one change for each seed.
        curves: training logs of all organisms that the figure draws.
    """

    organism: str
    spacing: int
    seeds: tuple[SeedChange, ...]
    curves: Curves

    @property
    def matching(self) -> SeedInterval:
        """Step where half of prefix matching is there, with Student's 95 % interval over seeds."""
        return seed_interval([each.midpoints[0] for each in self.seeds])

    @property
    def learning(self) -> SeedInterval:
        """The same for in-context learning beyond the one-layer plateau."""
        return seed_interval([each.midpoints[1] for each in self.seeds])

    @property
    def lag(self) -> SeedInterval:
        """Steps from the first to the second, paired by seed."""
        return seed_interval([each.lag for each in self.seeds])

    @property
    def learning_raw(self) -> SeedInterval:
        """Step where half of the whole in-context-learning score is there."""
        return seed_interval([each.raw_midpoint for each in self.seeds])

    @property
    def lag_raw(self) -> SeedInterval:
        """Steps from prefix matching to the whole score, paired by seed."""
        return seed_interval([each.raw_lag for each in self.seeds])

    @property
    def agree(self) -> bool:
        """Whether every seed has both midpoints, within one checkpoint of each other."""
        return all(abs(each.lag) <= self.spacing for each in self.seeds)

    @property
    def provenance(self) -> Provenance:
        """Where the result comes from."""
        numbers = content_hash(
            [[each.seed, each.matching_half, each.learning_half] for each in self.seeds]
        )
        return Provenance(
            model_id=self.organism,
            strategy=f"phase_change(spacing={self.spacing}, result={numbers[:12]})",
        )

    def table(self) -> Table:
        """Midpoints by seed."""
        from residuum.figures import Column, Table

        rows: list[list[Any]] = [
            [f"seed {each.seed}", *each.midpoints, each.lag, each.raw_midpoint, each.raw_lag,
             each.matching_half, each.learning_half, each.plateau_nats]
            for each in self.seeds
        ]  # fmt: skip
        for name, end in (("mean", "mean"), ("95 % from", "low"), ("95 % to", "high")):
            five = (self.matching, self.learning, self.lag, self.learning_raw, self.lag_raw)
            rows.append([name, *(getattr(each, end) for each in five), None, None, None])
        columns = [
            "", Column("matching", "step", digits=0), Column("learning", "step", digits=0),
            Column("lag", "steps", digits=0), Column("raw learning", "step", digits=0),
            Column("raw lag", "steps", digits=0), Column("matching half", "step", digits=0),
            Column("learning half", "step", digits=0), Column("one layer", "nats", digits=2),
        ]  # fmt: skip
        return Table(
            columns, rows, title=f"Midpoints of the phase change of {self.organism}",
            caption="Sigmoid midpoints of prefix matching and of in-context learning beyond the "
            "one-layer model; a dash where the rise is gradual. Raw: the whole score, nothing "
            "taken off. Half: the step where half of the way is done, without a sigmoid. A "
            f"checkpoint every {self.spacing} steps.",
        )  # fmt: skip

    def figure(self, title: str = "The phase change of induction") -> Panel:
        """Both scores over training, of the organism, its twin and the one-layer model."""
        from residuum.organisms.attention_only.phase_figure import phase_figure

        pairs = [each.midpoints for each in self.seeds]
        return phase_figure(
            self.curves,
            organism=self.organism,
            spacing=self.spacing,
            midpoints=pairs,
            title=title,
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each organism, seed and checkpoint."""
        import pandas as pd

        rows = [
            (name, seed, entry["step"], best(entry, "prefix_matching"),
             best(entry, "previous_token"), entry["icl_nats"], entry["repeated_nats"])
            for name, seeds in self.curves.items()
            for seed, log in seeds.items()
            for entry in log
        ]  # fmt: skip
        columns = ["organism", "seed", "step", "prefix_matching", "previous_token"]
        return pd.DataFrame(rows, columns=[*columns, "icl_nats", "repeated_nats"])

    def to_json(self) -> dict[str, Any]:
        """Plain data: midpoints and intervals; the curves are in :meth:`to_dataframe`."""
        return {
            "organism": self.organism,
            "spacing": self.spacing,
            "agree": self.agree,
            **{key: vars(getattr(self, key)) for key in _INTERVALS},
            "seeds": [
                {
                    "seed": each.seed,
                    "matching": vars(each.matching),
                    "learning": vars(each.learning),
                    "raw": vars(each.raw),
                    "lag": each.lag,
                    "raw_lag": each.raw_lag,
                    "matching_half": each.matching_half,
                    "learning_half": each.learning_half,
                    "plateau_nats": each.plateau_nats,
                }
                for each in self.seeds
            ],
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write the midpoints as JSON, or the figure as HTML, SVG or PNG, by suffix.

        Raises:
            OptionError: another suffix.
            StoreError: no path, a folder, or a file in a folder that does not exist.
        """
        path = file_to_write(path)
        if path.suffix == ".json":
            path.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")
        else:
            self.figure().save(path)


def _midpoint(fit: Sigmoid) -> float:
    return fit.midpoint if fit.resolved else math.nan


def best(entry: Mapping[str, Any], score: str) -> float:
    """The highest score of all heads at one checkpoint."""
    return max(max(row) for row in entry[score])


def beyond_plateau(log: Sequence[Mapping[str, Any]], plateau_nats: float) -> list[float]:
    """In-context learning that one layer does not reach, nats, 0 or less, by checkpoint."""
    return [min(0.0, entry["icl_nats"] - plateau_nats) for entry in log]


def plateau_of(log: Sequence[Mapping[str, Any]]) -> float:
    """In-context-learning score where a one-layer model ends: mean of its last five looks."""
    return float(np.mean([entry["icl_nats"] for entry in log[-_PLATEAU_LOOKS:]]))


def shipped_curves() -> dict[str, dict[int, list[dict[str, Any]]]]:
    """The training logs in the package, by organism and seed.

    Raises:
        LoadError: the file is missing.

    >>> sorted(shipped_curves())
    ['induction_1l', 'induction_2l', 'induction_2l_nopos']
    """
    if not CURVES_FILE.is_file():
        raise LoadError(
            "the training curves are missing from the package",
            where=str(CURVES_FILE),
            mend="install the package again, or train and give phase_change(curves=...)",
        )
    data = json.loads(CURVES_FILE.read_text(encoding="utf-8"))
    return {
        name: {int(seed): _rows_of(log) for seed, log in seeds.items()}
        for name, seeds in data.items()
    }


def _rows_of(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Column by column on disk, row by row in memory."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def phase_change(organism: str = WHOLE, *, curves: Curves | None = None) -> PhaseChange:
    """Find the phase change in training curves: a sigmoid's midpoint for each score and seed.

    Args:
        organism: ``"induction_2l"`` or ``"induction_2l_nopos"``.
        curves: training logs by organism and seed; by default those in the package. The one-layer
            model must be among them with the same seeds.

    Returns:
        Midpoints by seed, their means with Student's intervals over seeds, and the paired lag; for
        in-context learning beyond the one-layer plateau and, beside it, for the whole score.

    Raises:
        OptionError: no curves of this organism, or no one-layer curves for one of its seeds.
        ShapeError: checkpoints without a fixed spacing.

    Shows: when each score is half there, and how far apart the two are. Does not show: which causes
    which; and within one spacing no order can be told.
    Source: Olsson et al., In-context Learning and Induction Heads (2022), "Arguments 1 and 2":
    prefix matching and in-context learning rise together. There in-context learning is the loss at
    token 500 minus that at token 50; here late minus early in a context of 48, beyond what one
    layer reaches, since token statistics alone lower the loss.

    >>> phase_change().agree
    True
    """
    found = shipped_curves() if curves is None else curves
    if organism not in found or PLATEAU not in found or organism == PLATEAU:
        raise OptionError(
            f"no phase change of {organism!r} in curves of {', '.join(sorted(found))}",
            mend=f"ask for {WHOLE} or {TWIN}, and train {PLATEAU} beside it",
        )
    missing = sorted(set(found[organism]) - set(found[PLATEAU]))
    if missing:
        raise OptionError(
            f"no {PLATEAU} curve for seed {missing[0]}", mend="train it with the same seed"
        )
    changes = [
        _change(seed, log, plateau_of(found[PLATEAU][seed]))
        for seed, log in sorted(found[organism].items())
    ]
    steps = {entry["step"] for log in found[organism].values() for entry in log}
    spacings = set(np.diff(sorted(steps)).tolist())
    if len(spacings) != 1:
        raise ShapeError(
            f"checkpoints are {', '.join(map(str, sorted(spacings)))} steps apart",
            mend="train all seeds with one check_every",
        )
    return PhaseChange(organism, int(spacings.pop()), tuple(changes), found)


def _change(seed: int, log: Sequence[Mapping[str, Any]], plateau_nats: float) -> SeedChange:
    steps = [entry["step"] for entry in log]
    matching = [best(entry, "prefix_matching") for entry in log]
    learning = beyond_plateau(log, plateau_nats)
    return SeedChange(
        seed,
        fit_sigmoid(steps, matching),
        fit_sigmoid(steps, learning),
        fit_sigmoid(steps, [entry["icl_nats"] for entry in log]),
        half_reached(steps, matching),
        half_reached(steps, learning),
        plateau_nats,
    )
