"""The proof of an erasure: fresh linear probes before and after, on fitted and held-out data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import OptionError
from residuum.directions.erasure_probe import LinearProbe, entropy_nats, majority_share
from residuum.runs import bootstrap_mean_interval

Interval = tuple[float, float]


@dataclass(frozen=True)
class ProbeScore:
    """How well a fresh linear probe does.

    Attributes:
        accuracy: share of right answers, 0 to 1.
        interval: its 95 % bootstrap interval, by group where there are several.
        majority: what always saying the most frequent class would reach on the same data.
        loss_nats: mean cross-entropy.
        entropy_nats: that of the constant probe on the same data.
        n: vectors judged.
    """

    accuracy: float
    interval: Interval
    majority: float
    loss_nats: float
    entropy_nats: float
    n: int

    @property
    def above_majority(self) -> float:
        """Accuracy less the majority's."""
        return self.accuracy - self.majority


@dataclass(frozen=True)
class ErasureProof:
    """Fresh probes before and after.

    Attributes:
        fitted_before, fitted_after: a probe fitted on the eraser's own data and judged there; the
            law speaks of ``fitted_after``.
        held_before, held_after: the same probe on held-out groups.
        refitted_before, refitted_after: a new probe fitted on half of the *held-out* data and
            judged on the other half, both ways: does the eraser hold on data it never saw?
            None where there are too few.
        change_frac: mean squared size of the edit over that of the vectors' spread, on the fitted
            data.
    """

    fitted_before: ProbeScore
    fitted_after: ProbeScore
    held_before: ProbeScore
    held_after: ProbeScore
    refitted_before: ProbeScore | None
    refitted_after: ProbeScore | None
    change_frac: float

    @property
    def was_there(self) -> bool:
        """Whether a linear probe beat the majority before, interval and all, on held-out data."""
        return self.held_before.interval[0] > self.held_before.majority

    @property
    def gone(self) -> bool:
        """Gone for a probe of the *fitted* data: there no fresh linear one beats the majority.

        This says nothing of held-out data: see :attr:`gone_held_out`.
        """
        return self.fitted_after.above_majority <= 1e-12

    @property
    def gone_held_out(self) -> bool | None:
        """Gone for a probe that learns from *held-out* data too: its interval reaches the majority.

        None where there are too few held-out vectors to fit one.
        """
        after = self.refitted_after
        return None if after is None else after.interval[0] <= after.majority

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "was_there": self.was_there, "gone": self.gone} | {
            "gone_held_out": self.gone_held_out
        }


@dataclass(frozen=True, eq=False)
class Sample:
    """Vectors of one part of the data, before and after the edit.

    Attributes:
        before, after: ``[m d]``.
        labels: ``[m]``.
        groups: of each vector.
    """

    before: Tensor
    after: Tensor
    labels: Tensor
    groups: tuple[str, ...]


def proof_of(fitted: Sample, held: Sample, classes: int, seed: int) -> ErasureProof:
    """Fit fresh probes and judge them."""
    scores = []
    for side in ("before", "after"):
        own, other = getattr(fitted, side), getattr(held, side)
        probe = LinearProbe.fit(own, fitted.labels, classes)
        scores += [_score(probe, own, fitted, seed), _score(probe, other, held, seed)]
    before, held_before, after, held_after = scores
    spread = (fitted.before.double() - fitted.before.double().mean(0)).square().sum()
    change = (fitted.after.double() - fitted.before.double()).square().sum()
    return ErasureProof(
        before, after, held_before, held_after,
        _refitted(held.before, held, classes, seed), _refitted(held.after, held, classes, seed),
        float(change / spread),
    )  # fmt: skip


def _score(probe: LinearProbe, x: Tensor, of: Sample, seed: int) -> ProbeScore:
    right = (probe.predict(x) == of.labels).double().tolist()
    return _scored(right, probe.loss_nats(x, of.labels), of, seed)


def _scored(right: list[float], loss: float, of: Sample, seed: int) -> ProbeScore:
    groups = of.groups if len(set(of.groups)) > 1 else None
    return ProbeScore(
        sum(right) / len(right),
        bootstrap_mean_interval(right, seed=seed, clusters=groups),
        majority_share(of.labels),
        loss,
        entropy_nats(of.labels),
        len(right),
    )


def _refitted(x: Tensor, of: Sample, classes: int, seed: int) -> ProbeScore | None:
    """Two halves of the held-out data, each judged by a probe that was fitted on the other."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)))
    halves = (order[::2], order[1::2])
    if any(len(set(of.labels[half].tolist())) < 2 for half in halves):
        return None
    right, loss = torch.zeros(len(x), dtype=torch.float64), 0.0
    for own, other in (halves, halves[::-1]):
        probe = LinearProbe.fit(x[own], of.labels[own], classes)
        right[other] = (probe.predict(x[other]) == of.labels[other]).double()
        loss += probe.loss_nats(x[other], of.labels[other]) * len(other) / len(x)
    return _scored(right.tolist(), loss, of, seed)


def halves_of(
    labels: Tensor, groups: Sequence[str], share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Examples to fit on and to hold out: whole groups where there are several, else examples.

    Raises:
        OptionError: a part would have one class only.
    """
    rng = np.random.default_rng(seed)
    names = sorted(set(groups))
    if len(names) > 1:
        count = min(len(names) - 1, max(1, round(share * len(names))))
        chosen = set(rng.permutation(names)[:count].tolist())
        away = [at for at, group in enumerate(groups) if group in chosen]
    else:
        away = sorted(rng.permutation(len(labels))[: round(share * len(labels))].tolist())
    rest = sorted(set(range(len(labels))) - set(away))
    for part, name in ((rest, "fitted on"), (away, "held out")):
        if len(set(labels[part].tolist())) < 2:
            raise OptionError(
                f"the examples that are {name} have one class only",
                mend="give groups that hold both classes, or another seed",
            )
    return rest, away
