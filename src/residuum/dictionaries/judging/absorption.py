"""Does a class latent miss the words that have latents of their own? Feature absorption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from residuum.core import OptionError
from residuum.dictionaries.judging.absorption_result import Absorption, ClassAbsorption
from residuum.dictionaries.judging.document_sums import DocumentSums, measured, ratio
from residuum.dictionaries.judging.ground_truth_result import Measured
from residuum.dictionaries.judging.judged_rows import JudgedRows, need_judgeable, through
from residuum.dictionaries.judging.labelled_tokens import LabelledTokens, labelled_tokens
from residuum.dictionaries.judging.small_probes import f1, fit_probe, separation
from residuum.runs import Model, need_model
from residuum.runs.arguments import whole_number

SPLIT_GAIN = 0.03
"""A further latent counts as a main one where it raises the probe's F1 by more than this."""
LEAST_COSINE = 0.025
"""Of an absorbing latent's decoder row with the probe's direction."""
LEAST_SHARE = 0.5
"""Of what all latents add along the probe's direction: the absorbing one's."""
_MOST_MAIN = 10


@torch.no_grad()
def feature_absorption(
    dictionary: Any,
    model: Model,
    text: Any,
    classes: Mapping[str, Sequence[str]],
    *,
    tokens: int | None = None,
    per_word: int = 100,
    level: float = 0.95,
    seed: int = 0,
) -> Absorption:
    """Find tokens of a class on which its latents are silent because another latent holds it.

    On one half of the documents a dense probe of the class is fitted, and the class's *main*
    latents are chosen: those that separate it most, as long as each raises the F1 of a probe on
    them by more than 0.03. On the other half, a token that the dense probe gets right is *missed*
    if no main latent is active. A missed token is *absorbed* if the latent that adds most along
    the probe's direction has a decoder row with a cosine of 0.025 or more with it, and adds at
    least half of what all latents add there.

    Args:
        dictionary: an SAE of this model.
        model, text: as of :func:`evaluate_dictionary`.
        classes: name -> words, each one token of the model.
        tokens: of text, at most.
        per_word: tokens of each word, at most.
        level: of the intervals.
        seed: of split, draws and intervals.

    Returns:
        For each class the shares of missed and of absorbed tokens, with intervals over documents,
        and the words absorbed; beside them the same for the words dealt out among the classes at
        random (classes that no latent can stand for).

    Raises:
        OptionError: not an SAE; classes out of range.
        TokenError: a word that is not one token; too few tokens of a class.
        LoadError, AddressError: as of :func:`evaluate_dictionary`.

    Shows: as of :class:`Absorption`. Does not show: as there.
    Source: Chanin et al. 2024, "A is for Absorption", with their 0.03 and 0.025. They rank latents
    by their effect on a spelling answer; here it is by what they add along the probe's direction,
    so that any class and model can be judged, and their margin over the second latent is replaced
    by the share of one half.

    >>> import torch, residuum as rz
    >>> from itertools import islice
    >>> from residuum.dictionaries import Dictionary, ReLU, feature_absorption
    >>> model, at = rz.load("microworld", check=False), ("embed",)
    >>> eye = torch.eye(128)
    >>> basis = Dictionary(at, at, W_enc=eye[None], W_dec=eye[:, None], b_enc=torch.zeros(128),
    ...                    b_dec=torch.zeros(1, 128), activation=ReLU())
    >>> text = list(islice(rz.worlds.microworld_text(0), 400))
    >>> classes = {"names": ["Mary", "John", "Tom", "Anna", "Peter", "Lucy", "Mark", "Emma"]}
    >>> found = feature_absorption(basis, model, text, classes)
    >>> found.classes[0].n_tokens > 20
    True
    """
    need_model(model, "feature_absorption")
    need_judgeable(model, dictionary)
    if tuple(dictionary.reads) != tuple(dictionary.writes) or len(dictionary.reads) != 1:
        raise OptionError(
            "absorption is measured where a dictionary writes what it reads",
            mend="give an SAE of one site",
        )
    whole_number(seed, "seed", 0)
    whole_number(per_word, "per_word", 1)
    rows = JudgedRows.of(model, dictionary, text, tokens)
    data = labelled_tokens(
        model, rows, dictionary.reads, classes, per_word=per_word, seed=seed
    )  # fmt: skip
    names = {word: model.to_string(torch.tensor([word])).strip() for word in data.class_of_word}
    provenance = model.provenance(strategy="feature_absorption", seed=seed)
    found = absorbed_in(dictionary, data, names, level, seed)
    return Absorption(found, level, provenance)


def absorbed_in(
    dictionary: Any, data: LabelledTokens, words: Mapping[int, str], level: float, seed: int
) -> tuple[ClassAbsorption, ...]:
    """The figures, from labelled tokens; the last row is over all classes."""
    latents = through(dictionary, data.values, "encode").double().numpy()
    x = data.values.flatten(1).double().numpy()
    rows = (dictionary.W_dec.double().cpu().flatten(1) / dictionary.scale).numpy()
    control = data.with_classes_dealt_anew(seed)
    tables = {"real": DocumentSums(int(data.documents.max()) + 1), "dealt": DocumentSums(
        int(data.documents.max()) + 1)}  # fmt: skip
    found, facts = [], []
    for number, name in enumerate(data.names):
        for task, sums in zip((data, control), tables.values(), strict=True):
            main, right, missed, absorbed, by = _of_class(x, latents, rows, task, number)
            terms = {"right": right, "missed": missed, "absorbed": absorbed}
            sums.add(
                torch.from_numpy(task.documents),
                **{f"{key}/{number}": torch.from_numpy(each) for key, each in terms.items()},
            )
            if task is data:
                facts.append((name, tuple(main), _by_word(data, words, right, absorbed, by)))
    totals = {key: sums.totals(seed) for key, sums in tables.items()}
    for key in totals:
        for what in ("right", "missed", "absorbed"):
            several = [totals[key][f"{what}/{i}"] for i in range(len(data.names))]
            totals[key][f"{what}/all"] = np.sum(several, axis=0)
    facts.append(("all classes", (), {}))
    for number, (name, main, by_word) in enumerate(facts):
        place = "all" if name == "all classes" and not main else number

        def share(what: str, key: str, place: Any = place) -> Measured:
            return measured(
                totals[key], lambda s: ratio(s[f"{what}/{place}"], s[f"right/{place}"]), level
            )

        n = int(totals["real"][f"right/{place}"][0])
        found.append(
            ClassAbsorption(name, main, n, share("missed", "real"), share("absorbed", "real"),
                            share("absorbed", "dealt"), by_word)
        )  # fmt: skip
    return tuple(found)


def main_latents(latents: np.ndarray, truth: np.ndarray) -> list[int]:
    """The latents that separate a class most, as long as each raises F1 by more than 0.03."""
    order = np.argsort(-separation(latents, truth), kind="stable")[:_MOST_MAIN]
    best, kept = 0.0, 1
    for k in range(1, len(order) + 1):
        some = latents[:, order[:k]]
        direction, offset = fit_probe(some, truth)
        score = f1(some @ direction + offset > 0, truth)
        if k > 1 and score - best <= SPLIT_GAIN:
            break
        best, kept = score, k
    return order[:kept].tolist()


def _of_class(
    x: np.ndarray, latents: np.ndarray, rows: np.ndarray, task: LabelledTokens, number: int
) -> tuple[list[int], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Main latents, and ``[token]`` of the held-out half: right, missed, absorbed, by which."""
    truth, train = task.labels == number, task.train
    direction, offset = fit_probe(x[train], truth[train])
    main = main_latents(latents[train], truth[train])
    right = ~train & truth & (x @ direction + offset > 0)
    missed = right & ~(latents[:, main] != 0).any(1)
    along = rows @ direction
    cosine = along / np.maximum(np.linalg.norm(rows, axis=1) * np.linalg.norm(direction), 1e-12)
    added = latents * along
    added[:, main] = 0.0
    top = added.argmax(1)
    most, whole = added.max(1), added.sum(1)
    enough = (most > 0) & (cosine[top] >= LEAST_COSINE) & (most >= LEAST_SHARE * whole)
    return main, right, missed, missed & enough, top


def _by_word(
    data: LabelledTokens, words: Mapping[int, str], right: np.ndarray, absorbed: np.ndarray,
    by: np.ndarray,
) -> dict[str, tuple[int, float]]:  # fmt: skip
    """Words of which most tokens are absorbed: by which latent, and the share."""
    found = {}
    for word in np.unique(data.words[absorbed]):
        own = data.words == word
        share = float(absorbed[own].sum() / max(right[own].sum(), 1))
        if share > 0.5:
            latent = int(np.bincount(by[own & absorbed]).argmax())
            found[words.get(int(word), str(word))] = (latent, share)
    return found
