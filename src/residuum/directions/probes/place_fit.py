"""One place: a calibrated probe, and the same method on labels without meaning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from residuum.directions.activations import Activations
from residuum.directions.probes.calibration import fitted_temperature, loss_bits
from residuum.directions.probes.method import Moments, ProbeMethod
from residuum.directions.probes.relabelled import relabelled
from residuum.directions.probes.scores import ProbeScore, accuracy, logits_of, test_numbers
from residuum.directions.probes.weights import ProbeWeights
from residuum.directions.site_values import SiteValues


@dataclass(frozen=True, eq=False)
class PlaceFit:
    """What is the same at every place that is probed.

    Attributes:
        found: the activations.
        rows: which of them are train, validation and test.
        method: how probes are fitted.
        control, shuffled: labels without meaning, ``[n]``; None where there is no control task.
        clusters: template of each test example; None without.
        seed: of the intervals.
    """

    found: Activations
    rows: tuple[Tensor, Tensor, Tensor]
    method: ProbeMethod
    control: Tensor | None
    shuffled: Tensor
    clusters: Sequence[str] | None
    seed: int

    def at(self, cell: int) -> tuple[ProbeWeights, ProbeScore] | None:
        """The probe and its score; None where every training example holds the same."""
        train, validation, test = (self.found.cell(cell, side) for side in self.rows)
        moments = train.moments()
        if train.constant(moments):
            return None
        fitted, bits = calibrated(self.method, train, validation, moments)
        control, mixed = self._without_meaning(train, test, moments)
        place = self.found.cells[cell]
        layer = place.at.layer
        numbers = test_numbers(logits_of(fitted, test), test.labels, self.clusters, self.seed)
        score = ProbeScore(
            at=str(place.at),
            layer=layer if isinstance(layer, int) else None,
            position=place.read_at,
            train=accuracy(fitted, train),
            validation=accuracy(fitted, validation),
            **numbers,
            validation_bits=bits,
            temperature=fitted.temperature,
            control=control,
            shuffled=mixed,
        )
        return fitted, score

    def _without_meaning(
        self, train: SiteValues, test: SiteValues, moments: Moments
    ) -> tuple[float, float]:
        """Test accuracy on the control task (NaN without one) and on shuffled labels."""
        given = [each for each in (self.control, self.shuffled) if each is not None]
        shared = relabelled(train, moments, [labels[train.rows] for labels in given])
        found = []
        for labels, alike in zip(given, shared, strict=True):
            fit, held = (replace(each, labels=labels[each.rows]) for each in (train, test))
            found.append(accuracy(self.method.fit(fit, alike), held))
        return (math.nan if self.control is None else found[0]), found[-1]


def calibrated(
    method: ProbeMethod, train: SiteValues, validation: SiteValues, moments: Moments
) -> tuple[ProbeWeights, float]:
    """A probe with its temperature, and its cross-entropy on validation in bits."""
    fitted = method.fit(train, moments)
    raw = logits_of(fitted, validation)
    temperature = fitted_temperature(raw, validation.labels)
    return fitted.at_temperature(temperature), loss_bits(raw / temperature, validation.labels)
