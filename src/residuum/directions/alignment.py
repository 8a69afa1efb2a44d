"""Distributed alignment search: a subspace learned so that interchange in it carries the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from residuum.core import Address, OptionError, TaskError
from residuum.directions.alignment_report import Alignment
from residuum.directions.decodability import folds_of
from residuum.directions.harvesting import SiteValues
from residuum.directions.interchange import Training, as_preference, follows, learn
from residuum.directions.interventions import Pairs, read_pairs
from residuum.directions.methods.found_vectors import FoundVectors
from residuum.directions.random_directions import covariance_directions, levelled
from residuum.directions.said_pairs import said_pairs
from residuum.directions.splitting import by_template
from residuum.runs import (
    Model,
    Task,
    bootstrap_mean_interval,
    load,
    need_model,
    need_task,
    whole_number as number,
)

DRAWS = 20


@dataclass(frozen=True)
class AlignmentSearch:
    """Learn an orthonormal subspace under interchange interventions (DAS).

    Attributes:
        k: dimensions of the subspace.
        steps, rate, batch: of the training with Adam.

    Shows (with :func:`align`): that giving a prompt its partner's value in ``k`` dimensions makes
    it answer as the partner does. Does not show: that the model uses them; a search finds such
    subspaces in untrained models too, and may join a direction that only correlates with one that
    is never active (Makelov et al. 2023, "Is this the subspace you are looking for?"). So compare
    with the controls of :func:`align`, and prove the subspace: erasing has to tell as well.
    Source: Geiger et al. 2023, "Finding Alignments Between Interpretable Causal Variables and
    Distributed Neural Representations". Deviations: softplus of the difference of logits instead
    of cross-entropy; the pair's own partner is the source.
    """

    k: int = 1
    steps: int = 100
    rate: float = 0.02
    batch: int = 32

    def __post_init__(self) -> None:
        for name in ("k", "steps", "batch"):
            number(getattr(self, name), name, 1)
        if not isinstance(self.rate, (int, float)) or not 0 < self.rate < 1:
            raise OptionError(f"rate={self.rate!r}", mend="give a rate between 0 and 1, as 0.02")

    @property
    def needs_labels(self) -> bool:
        """It is fitted on contrast pairs."""
        return True

    @property
    def training(self) -> Training:
        """Its options, as the training takes them."""
        return Training(self.steps, self.rate, self.batch)

    def find(self, model: Model, at: Address, values: SiteValues, seed: int) -> FoundVectors:
        """See :class:`FindingMethod`; each side's answer is what the model says there.

        Raises:
            TaskError: examples without pairs, or pairs whose two sides the model answers alike.
            OptionError: more dimensions than the site has.
        """
        pairs = read_pairs(model, at, said_pairs(model, values.whole_pairs()))
        basis = learn(model, pairs, self._fitting(pairs), self.training, seed)
        clean, corrupt = (pairs.at_read @ basis.T).mean(dim=1)
        basis = basis * torch.where(clean < corrupt, -1.0, 1.0)[:, None]
        if self.k > 1:
            return FoundVectors(basis)
        middle = float((pairs.at_read @ basis[0]).mean())
        return FoundVectors(basis[0], middle)

    def _fitting(self, pairs: Pairs) -> int:
        if self.k > pairs.values.shape[-1]:
            raise OptionError(
                f"k={self.k} at a site of {pairs.values.shape[-1]} dimensions",
                mend="give fewer dimensions",
                where=str(pairs.at),
            )
        return self.k


def align(
    model: Model,
    task: Task,
    at: str | Address,
    *,
    method: AlignmentSearch | None = None,
    seed: int = 0,
) -> Alignment:
    """Learn a subspace on half of a task's templates, judge it on the others, with controls.

    Args:
        model: a loaded model.
        task: contrast pairs of two or more templates, with right and wrong answers.
        at: site; with a position the interchange is made there, without one at every token.
        method: dimensions and training; ``AlignmentSearch()`` by default.
        seed: of the split, the training and the controls.

    Returns:
        Interchange accuracy (share of prompts that prefer their partner's answer) on templates not
        trained on, beside: random subspaces of the same ``k``; the same search on the same model
        with random weights, judged on the same pairs; and interchange of the whole site.

    Raises:
        TaskError: one template, no wrong answers, or a prompt in templates of both halves.
        OptionError: more dimensions than the site has.
        AddressError: no such site or position.

    Shows, does not show: see :class:`AlignmentSearch`.
    Source: Geiger et al. 2023; the untrained model as a control: Wu et al. 2023, "Interpretability
    at Scale", appendix.
    """
    need_model(model, "align")
    need_task(task, "align")
    method = AlignmentSearch() if method is None else method
    at = Address.parse(at)
    fit, held = (as_preference(each) for each in template_halves(task, seed))
    _need_no_prompt_twice(fit, held)
    train, test = read_pairs(model, at, fit), read_pairs(model, at, held)
    k = method._fitting(train)
    basis = learn(model, train, k, method.training, seed)
    right = follows(model, test, basis)
    share = right.double().mean(dim=0)
    clusters = folds_of(held.templates, len(held))[1]
    others = [
        float(follows(model, test, each).double().mean())
        for each in covariance_directions(levelled(*train.at_read), DRAWS, k, seed)
    ]
    bare, bare_whole = _untrained(model, at, fit, held, method, seed)
    return Alignment(
        at=str(at),
        task=task.name,
        k=k,
        basis=basis,
        accuracy=float(share.mean()),
        interval=bootstrap_mean_interval(share.tolist(), clusters=clusters, seed=seed),
        train_accuracy=float(follows(model, train, basis).double().mean()),
        whole_site=_whole(model, test),
        random=float(np.mean(others)),
        random_high=float(np.quantile(others, 0.95)),
        untrained=bare,
        untrained_whole_site=bare_whole,
        trained_on=tuple(sorted(set(fit.templates))),
        judged_on=tuple(sorted(set(held.templates))),
        provenance=replace(
            model.provenance(seed=seed), task_hash=task.task_hash, strategy=f"align({method!r})"
        ),
    )


def template_halves(task: Task, seed: int = 0) -> tuple[Task, Task]:
    """The task's pairs in two parts that share no template.

    Raises:
        TaskError: fewer than two templates.
    """
    names = sorted(set(task.templates))
    if len(names) < 2:
        raise TaskError(
            f"{len(names)} templates cannot be split in two",
            mend="give templates= to the task: what is learned on one is judged on the other",
            where=task.name,
        )
    order = np.random.default_rng(seed).permutation(len(names))
    return by_template(task, [names[i] for i in order[(len(names) + 1) // 2 :]])


def _need_no_prompt_twice(fit: Task, held: Task) -> None:
    seen, judged = (
        {
            tuple(ids[:length])
            for side in (task.clean, task.corrupt)
            for ids, length in zip(side.tolist(), task.lengths.tolist(), strict=True)
        }
        for task in (fit, held)
    )
    if seen & judged:
        raise TaskError(
            f"{len(seen & judged)} prompts stand in templates of both halves, so what is learned "
            "on them would be judged on them",
            mend="give every prompt one template",
            where=fit.name,
        )


def _whole(model: Model, pairs: Pairs) -> float:
    """Interchange accuracy of the whole site: what no subspace of it can be expected to beat."""
    every = torch.eye(pairs.values.shape[-1]).to(pairs.values)
    return float(follows(model, pairs, every).double().mean())


def _untrained(
    model: Model, at: Address, fit: Task, held: Task, method: AlignmentSearch, seed: int
) -> tuple[float, float]:
    """Accuracy of the same search on the same architecture with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        bare = type(model.hf)(model.hf.config).to(model.device, model.dtype).eval()
    other = load(bare, check=False)
    train, test = (read_pairs(other, at, each) for each in (fit, held))
    basis = learn(other, train, method.k, method.training, seed)
    return float(follows(other, test, basis).double().mean()), _whole(other, test)
