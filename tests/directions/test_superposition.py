"""Features in superposition: the toy model's own directions are found and proven; a decoy is not.

The toy of ``organisms`` squeezes five features into two dimensions and reads them by the transpose
of its weights. Here its hidden state is a word's embedding and its reading the unembedding (before
the ReLU), in a model whose one block writes nothing, so that every verb takes it. A third dimension
holds a decoy that nobody reads, which goes with the feature in every other word; a fourth is noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import residuum as rz
from residuum.directions.proving import prove
from residuum.models.native import NativeConfig, NativeForCausalLM
from residuum.organisms.superposition import shipped_superposition

AT = "L0.resid_post"
DENSITY = 0.05
WIDTH, FILLERS, EACH = 4, 4, 48
DECOY, NOISE = 0.8, 0.2


@dataclass(frozen=True, eq=False)
class Toy:
    """The wrapped toy: its features' directions ``[feature d]``, and its words by feature."""

    model: rz.Model
    features: Tensor
    first: int

    def task(self, feature: int, fillers: range, decoyed: bool = False) -> rz.Task:
        """Pairs of words that differ in one feature, and in the decoy where asked for."""
        n, none = len(self.features), len(self.features)
        pairs = [(1 + n + filler, row) for filler in fillers for row in range(decoyed, EACH, 2)]
        words = [self.first + 2 * (feature * EACH + row) for _, row in pairs]
        return rz.Task.from_pairs(
            clean=[[f, word] for (f, _), word in zip(pairs, words, strict=True)],
            corrupt=[[f, word + 1] for (f, _), word in zip(pairs, words, strict=True)],
            answers=[feature] * len(pairs),
            wrong=[none] * len(pairs),
            name=f"feature {feature}",
            templates=[f"filler {f}" for f, _ in pairs],
        )

    def given(self, vector: Tensor) -> rz.Direction:
        """A direction of one's own, typical norm from two fillers."""
        fit = self.task(0, range(2))
        return rz.direction(self.model, fit, at=AT, method=rz.Given(vector), prove=False)

    def found(self, feature: int) -> rz.Direction:
        """The difference of means on two fillers."""
        return rz.direction(self.model, self.task(feature, range(2)), at=AT, prove=False)


@pytest.fixture(scope="module")
def toy() -> Toy:
    torch.set_num_threads(1)
    shipped = shipped_superposition()
    place = shipped.place(DENSITY)
    best = int(shipped.losses[place].argmin())
    weights = shipped.weights[place, best].T  # [feature dim]
    return wrapped(weights.float())


def wrapped(weights: Tensor) -> Toy:
    """The toy as a language model, with words that hold a feature and words that lack it."""
    generator = torch.Generator().manual_seed(0)
    n, dims = weights.shape
    features = torch.nn.functional.pad(weights, (0, WIDTH - dims))
    first = 1 + n + FILLERS
    config = NativeConfig(
        n_layers=1, n_heads=1, d_model=WIDTH, d_vocab=first + 2 * n * EACH, n_ctx=4,
        normalization=None,
    )  # fmt: skip
    hf = NativeForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in hf.parameters():
            parameter.zero_()
        for feature in range(n):
            shared = torch.Generator().manual_seed(1 + feature)
            present = (torch.rand(EACH, n, generator=generator) < 0.3).float()
            values = present * torch.rand(EACH, n, generator=generator)
            for side, value in enumerate((1.0, 0.0)):
                shared.manual_seed(1 + feature)
                values[:, feature] = value
                words = values @ features
                words[:, dims] = DECOY * (torch.rand(EACH, generator=shared) - 0.5)
                words[1::2, dims] = DECOY * (value - 0.5)  # odd words: goes with the feature
                words[:, dims + 1] = NOISE * torch.randn(EACH, generator=generator)
                rows = first + 2 * (feature * EACH + torch.arange(EACH)) + side
                hf.model.embed.weight[rows] = words
        hf.lm_head.weight[:n] = features
    return Toy(rz.load(hf, check=False), features, first)


def test_planted_features_are_found_and_causal(toy):
    for feature, planted in enumerate(toy.features):
        task = toy.task(feature, range(2, FILLERS))
        found = toy.found(feature)
        assert found.cosine(planted) > 0.98
        proof = prove(found, toy.model, task)
        assert proof.verdict["decodable"] is True and proof.verdict["causal"] is True


def test_the_decoy_is_decodable_and_not_causal(toy):
    task = toy.task(0, range(2, FILLERS), decoyed=True)
    decoy = torch.zeros(WIDTH)
    decoy[2] = 1.0
    proof = prove(toy.given(decoy), toy.model, task)
    assert proof.decodability.accuracy == 1
    assert proof.verdict["decodable"] is True and proof.verdict["causal"] is False
    assert abs(proof["swap"].recovered_frac) < 1e-6


def test_a_feature_in_superposition_is_not_specific(toy):
    """The pentagon's features overlap: moving one moves the others' answers."""
    task = toy.task(0, range(2, FILLERS))
    others = [toy.task(other, range(2, FILLERS)) for other in range(1, 5)]
    proof = prove(toy.given(toy.features[0]), toy.model, task, off_target=others, n_random=19)
    assert proof.verdict["specific"] is False
    assert max(each.ratio for each in proof.off_target) > 0.5
