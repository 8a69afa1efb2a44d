"""Can the label be read off a subspace: held-out accuracy beside the majority and a control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from residuum.directions.interventions import Pairs
from residuum.runs import bootstrap_mean_interval
from residuum.runs.clusters import cluster_numbers

CONTROLS = 20
_FEWEST_WORDS = 6
NO_INTERVAL = "; not decided: one template gives no interval, hold out two or more"


@dataclass(frozen=True)
class Decodability:
    """How well clean and corrupt prompts are told apart along a subspace.

    Attributes:
        accuracy: share told apart rightly, thresholds from other templates only.
        interval: its 95 % interval, clustered by template; NaN for a single template.
        majority: share of the larger class.
        control: mean accuracy of directions found for the control task.
        control_high: 95th percentile of those.
        control_by: what the control's labels are a random function of: the ``"word"`` that tells a
            prompt from its partner, or, where there are too few of them, each ``"prompt"``.
    """

    accuracy: float
    interval: tuple[float, float]
    majority: float
    control: float
    control_high: float
    control_by: str

    @property
    def selectivity(self) -> float:
        """Accuracy minus control accuracy."""
        return self.accuracy - self.control

    @property
    def holds(self) -> bool | None:
        """Whether accuracy is above the majority and above the control, its interval too.

        None where it is above both, but a single template gives no interval.
        """
        bar = max(self.majority, self.control)
        if not self.accuracy > max(bar, self.control_high):
            return False
        return None if np.isnan(self.interval[0]) else self.interval[0] > bar

    @property
    def rule(self) -> str:
        """The verdict with its numbers."""
        low, high = self.interval
        return (
            f"accuracy {self.accuracy:.3f} [{low:.3f}, {high:.3f}] "
            f"{'not above both' if self.holds is False else '>'} majority {self.majority:.3f} and "
            f"control {self.control_high:.3f} (95th percentile of {CONTROLS} random labellings of "
            f"each {self.control_by}; selectivity {self.selectivity:.3f})"
            + (NO_INTERVAL if self.holds is None else "")
        )


def decode(pairs: Pairs, basis: Float[Tensor, "k d"], seed: int = 0) -> Decodability:
    """Tell clean from corrupt prompts by the nearer class mean in a subspace.

    The class means come from the other templates (with one template: from the other half of the
    pairs), so that wording cannot leak. The control task draws a label for every word (the tokens
    in which a prompt differs from its partner) and finds a direction for it, as a difference of
    means, in the same folds: a site that tells words apart does well there too.

    Source: Hewitt & Liang 2019, "Designing and interpreting probes with control tasks". Deviations:
    the label belongs to the word that differs, not to the token that is read, which is often the
    same in every prompt; with fewer than six such words labels would be the task's own again and
    again, and belong to the prompt.
    """
    n = len(pairs)
    x = pairs.at_read.flatten(0, 1).double().cpu()
    labels = torch.arange(2 * n) < n
    folds, clusters = folds_of(pairs.task.templates, n)
    both = np.concatenate([folds, folds])
    right = _nearest(x @ basis.double().cpu().T, labels, both)
    accuracy = right.double().mean().item()
    interval = bootstrap_mean_interval(right.double().tolist(), clusters=clusters * 2, seed=seed)
    words, by = _words(pairs)
    control = _control(x, both, words, seed)
    high = float(np.quantile(control, 0.95))
    return Decodability(accuracy, interval, 0.5, float(np.mean(control)), high, by)


def _words(pairs: Pairs) -> tuple[Int[Tensor, " example"], str]:
    """Number of what tells each prompt from its partner, and what that is."""
    clean, corrupt = pairs.task.clean, pairs.task.corrupt
    differs = clean != corrupt
    words = [
        tuple(ids[row][differs[row]].tolist())
        for ids in (clean, corrupt)
        for row in range(len(ids))
    ]
    numbers = {word: at for at, word in enumerate(dict.fromkeys(words))}
    if len(numbers) < _FEWEST_WORDS:
        return torch.arange(len(words)), "prompt"
    return torch.tensor([numbers[word] for word in words]), "word"


def folds_of(templates: Sequence[str], n: int) -> tuple[np.ndarray, list[str]]:
    """Fold of each pair, and the label that intervals cluster by.

    >>> folds_of(["a", "b", "a"], 3)[0].tolist(), folds_of([], 3)[0].tolist()
    ([0, 1, 0], [0, 1, 0])
    """
    labels = list(templates) if len(templates) == n else [""] * n
    numbers = cluster_numbers(labels, n)
    return (numbers if numbers.max() > 0 else np.arange(n) % 2), labels


def _nearest(
    x: Float[Tensor, "example k"], labels: Bool[Tensor, " example"], folds: np.ndarray
) -> Bool[Tensor, " example"]:
    """Whether each example lies nearer to its own class's mean over the other folds."""
    right = torch.zeros(len(x), dtype=torch.bool)
    for fold in np.unique(folds):
        inside = torch.from_numpy(folds == fold)
        ones, zeros = x[~inside & labels], x[~inside & ~labels]
        if not len(ones) or not len(zeros):
            continue
        nearer = _distance(x, ones.mean(dim=0)) < _distance(x, zeros.mean(dim=0))
        right |= inside & (nearer == labels)
    return right


def _distance(x: Tensor, centre: Tensor) -> Tensor:
    return (x - centre).square().sum(dim=1)


def _control(
    x: Float[Tensor, "example d"], folds: np.ndarray, words: Int[Tensor, " example"], seed: int
) -> list[float]:
    """Held-out accuracies of directions found on random labels of the words."""
    found = []
    for draw in range(CONTROLS):
        generator = torch.Generator().manual_seed(seed * CONTROLS + draw)
        labels = (torch.rand(int(words.max()) + 1, generator=generator) < 0.5)[words]
        right = torch.zeros(len(x), dtype=torch.bool)
        for fold in np.unique(folds):
            inside = torch.from_numpy(folds == fold)
            ones, zeros = x[~inside & labels], x[~inside & ~labels]
            if len(ones) and len(zeros):
                along = x @ (ones.mean(dim=0) - zeros.mean(dim=0))
                middle = (along[~inside & labels].mean() + along[~inside & ~labels].mean()) / 2
                right |= inside & ((along > middle) == labels)
        found.append(right.double().mean().item())
    return found
