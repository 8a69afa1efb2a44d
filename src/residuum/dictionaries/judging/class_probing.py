"""Can a few latents tell what a token is? ``rz.sparse_probing(...)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from residuum.core import OptionError
from residuum.dictionaries.judging.class_probing_result import ProbeRow, SparseProbing
from residuum.dictionaries.judging.document_sums import DocumentSums, Totals, ratio
from residuum.dictionaries.judging.ground_truth_result import Measured
from residuum.dictionaries.judging.judged_rows import JudgedRows, need_judgeable, through
from residuum.dictionaries.judging.labelled_tokens import LabelledTokens, labelled_tokens
from residuum.dictionaries.judging.small_probes import fit_probe, separation
from residuum.runs import Model, need_model
from residuum.runs.arguments import shown, whole_number


@torch.no_grad()
def sparse_probing(
    dictionary: Any,
    model: Model,
    text: Any,
    classes: Mapping[str, Sequence[str]],
    *,
    k: Sequence[int] = (1, 5),
    tokens: int | None = None,
    per_word: int = 100,
    level: float = 0.95,
    seed: int = 0,
) -> SparseProbing:
    """Tell the tokens of each class from all others by the k latents that separate them most.

    Latents are chosen and a logistic probe is fitted on half of the documents; the other half is
    judged by balanced accuracy (0.5 is chance). The same is done with random directions, as many
    as there are latents and each cut so that it is active as often as its latent; with all numbers
    of the vector (a dense probe); and on a control task, for which the words are dealt out among
    the classes at random.

    Args:
        dictionary: of this model.
        model, text: as of :func:`evaluate_dictionary`.
        classes: name -> words, each one token of the model.
        k: numbers of latents.
        tokens: of text, at most.
        per_word: tokens of each word, at most.
        level: of the intervals.
        seed: of split, draws, directions and intervals.

    Returns:
        Accuracy for each class, k and basis, with its interval over documents, and the control's.

    Raises:
        OptionError: classes or k out of range.
        TokenError: a word that is not one token; too few tokens of a class.
        LoadError, AddressError: as of :func:`evaluate_dictionary`.

    Shows: as of :class:`SparseProbing`. Does not show: as there.
    Source: Gurnee et al. 2023, "Finding Neurons in a Haystack"; control task of Hewitt and Liang
    2019. Latents are ranked by the difference of means over the spread, each by itself.

    >>> import torch, residuum as rz
    >>> from itertools import islice
    >>> from residuum.dictionaries import Dictionary, ReLU, sparse_probing
    >>> model, at = rz.load("microworld", check=False), ("embed",)
    >>> eye = torch.eye(128)
    >>> basis = Dictionary(at, at, W_enc=eye[None], W_dec=eye[:, None], b_enc=torch.zeros(128),
    ...                    b_dec=torch.zeros(1, 128), activation=ReLU())
    >>> text = list(islice(rz.worlds.microworld_text(0), 400))
    >>> classes = {"names": ["Mary", "John", "Tom", "Anna", "Peter", "Lucy", "Mark", "Emma"]}
    >>> found = sparse_probing(basis, model, text, classes)
    >>> found.rows[-1].basis, found.rows[-1].accuracy.value > 0.9
    ('all numbers', True)
    """
    need_model(model, "sparse_probing")
    need_judgeable(model, dictionary)
    whole_number(seed, "seed", 0)
    whole_number(per_word, "per_word", 1)
    if not isinstance(k, (list, tuple)) or not k:
        raise OptionError(f"k={shown(k)} is no list of numbers", mend="give such as k=(1, 5)")
    for each in k:
        if whole_number(each, "k", 1) > dictionary.n_latents:
            raise OptionError(
                f"k={each} is more than the {dictionary.n_latents} latents", mend="give fewer"
            )
    rows = JudgedRows.of(model, dictionary, text, tokens)
    data = labelled_tokens(
        model, rows, dictionary.reads, classes, per_word=per_word, seed=seed
    )  # fmt: skip
    provenance = model.provenance(strategy=f"sparse_probing(k={tuple(k)})", seed=seed)
    return SparseProbing(probe_rows(dictionary, data, tuple(k), level, seed), level, provenance)


def probe_rows(
    dictionary: Any, data: LabelledTokens, k: tuple[int, ...], level: float, seed: int
) -> tuple[ProbeRow, ...]:
    """The figures, from labelled tokens."""
    latents = through(dictionary, data.values, "encode").double().numpy()
    x = data.values.flatten(1).double().numpy()
    bases = {"latents": latents, "random directions": like_active(x, latents, data.train, seed)}
    jobs = [(name, basis, each) for name, basis in bases.items() for each in k]
    jobs.append(("all numbers", x, x.shape[1]))
    control = data.with_classes_dealt_anew(seed)
    found = []
    for name, basis, each in jobs:
        real, dealt = (_accuracies(basis, task, each, seed) for task in (data, control))
        for index, class_name in enumerate((*data.names, "mean of the classes")):
            found.append(
                ProbeRow(class_name, name, each, _ends(real[index], level),
                         _ends(dealt[index], level), _ends(real[index] - dealt[index], level))
            )  # fmt: skip
    return tuple(found)


def like_active(x: np.ndarray, latents: np.ndarray, train: np.ndarray, seed: int) -> np.ndarray:
    """Random directions, cut so that each is active as often as its latent, ``[token latent]``."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((x.shape[1], latents.shape[1]))
    along = (x - x[train].mean(0)) @ (directions / np.linalg.norm(directions, axis=0))
    silent = 1 - (latents[train] != 0).mean(0)
    order = np.sort(along[train], axis=0)
    place = np.minimum((silent * len(order)).astype(int), len(order) - 1)
    bars = np.where(silent >= 1, np.inf, order[place, np.arange(len(place))])
    return np.maximum(along - bars, 0.0)


def _accuracies(basis: np.ndarray, task: LabelledTokens, k: int, seed: int) -> list[np.ndarray]:
    """For each class, and for their mean, balanced accuracy on the text and in each drawing."""
    labels, train = task.labels, task.train
    found = []
    for number in range(len(task.names)):
        truth = labels == number
        chosen = np.argsort(-separation(basis[train], truth[train]), kind="stable")[:k]
        direction, offset = fit_probe(basis[train][:, chosen], truth[train])
        said = basis[:, chosen] @ direction + offset > 0
        found.append(_balanced(said[~train], truth[~train], task.documents[~train], seed))
    return [*found, np.mean(found, axis=0)]


def _balanced(said: np.ndarray, truth: np.ndarray, documents: np.ndarray, seed: int) -> np.ndarray:
    used, numbers = np.unique(documents, return_inverse=True)
    sums = DocumentSums(len(used))
    terms = {"yes": truth, "no": ~truth, "hit": said & truth, "pass": ~said & ~truth}
    sums.add(
        torch.from_numpy(numbers), **{name: torch.from_numpy(each) for name, each in terms.items()}
    )
    totals: Totals = sums.totals(seed)
    return (ratio(totals["hit"], totals["yes"]) + ratio(totals["pass"], totals["no"])) / 2


def _ends(drawn: np.ndarray, level: float) -> Measured:
    low, high = np.nanquantile(drawn[1:], [(1 - level) / 2, (1 + level) / 2])
    return Measured(float(drawn[0]), float(low), float(high))
