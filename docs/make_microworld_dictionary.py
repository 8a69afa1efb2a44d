"""Train the dictionary inside the package again: ``make train-microworld-dictionary``.

Writes ``src/residuum/assets/microworld-sae`` with its card. The site is chosen by the number of
behaviours that up to four latents move by half the gap on *training* templates, among the
candidates that are within the bounds on *validation* text; of equals, by the mean share of the gap.
Test text and held-out templates have no part in it.

Takes two to three minutes of one core's time and 1.2 GB of memory. Another processor rounds
differently, so its weights are others: the figures on the card then agree within their intervals,
not digit by digit.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent.parent / "src/residuum/assets/microworld-sae"
CARD = """# microworld-sae

A sparse autoencoder of `{site}` of microworld: {n_latents} latents, about {k} active in a token
(BatchTopK), trained by this project on text that this project generates.

    model = residuum.load("microworld")
    sae = residuum.load_dictionary("microworld-sae", model, name="sae")

* **Trained on** {sentences} sentences of `residuum.worlds.microworld_text`, {steps} steps of
  {batch_size} tokens, Adam at {rate:g}, seed {seed}. Recipe:
  `residuum.dictionaries.microworld.recipe`; again: `make train-microworld-dictionary`.
* **Site** chosen among {sites} by `docs/make_microworld_dictionary.py`, on validation text and
  training templates: {choice}.
* **On test text** (sentences that neither training nor validation text holds; 95 % intervals):

| figure | value | from | to |
|---|---|---|---|
{figures}

* **Labels** by token statistics, made and judged on disjoint validation sentences
  ({n_labels} latents):

| figure | value | from | to |
|---|---|---|---|
{labels}

* `declared["units"]` holds each latent's mean and 99th percentile where it is active, from
  validation text.
* Which latents move which behaviour, held-out: `docs/howto/use-features.md`.
* **Does not show**: that its latents are the model's own units; another seed finds other ones.
"""


def main() -> None:
    """Train, choose, judge, write."""
    import torch

    import residuum as rz
    from residuum.dictionaries.microworld.recipe import MicroworldRecipe, train_candidates

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="folder (default: the package's)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, recipe = rz.load("microworld"), MicroworldRecipe()
    with tempfile.TemporaryDirectory() as keep:
        candidates = train_candidates(model, recipe, Path(keep) / "activations")
    write(model, recipe, candidates, options.out)


def write(model: Any, recipe: Any, candidates: dict[str, Any], out: Path) -> None:
    """Choose one of the candidates, judge it on test text, save it with its card."""
    from residuum.dictionaries.microworld.recipe import finished, fits, judged, labelled

    scores = judged(model, candidates, recipe, "validation")
    within = {site: each for site, each in candidates.items() if fits(scores[site])}
    found = {site: moved(model, each) for site, each in within.items()}
    site = max(found, key=lambda each: found[each])
    test = judged(model, {site: candidates[site]}, recipe, "test")[site]
    own = labelled(model, finished(candidates[site], recipe, test), recipe)
    own.save(out)
    (out / "README.md").write_text(card(recipe, site, own, found), encoding="utf-8")
    print(test, found, sep="\n")


def moved(model: Any, dictionary: Any) -> tuple[int, float]:
    """Behaviours moved by half the gap on training templates, and the mean share."""
    from residuum.dictionaries.microworld.behaviours import HALF, find_handle
    from residuum.dictionaries.microworld.tasks import all_halves

    shares = []
    for name, (train, _) in all_halves(model).items():
        handle, share = find_handle(model, dictionary, train)
        shares.append(min(share, 1.0))
        print(dictionary.reads[0], name, handle, round(share, 2), flush=True)
    return sum(share >= HALF for share in shares), round(sum(shares) / len(shares), 3)


def card(recipe: Any, site: str, own: Any, found: dict[str, tuple[int, float]]) -> str:
    """The card, from the record alone."""
    from dataclasses import asdict

    def rows(key: str) -> str:
        return "\n".join(
            f"| {name} | {value:.3f} | {low:.3f} | {high:.3f} |"
            for name, (value, low, high) in own.declared[key].items()
        )

    choice = "; ".join(f"{at} moves {n} (mean share {mean:.2f})" for at, (n, mean) in found.items())
    told = {**asdict(recipe), "sites": ", ".join(recipe.sites)}
    told |= {"figures": rows("test"), "labels": rows("labels"), "n_labels": len(own.labels)}
    return CARD.format(**told, site=site, choice=choice)


if __name__ == "__main__":
    main()
