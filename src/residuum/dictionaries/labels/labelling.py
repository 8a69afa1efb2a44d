"""What are latents active at? ``rz.label_features(dictionary, model, text)``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from residuum.core import SILENT, OptionError, Progress
from residuum.dictionaries.labels.calls import Stopped
from residuum.dictionaries.labels.cost import Estimate
from residuum.dictionaries.labels.endpoint import Endpoint
from residuum.dictionaries.labels.from_reading import examples_of
from residuum.dictionaries.labels.label import Label
from residuum.dictionaries.labels.labellers import (
    ByEndpoint,
    ByStatistics,
    Explanation,
    Labeller,
    estimate,
    recorded,
)
from residuum.dictionaries.labels.labels import Labels
from residuum.dictionaries.labels.score import Score, balanced_accuracy
from residuum.dictionaries.labels.token_statistics import TokenStatistics
from residuum.dictionaries.labels.trials import Questions, Trial, TrialSizes, trials
from residuum.runs import Model
from residuum.runs.arguments import need_progress, shown, whole_number, yes_or_no

T = TypeVar("T")
R = TypeVar("R")
Confirm = bool | Callable[[Estimate], bool] | None


def label_features(
    source: Any,
    model: Model | None = None,
    text: Any = None,
    *,
    by: TokenStatistics | Endpoint | None = None,
    latents: Iterable[int] | None = None,
    sizes: TrialSizes | None = None,
    control: bool = True,
    confirm: Confirm = None,
    max_cost: float | None = None,
    keep: str | Path | None = None,
    level: float = 0.95,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Labels:
    """Label latents, and judge each label on documents that no label was made from.

    Detection asks of contexts, half of which are active, whether the latent is active somewhere
    in them; fuzzing, of contexts in which it is, whether the marked tokens are those at which it
    is. Whoever answers knows the label and the context, nothing else.

    Args:
        source: a dictionary (or a basis such as ``Neurons(model, site)``) with ``model`` and
            ``text``; a :class:`LatentExamples`; a :class:`FeatureReading`, whose examples alone
            are used (see its adapter for what it does not know).
        text: as :func:`harvest` takes it; not the text the dictionary was trained on.
        by: ``TokenStatistics()`` (if left out) or ``Endpoint(base_url, model)``.
        latents: which; None takes all that are active on the text.
        sizes: how many examples are shown, and questions asked.
        control: ask the same questions with another latent's label, drawn by ``seed``.
        confirm: an endpoint costs: True begins; a function is given the :class:`Estimate` and
            says whether to begin. Without either, and without ``max_cost``, the estimate is shown
            as an error and nothing is asked.
        max_cost: in the endpoint's price's currency: no call is made that may lead beyond it,
            answers in ``keep`` counted.
        keep: file that every answer is added to; the same call then goes on where it stopped.
        level: of the intervals.
        seed: of split, questions and control.

    Raises:
        OptionError: options that do not go together; a cost that was not agreed to; no key; no
            client library.
        LoadError: the endpoint refuses, or gives no answer after all retries.
        StoreError: ``keep`` is another file, damaged, or in use.

    Shows: as of :class:`Labels`. Does not show: as there.
    Source: Bills et al. 2023, "Language models can explain neurons in language models"; detection
    and fuzzing from Paulo et al. 2024, "Automatically Interpreting Millions of Features in Large
    Language Models". Deviations: documents are split, and accuracy is balanced.

    >>> import residuum as rz
    >>> from residuum.dictionaries.labels import label_features
    >>> from residuum.dictionaries.reading import Neurons
    >>> from residuum.worlds import microworld_text
    >>> from itertools import islice
    >>> model = rz.load("microworld", check=False)
    >>> texts = list(islice(microworld_text(seed=0), 300))
    >>> labels = label_features(Neurons(model, "L0.mlp_act"), model, texts, latents=[3, 5])
    >>> labels.latents
    (3, 5)
    """
    strategy = TokenStatistics() if by is None else by
    _need_options(strategy, confirm, max_cost, keep, control, level)
    whole_number(seed, "seed", 0)
    need_progress(progress)
    if sizes is not None and not isinstance(sizes, TrialSizes):
        raise OptionError(f"sizes={shown(sizes)}", mend="give TrialSizes(...), or leave it out")
    sizes = sizes or TrialSizes()
    examples = examples_of(source, model, text, latents, progress)
    all_trials = trials(examples, sizes, seed)
    usable = [each for each in all_trials if not each.lacks]
    with_control = control and len(usable) > 1
    if isinstance(strategy, Endpoint):
        _agree(estimate(strategy, examples, usable, with_control), confirm, max_cost)
        labeller: Labeller = ByEndpoint(strategy, examples, keep, max_cost)
    else:
        labeller = ByStatistics(strategy, examples)
    work = _Labelling(labeller, strategy, level, progress)
    try:
        found = work.labels(usable, with_control, seed)
        cost = labeller.cost
    finally:
        labeller.close()
    name = _name(strategy)
    labels = {each.latent: found.get(each.latent) or Label(each.latent, "", name, lacks=each.lacks)
              for each in all_trials}  # fmt: skip
    record = {
        "strategy": recorded(strategy), "sizes": sizes.to_json(), "control": with_control,
        "examples": dict(examples.record), "examples_hash": examples.hash, "exact": examples.exact,
    }  # fmt: skip
    provenance = replace(examples.provenance, strategy=f"label_features by {name}", seed=seed)
    return Labels(
        labels, record, provenance, None if cost is None else cost.to_json(), labeller.unread,
        level, noun=examples.noun,
    )  # fmt: skip


class _Labelling:
    """Labels made, then judged, several at a time."""

    def __init__(self, labeller: Labeller, strategy: Any, level: float, progress: Progress) -> None:
        self.labeller, self.name = labeller, _name(strategy)
        self.level, self.progress = level, progress

    def labels(self, some: Sequence[Trial], control: bool, seed: int) -> dict[int, Label]:
        """By latent."""
        made = self._all("labels", self.labeller.explain, some)
        named = [(trial, own) for trial, own in zip(some, made, strict=True) if own.text]
        others = _others([own.text for _, own in named], seed) if control else []
        jobs = [(*each, named[others[i]] if others else None) for i, each in enumerate(named)]
        judged = self._all("scores", self._judged, jobs)
        found = {each.latent: each for each in judged}
        lost = "the reply held no label that could be read"
        return {each.latent: found.get(each.latent) or Label(each.latent, "", self.name, lacks=lost)
                for each in some}  # fmt: skip

    def _judged(self, job: tuple[Trial, Explanation, tuple[Trial, Explanation] | None]) -> Label:
        trial, own, other = job
        label = Label(
            trial.latent, own.text, self.name, self._score(own, trial.detection),
            self._score(own, trial.fuzzing), rule=own.rule,
        )  # fmt: skip
        if other is None:
            return label
        return replace(
            label,
            detection_control=self._score(other[1], trial.detection),
            fuzzing_control=self._score(other[1], trial.fuzzing),
            control_of=other[0].latent,
        )

    def _score(self, explanation: Explanation, questions: Questions) -> Score | None:
        if not len(questions):
            return None
        answers = self.labeller.answer(explanation, questions)
        return balanced_accuracy(questions.truth, answers, self.level)

    def _all(self, stage: str, one: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Each item's result, in order; the first error stops the others and is raised."""
        self.progress.start(stage, len(items))
        try:
            if self.labeller.concurrency == 1:
                return [self._told(one(each)) for each in items]
            with ThreadPoolExecutor(self.labeller.concurrency) as pool:
                return self._gathered(pool, one, items)
        finally:
            self.progress.finish()

    def _gathered(
        self, pool: ThreadPoolExecutor, one: Callable[[T], R], items: Sequence[T]
    ) -> list[R]:
        futures = [pool.submit(one, each) for each in items]
        try:
            for each in as_completed(futures):
                self._told(each.result())
        except BaseException as error:
            self.labeller.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise _first_of(error, futures) from None
        return [each.result() for each in futures]

    def _told(self, result: R) -> R:
        self.progress.advance()
        return result


def _first_of(error: BaseException, futures: Sequence[Any]) -> BaseException:
    """The error that made the others stop."""
    if not isinstance(error, Stopped):
        return error
    failed = [each.exception() for each in futures if each.done() and not each.cancelled()]
    return next((e for e in failed if e is not None and not isinstance(e, Stopped)), error)


def _others(texts: list[str], seed: int) -> list[int]:
    """For each label the index of another one: a shuffle without fixed points, with as few labels
    of the same words as a few tries give."""
    n = len(texts)
    if n < 2:
        return []
    rng = np.random.default_rng([seed, 2])
    best, fewest = [], math.inf
    for _ in range(20):
        order = rng.permutation(n)
        other = np.empty(n, int)
        other[order] = np.roll(order, 1)
        same = sum(texts[i] == texts[j] for i, j in enumerate(other))
        if same < fewest:
            best, fewest = other.tolist(), same
    return best


def _agree(cost: Estimate, confirm: Confirm, max_cost: float | None) -> None:
    """Refuse to begin unless the cost was agreed to.

    Raises:
        OptionError: it was not.
    """
    about = cost.about.money
    if max_cost is not None and about is not None and about > max_cost:
        raise OptionError(
            f"labelling takes {cost}, beyond max_cost={max_cost:g}",
            mend="give a larger max_cost, fewer latents, or smaller sizes=TrialSizes(...)",
        )
    if callable(confirm):
        if not confirm(cost):
            raise OptionError(f"not begun: {cost} was not agreed to", mend="agree, or ask for less")
    elif confirm is not True and max_cost is None:
        raise OptionError(
            f"labelling takes {cost}",
            mend="agree with confirm=True, or set max_cost= with a price on the endpoint",
        )


def _need_options(
    by: Any, confirm: Any, max_cost: Any, keep: Any, control: Any, level: Any
) -> None:
    if not isinstance(by, (TokenStatistics, Endpoint)):
        raise OptionError(
            f"by={shown(by)} is no way to label", mend="give TokenStatistics() or Endpoint(...)"
        )
    yes_or_no(control, "control")
    if not isinstance(level, float) or not 0 < level < 1:
        raise OptionError(
            f"level={shown(level)}", mend="give a level between 0 and 1, such as 0.95"
        )
    if not isinstance(by, Endpoint):
        if confirm is not None or max_cost is not None or keep is not None:
            raise OptionError(
                "confirm, max_cost and keep are of an endpoint, and there is none",
                mend="leave them out, or give by=Endpoint(...)",
            )
        return
    if confirm is not None and not isinstance(confirm, bool) and not callable(confirm):
        raise OptionError(f"confirm={shown(confirm)}", mend="give True, or a function of the cost")
    if max_cost is None:
        return
    number = isinstance(max_cost, (int, float)) and not isinstance(max_cost, bool)
    if not number or not 0 <= max_cost < math.inf:
        raise OptionError(f"max_cost={shown(max_cost)}", mend="give an amount of money")
    if by.price is None:
        raise OptionError(
            "max_cost needs to know what a token costs",
            mend="give the endpoint its price: price=Price(input=..., output=...)",
        )


def _name(strategy: TokenStatistics | Endpoint) -> str:
    return strategy.model if isinstance(strategy, Endpoint) else "TokenStatistics"
