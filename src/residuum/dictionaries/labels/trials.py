"""What a latent's label is made from, and the questions on which it is judged.

Documents are split once, for all latents: what a label is made from and what it is judged on never
share a document, nor does any label's making share one with another's judging.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from residuum.core import OptionError
from residuum.dictionaries.labels.latent_examples import LatentExamples
from residuum.runs.arguments import whole_number

LEAST = 5
"""Questions of each answer below which a label is not scored."""


@dataclass(frozen=True)
class TrialSizes:
    """How much a label is made from and judged on.

    Attributes:
        shown: contexts in which the latent is active, half the strongest, half of all strengths.
        shown_inactive: contexts in which it is not.
        judged: questions of each kind (active and inactive; rightly and wrongly marked).
        counted: contexts of each kind that statistics may be taken over.

    Raises:
        OptionError: out of range.
    """

    shown: int = 16
    shown_inactive: int = 4
    judged: int = 20
    counted: int = 400

    def __post_init__(self) -> None:
        for name, least in (("shown", 2), ("shown_inactive", 0), ("judged", LEAST), ("counted", 2)):
            whole_number(getattr(self, name), name, least)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Questions:
    """Contexts, perhaps with marks, and the right answers.

    Attributes:
        contexts: ``[question]``.
        truth: ``[question]`` bool: the latent is active in it; the marks are right.
        marks: for each question positions of the marked tokens; empty for detection.
    """

    contexts: np.ndarray
    truth: np.ndarray
    marks: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.contexts)


@dataclass(frozen=True, eq=False)
class Trial:
    """One latent's share of the examples.

    Attributes:
        latent: its number.
        shown, shown_inactive: contexts a label may be made from by reading.
        counted, counted_inactive: contexts a label may be made from by counting.
        detection: is the latent active in this context?
        fuzzing: are the marked tokens those at which it is active?
        lacks: why it cannot be judged; empty if it can.
    """

    latent: int
    shown: np.ndarray
    shown_inactive: np.ndarray
    counted: np.ndarray
    counted_inactive: np.ndarray
    detection: Questions
    fuzzing: Questions
    lacks: str = ""


def for_labels(documents: np.ndarray, seed: int) -> np.ndarray:
    """``[context]`` bool: the documents that labels are made from; the others judge them."""
    found, which = np.unique(documents, return_inverse=True)
    order = np.random.default_rng([seed, 0]).permutation(len(found))
    return (order < (len(found) + 1) // 2)[which]


def trials(examples: LatentExamples, sizes: TrialSizes, seed: int) -> tuple[Trial, ...]:
    """A trial for each latent of the examples.

    Raises:
        OptionError: the examples are of fewer than two documents.
    """
    if len(np.unique(examples.documents)) < 2:
        raise OptionError(
            "the examples are of one document, and labels are judged on other documents",
            mend="give more text: a document a text",
        )
    making = for_labels(examples.documents, seed)
    return tuple(_trial(examples, latent, making, sizes, seed) for latent in examples.latents)


def _trial(
    examples: LatentExamples, latent: int, making: np.ndarray, sizes: TrialSizes, seed: int
) -> Trial:
    rng = np.random.default_rng([seed, 1, latent])
    strength = examples.strengths(latent)
    active, inactive = strength > 0, strength == 0
    ranked = np.flatnonzero(active & making)
    ranked = ranked[np.argsort(-strength[ranked], kind="stable")]
    shown = _halves(ranked, sizes.shown)
    none = rng.permutation(np.flatnonzero(inactive & making))
    counted = np.sort(rng.permutation(ranked)[: sizes.counted])
    judges = _one_each(rng.permutation(np.flatnonzero(active & ~making)), examples.documents)
    judges = judges[np.argsort(-strength[judges], kind="stable")]
    quiet = _one_each(rng.permutation(np.flatnonzero(inactive & ~making)), examples.documents)
    detection = _detection(judges, quiet, sizes.judged, rng)
    fuzzing = _fuzzing(examples, latent, judges, sizes.judged, rng)
    return Trial(
        latent, shown, none[: sizes.shown_inactive], counted, np.sort(none[: sizes.counted]),
        detection, fuzzing, _lacks(len(ranked), detection),
    )  # fmt: skip


def _halves(ranked: np.ndarray, n: int) -> np.ndarray:
    """The strongest, and as many evenly over the rest."""
    top, rest = ranked[: n // 2], ranked[n // 2 :]
    return np.concatenate([top, evenly(rest, n - len(top))])


def evenly(values: np.ndarray, n: int) -> np.ndarray:
    """So many of the values at even steps, in order; all if there are no more.

    >>> evenly(np.arange(10), 3).tolist()
    [1, 5, 8]
    """
    if n >= len(values):
        return values
    return values[((np.arange(n) + 0.5) * len(values) / max(n, 1)).astype(int)]


def _one_each(contexts: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """The first context of each document, so that questions are independent."""
    first = np.unique(documents[contexts], return_index=True)[1]
    return contexts[np.sort(first)]


def _detection(
    active: np.ndarray, inactive: np.ndarray, n: int, rng: np.random.Generator
) -> Questions:
    n = min(n, len(active), len(inactive))
    contexts = np.concatenate([evenly(active, n), inactive[:n]])
    order = rng.permutation(len(contexts))
    return Questions(contexts[order], np.repeat([True, False], n)[order])


def _fuzzing(
    examples: LatentExamples, latent: int, active: np.ndarray, n: int, rng: np.random.Generator
) -> Questions:
    """Half of the contexts with the tokens at which it is active, half with as many others."""
    values = examples.activations(latent, active)
    free = (values == 0) & (examples.ids[active] >= 0)
    usable = np.flatnonzero(free.any(1))
    n = min(n, len(usable) // 2)
    some = rng.permutation(evenly(usable, 2 * n))
    truth = np.arange(2 * n) < n
    marks = []
    for right, at in zip(truth, some, strict=True):
        own, others = np.flatnonzero(values[at] > 0), np.flatnonzero(free[at])
        wrong = rng.permutation(others)[: len(own)]
        marks.append(tuple(sorted((own if right else wrong).tolist())))
    order = rng.permutation(2 * n)
    return Questions(active[some][order], truth[order], tuple(marks[i] for i in order))


def _lacks(n_shown: int, detection: Questions) -> str:
    if n_shown < 2:
        return f"active in {n_shown} of the contexts that labels are made from"
    n = len(detection) // 2
    return f"{n} questions of each answer, {LEAST} are needed" if n < LEAST else ""
