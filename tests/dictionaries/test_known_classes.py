"""Sparse probing and absorption: planted classes and latents, and a model."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import residuum as rz
import residuum.dictionaries as rd
from residuum.core import OptionError, TokenError
from residuum.dictionaries.judging.absorption import absorbed_in, feature_absorption
from residuum.dictionaries.judging.class_probing import like_active, probe_rows, sparse_probing
from residuum.dictionaries.judging.labelled_tokens import LabelledTokens
from residuum.dictionaries.judging.small_probes import fit_probe, separation
from residuum.worlds import microworld_text
from residuum.worlds.words import COUNTRIES, NAMES, PLACES

AT: Any = ("L1.resid_post",)
CLASSES = {"names": NAMES, "places": PLACES, "countries": [row[0] for row in COUNTRIES]}
TEXT = list(islice(microworld_text(9), 700))
WORDS, CLASS_COUNT, WIDTH = 12, 3, 40


@pytest.fixture(scope="module")
def model() -> Any:
    return rz.load("microworld", check=False)


@pytest.fixture(scope="module")
def trained(model: Any) -> Any:
    values = model.run(TEXT, capture=list(AT))
    keep = (values.ids != model.tokenizer.pad_token_id) & (values.ids != model.bos_token_id)
    source: Any = rd.TensorSource(values[AT[0]][keep], AT[0])
    return rd.train_dictionary(
        source, n_latents=128, activation=rd.TopK(6), samples=40_000, batch_size=256
    ).dictionary


def planted() -> tuple[LabelledTokens, torch.Tensor, torch.Tensor]:
    """Every word is its class's direction and its own: ``values``, class and word directions."""
    rng = np.random.default_rng(0)
    basis = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=torch.manual_seed(0))).Q
    kinds, own = basis[:CLASS_COUNT], basis[CLASS_COUNT : CLASS_COUNT + WORDS]
    words = rng.integers(0, WORDS, 3000)
    classes = {word: word % CLASS_COUNT for word in range(WORDS)}
    noise = 0.02 * torch.randn(3000, WIDTH, generator=torch.manual_seed(1))
    values = kinds[words % CLASS_COUNT] + own[words] + noise
    documents = np.arange(3000) // 10
    names = ("a", "b", "c")
    return LabelledTokens(values, words, documents, classes, names, documents % 2 == 0), kinds, own


def coder(rows: torch.Tensor, reads: torch.Tensor | None = None, bias: float = -0.5) -> Any:
    reads = rows if reads is None else reads
    return rd.Dictionary(
        AT, AT, W_enc=reads.T[None].clone(), W_dec=rows[:, None].clone(),
        b_dec=torch.zeros(1, WIDTH), activation=rd.ReLU(), b_enc=torch.full((len(rows),), bias),
    )  # fmt: skip


def test_class_latents_tell_their_classes_and_no_dealt_ones() -> None:
    data, kinds, own = planted()
    rows = probe_rows(coder(torch.cat([kinds, own])), data, (1, 3), 0.95, 0)
    mean = {(each.basis, each.k): each for each in rows if each.name == "mean of the classes"}
    one = mean["latents", 1]
    assert one.accuracy.value == pytest.approx(1, abs=0.01)
    assert one.control.value < 0.8 and one.selectivity.low > 0.15
    assert mean["random directions", 1].accuracy.high < 0.9
    dense = mean["all numbers", WIDTH]
    assert dense.accuracy.value > 0.99 and dense.control.value > 0.99  # it can learn the words
    assert len(rows) == 4 * (2 * 2 + 1)


def test_random_directions_are_active_as_often_as_the_latents() -> None:
    data, kinds, own = planted()
    x = data.values.double().numpy()
    latents = coder(torch.cat([kinds, own])).encode(data.values).double().numpy()
    found = like_active(x, latents, data.train, 0)
    train = data.train
    np.testing.assert_allclose(
        (found[train] > 0).mean(0), (latents[train] != 0).mean(0), atol=2 / train.sum()
    )
    silent = like_active(x, np.zeros_like(latents), data.train, 0)
    assert (silent == 0).all()


def test_a_probe_weighs_both_classes_the_same() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(4000) < 0.03
    x = truth[:, None] * 2.0 + rng.standard_normal((4000, 1))
    direction, offset = fit_probe(x, truth)
    assert -offset / direction[0] == pytest.approx(1.0, abs=0.15)
    assert separation(np.c_[x, rng.standard_normal(4000)], truth).argmax() == 0


def test_nothing_is_absorbed_where_class_latents_fire() -> None:
    data, kinds, own = planted()
    found = absorbed_in(coder(torch.cat([kinds, own])), data, {}, 0.95, 0)
    assert found[-1].name == "all classes"
    assert found[-1].missed.value == 0 and found[-1].absorbed.value == 0
    assert [each.main for each in found[:3]] == [(0,), (1,), (2,)]


def test_a_planted_absorption_is_found_with_its_latent() -> None:
    """Word 3 (class 0) has a latent that writes class and word; the class latent skips it."""
    data, kinds, own = planted()
    writes, reads = torch.cat([kinds, own]).clone(), torch.cat([kinds, own]).clone()
    reads[0] = kinds[0] - 2 * own[3]
    writes[CLASS_COUNT + 3] = kinds[0] + own[3]
    found = absorbed_in(coder(writes, reads), data, {3: "Mary"}, 0.95, 0)
    expected = 1 / 4  # one of the class's four words
    assert found[0].absorbed.value == pytest.approx(expected, abs=0.04)
    assert found[0].missed.value == found[0].absorbed.value
    assert found[0].words == {"Mary": (CLASS_COUNT + 3, 1.0)}
    assert found[0].absorbed.low < expected < found[0].absorbed.high
    assert found[1].absorbed.value == 0 and found[1].words == {}


def test_missed_without_a_latent_is_not_absorbed() -> None:
    """The same hole, and nobody holds the class there."""
    data, kinds, own = planted()
    writes, reads = torch.cat([kinds, own]).clone(), torch.cat([kinds, own]).clone()
    reads[0] = kinds[0] - 2 * own[3]
    writes[CLASS_COUNT + 3] = own[3] - kinds[0]
    found = absorbed_in(coder(writes, reads), data, {}, 0.95, 0)
    assert found[0].missed.value > 0.2 and found[0].absorbed.value == 0


def test_dealing_the_words_anew_keeps_the_sizes() -> None:
    data, _, _ = planted()
    dealt = data.with_classes_dealt_anew(0)
    assert sorted(dealt.class_of_word.values()) == sorted(data.class_of_word.values())
    assert dealt.class_of_word != data.class_of_word


def test_on_microworld(model: Any, trained: rd.Dictionary, tmp_path: Path) -> None:
    probing = sparse_probing(trained, model, TEXT, CLASSES, per_word=20)
    mean = {
        (each.basis, each.k): each.accuracy
        for each in probing.rows
        if each.name == "mean of the classes"
    }
    assert mean["latents", 5].low > 0.6
    assert mean["latents", 5].value > mean["random directions", 5].value
    absorption = feature_absorption(trained, model, TEXT, CLASSES, per_word=20)
    whole = absorption.classes[-1]
    assert 0 <= whole.absorbed.value <= whole.missed.value <= 1
    assert whole.n_tokens == sum(each.n_tokens for each in absorption.classes[:-1])
    for name, found in (("probing", probing), ("absorption", absorption)):
        for suffix in ("json", "csv", "html"):
            found.save(tmp_path / f"{name}.{suffix}")
        json.loads((tmp_path / f"{name}.json").read_text())
    again = sparse_probing(trained, model, TEXT, CLASSES, per_word=20)
    assert again.to_json() == probing.to_json()


def test_refusals(model: Any, trained: rd.Dictionary) -> None:
    cases: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        ({}, {}, OptionError, "no class"),
        ({"a": "Mary"}, {}, OptionError, "no words"),
        ({"a": ["Mary"], "b": ["Mary"]}, {}, OptionError, "two classes"),
        ({"a": ["Mary John"]}, {}, TokenError, "Mary John"),
        ({"a": ["Mary"]}, {"tokens": 60}, TokenError, "two halves"),
        (CLASSES, {"k": 5}, OptionError, "k=5"),
        (CLASSES, {"k": [999]}, OptionError, "128 latents"),
    ]
    for classes, options, error, words in cases:
        with pytest.raises(error, match=words):
            sparse_probing(trained, model, TEXT, classes, **options)
    two = replace(trained, writes=("L2.resid_post",))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="reads"):
        feature_absorption(two, model, TEXT, CLASSES)
