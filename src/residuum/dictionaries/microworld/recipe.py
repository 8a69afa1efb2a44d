"""The recipe of the dictionary inside the package: text, plans, training, and the choice.

Everything is seeded: ``make train-microworld-dictionary`` runs it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from residuum.core import SILENT, Address, CheckFailed, Progress
from residuum.dictionaries.coding.plan import CoderPlan
from residuum.dictionaries.harvests.harvesting import harvest
from residuum.dictionaries.judging.evaluation import evaluate_dictionary
from residuum.dictionaries.judging.evaluation_result import DictionaryScores
from residuum.dictionaries.judging.ground_truth_result import Measured
from residuum.dictionaries.labels import label_features
from residuum.dictionaries.record.activations import BatchTopK
from residuum.dictionaries.record.dictionary import Dictionary
from residuum.dictionaries.training.optimisers import Adam
from residuum.dictionaries.training.verbs import train_dictionaries
from residuum.dictionaries.use.calibration import feature_units
from residuum.dictionaries.use.edits import need_sae
from residuum.runs import Model
from residuum.worlds import microworld_text


@dataclass(frozen=True)
class MicroworldRecipe:
    """How ``microworld-sae`` is trained and chosen.

    Attributes:
        sites: candidates.
        n_latents, k: of each; ``k`` active in a token on average.
        sentences: of training text.
        held_sentences: of validation and of test text, before those that training holds are taken
            out.
        steps, batch_size, rate, seed: of the training.
        aux_k, dead_after: revival of dead latents.
    """

    sites: tuple[str, ...] = ("L1.resid_post", "L2.resid_post")
    n_latents: int = 512
    k: int = 14
    sentences: int = 40_000
    held_sentences: int = 1_500
    steps: int = 3_000
    batch_size: int = 1024
    rate: float = 2e-3
    seed: int = 0
    aux_k: int = 32
    dead_after: int = 100_000

    def training_text(self) -> list[str]:
        """Sentences to train on."""
        return list(islice(microworld_text("dictionary/train"), self.sentences))

    def held_text(self, split: str) -> list[str]:
        """Different sentences, none of which training holds: ``"validation"`` or ``"test"``."""
        seen = set(self.training_text())
        if split == "test":
            seen |= set(self._drawn("validation"))
        return [text for text in dict.fromkeys(self._drawn(split)) if text not in seen]

    def _drawn(self, split: str) -> list[str]:
        return list(islice(microworld_text(f"dictionary/{split}"), self.held_sentences))

    def plans(self, width: int) -> dict[str, CoderPlan]:
        """What is trained, by site."""
        return {
            site: CoderPlan(
                reads=(Address.parse(site),), width=width, n_latents=self.n_latents,
                activation=BatchTopK(self.k), aux_k=self.aux_k, dead_after=self.dead_after,
            )
            for site in self.sites
        }  # fmt: skip


def train_candidates(
    model: Model, recipe: MicroworldRecipe, keep: str | Path, progress: Progress = SILENT
) -> dict[str, Dictionary]:
    """One dictionary for each site, on one stream; with units, from validation text.

    Args:
        model: microworld.
        keep: folder for the activations.
        progress: who is told.
    """
    text = recipe.training_text()
    taken = harvest(model, text, list(recipe.sites), keep=keep, dtype="float32", progress=progress)
    trained = train_dictionaries(
        taken.source(seed=recipe.seed), recipe.plans(taken.width), steps=recipe.steps,
        batch_size=recipe.batch_size, optimiser=Adam(lr=recipe.rate), seed=recipe.seed,
        progress=progress,
    )  # fmt: skip
    held = recipe.held_text("validation")
    found = {site: need_sae(each.dictionary) for site, each in trained.items()}
    return {site: feature_units(own, model, held).keep_in(own) for site, own in found.items()}


def judged(
    model: Model, candidates: Mapping[str, Dictionary], recipe: MicroworldRecipe, split: str
) -> dict[str, DictionaryScores]:
    """Scores of each candidate on ``"validation"`` or ``"test"`` text."""
    text = recipe.held_text(split)
    return {
        site: evaluate_dictionary(each, model, text, check=False, seed=recipe.seed)
        for site, each in candidates.items()
    }


LEAST_RECOVERED, MOST_L0 = 0.95, 20.0
SHOWN = (
    "l0", "explained_variance", "dead_share", "loss_recovered_zero_frac",
    "loss_recovered_mean_frac",
)  # fmt: skip


def fits(scores: DictionaryScores) -> bool:
    """Whether the intervals of recovered cross-entropy (zeros) and of L0 are within the bounds."""
    return (
        scores.loss_recovered_zero_frac.low >= LEAST_RECOVERED
        and scores.loss_recovered_mean_frac.low >= LEAST_RECOVERED
        and scores.l0.high <= MOST_L0
    )


def finished(own: Dictionary, recipe: MicroworldRecipe, scores: DictionaryScores) -> Dictionary:
    """The dictionary to ship: with its recipe and its figures on test text.

    Args:
        scores: on test text.

    Raises:
        CheckFailed: it is out of bounds there.
    """
    if not fits(scores):
        raise CheckFailed(
            f"the dictionary is out of bounds on test text: {scores}",
            mend=f"train longer: recovered >= {LEAST_RECOVERED}, L0 <= {MOST_L0:g}",
        )
    declared: dict[str, Any] = {
        **own.declared,
        "recipe": {**asdict(recipe), "sites": list(recipe.sites)},
        "test": {name: _three(getattr(scores, name)) for name in SHOWN},
    }  # fmt: skip
    return replace(own, declared=declared)


def _three(figure: Measured) -> list[float]:
    return [figure.value, figure.low, figure.high]


def labelled(model: Model, own: Dictionary, recipe: MicroworldRecipe) -> Dictionary:
    """The dictionary with labels from token statistics, and how far they are true.

    Labels are made and judged on disjoint sentences of validation text; ``declared["labels"]`` has
    the mean detection and fuzzing scores, and those of another latent's label beside them.
    """
    labels = label_features(own, model, recipe.held_text("validation"), seed=recipe.seed)
    scores = {name: _three(figure) for name, figure in labels.means.items()}
    texts = {latent: words for latent, words in labels.texts.items() if words}
    return replace(own, declared={**own.declared, "labels": scores}).with_labels(texts)
