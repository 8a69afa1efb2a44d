"""Judging: known answers, laws, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import residuum as rz
import residuum.dictionaries as rd
from residuum.core import (
    Address,
    AddressError,
    CheckFailed,
    LoadError,
    OptionError,
    ResiduumError,
    Splice,
    TokenError,
)
from residuum.dictionaries.judging.document_sums import (
    DocumentSums,
    measured,
    ratio,
    share_without_groups,
)
from residuum.dictionaries.judging.evaluation import evaluate_dictionary
from residuum.dictionaries.judging.evaluation_result import FIGURES, DictionaryScores
from residuum.worlds import microworld_text

AT = ("L1.resid_post",)
TEXT = list(islice(microworld_text(5), 60))


@pytest.fixture(scope="module")
def model() -> Any:
    return rz.load("microworld", check=False)


def whole(at: Any = AT, to: Any = None) -> rd.Dictionary:
    """An orthonormal basis and its negative: every vector is written exactly."""
    basis = torch.linalg.qr(torch.randn(128, 128, generator=torch.manual_seed(0))).Q
    both = torch.cat([basis, -basis])
    return rd.Dictionary(
        at, to or at, W_enc=both.T[None], W_dec=both[:, None], b_dec=torch.zeros(1, 128),
        activation=rd.ReLU(), b_enc=torch.zeros(256),
    )  # fmt: skip


def constant(value: Tensor) -> rd.Dictionary:
    """It writes the same vector everywhere."""
    plain = whole()
    return replace(plain, W_dec=torch.zeros_like(plain.W_dec), b_dec=value[None])


def judged(dictionary: Any, model: Any, text: Any = TEXT, **options: Any) -> DictionaryScores:
    return evaluate_dictionary(dictionary, model, text, **{"check": False, **options})


def test_a_whole_basis_recovers_everything(model: Any) -> None:
    scores = judged(whole(), model)
    for name in ("explained_variance", "cosine", *[n for n in FIGURES if "recovered" in n]):
        assert getattr(scores, name).value == pytest.approx(1, abs=1e-4), name
    assert scores.l0.value == pytest.approx(128, abs=0.1)
    assert scores.shrinkage.value == pytest.approx(0, abs=1e-5)
    assert scores.kl_spliced_bits.value == pytest.approx(0, abs=1e-5)
    assert scores.kl_zero_bits.value > 1


def test_nothing_recovers_nothing_against_zeros(model: Any) -> None:
    scores = judged(constant(torch.zeros(128)), model)
    assert scores.loss_recovered_zero_frac.value == pytest.approx(0, abs=1e-9)
    assert scores.kl_recovered_zero_frac.value == pytest.approx(0, abs=1e-9)
    assert scores.loss_spliced_nats.value == scores.loss_zero_nats.value
    assert scores.loss_recovered_mean_frac.value < 0  # zeros are worse than the mean here


def test_the_mean_explains_nothing_and_recovers_nothing_against_the_mean(model: Any) -> None:
    """About zero it would explain much: the mean is most of this site's length."""
    run = model.run(TEXT, capture=list(AT))
    keep = (run.ids != model.tokenizer.pad_token_id) & (run.ids != model.bos_token_id)
    held = run[AT[0]][keep]
    mean = held.double().mean(0).float()
    about_zero = 1 - ((held - mean) ** 2).sum() / (held**2).sum()
    scores = judged(constant(mean), model, skip=["bos", "pad"])
    assert about_zero > 0.05
    assert scores.explained_variance.value == pytest.approx(0, abs=1e-5)
    assert scores.loss_recovered_mean_frac.value == pytest.approx(0, abs=1e-5)
    assert scores.loss_recovered_zero_frac.value > 0.1


def test_an_offset_of_all_inputs_does_not_move_the_explained_variance(model: Any) -> None:
    plain = whole()
    half = replace(plain, W_dec=plain.W_dec / 2)
    shrunk = judged(half, model)
    run = model.run(TEXT, capture=list(AT))
    keep = (run.ids != model.tokenizer.pad_token_id) & (run.ids != model.bos_token_id)
    held = run[AT[0]][keep].double()
    expected = 1 - ((held / 2) ** 2).sum() / ((held - held.mean(0)) ** 2).sum()
    assert shrunk.explained_variance.value == pytest.approx(float(expected), abs=1e-4)


def test_shrinkage_is_about_the_mean(model: Any) -> None:
    scores = judged(constant(torch.zeros(128)), model)
    plain = whole()
    mean = model.run(TEXT, capture=list(AT))
    keep = (mean.ids != model.tokenizer.pad_token_id) & (mean.ids != model.bos_token_id)
    centre = mean[AT[0]][keep].double().mean(0).float()
    short = replace(plain, W_dec=plain.W_dec * 0.8, b_dec=0.2 * centre[None])
    assert judged(short, model).shrinkage.value == pytest.approx(0.2, abs=1e-3)
    assert scores.mse.value > 0


def test_the_splice_is_that_of_a_run(model: Any) -> None:
    """One row without tokens left alone: the loss is that of a run with the edit Splice."""
    top = replace(whole(), activation=rd.TopK(4))
    text = [model.to_tokens(TEXT[i])[0].tolist() for i in range(4)]
    scores = judged(top, model, text, skip=())
    hung = rz.load("microworld", check=False)
    hung.dictionaries["own"] = top
    losses = []
    for row in text:
        ids = torch.tensor([row])
        logits = hung.run(ids, edits=[Splice(AT[0], "own")]).logits
        assert logits is not None
        losses += (-logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]).tolist()
    assert scores.loss_spliced_nats.value == pytest.approx(float(np.mean(losses)), abs=1e-4)
    assert model.dictionaries == {}


def test_a_transcoder_and_a_crosscoder_replace_what_they_write(model: Any) -> None:
    same = judged(whole(("L1.resid_mid",), ("L1.resid_post",)), model)
    assert same.loss_recovered_zero_frac.value < 1
    both: Any = ("L1.resid_post", "L2.resid_post")
    eye = torch.eye(256)
    two = torch.cat([eye, -eye])
    cross = rd.Dictionary(
        both, both, W_enc=two.T.reshape(2, 128, 512), W_dec=two.reshape(512, 2, 128),
        b_dec=torch.zeros(2, 128), activation=rd.ReLU(), b_enc=torch.zeros(512),
    )  # fmt: skip
    assert judged(cross, model).loss_recovered_zero_frac.value == pytest.approx(1, abs=1e-4)


def test_a_cross_layer_transcoder_replaces_all_sites_that_it_writes(model: Any) -> None:
    """Each layer's latents write what the layer reads, and nothing further on."""
    sites: Any = ("L1.resid_post", "L2.resid_post")
    plain, layers = whole(), []
    for index in (0, 1):
        n = 2 - index
        W_dec = torch.zeros(256, n, 128)
        W_dec[:, 0] = plain.W_dec[:, 0]
        layers.append(
            replace(plain, reads=sites[index : index + 1], writes=sites[index:], W_dec=W_dec,
                    b_dec=torch.zeros(n, 128))
        )  # fmt: skip
    both = rd.CrossLayerTranscoder(tuple(layers))
    scores = judged(both, model)
    assert scores.loss_recovered_zero_frac.value == pytest.approx(1, abs=1e-4)
    assert scores.n_latents == 512 and scores.sites == ("L1.resid_post", "L2.resid_post")


def test_seed_and_intervals(model: Any) -> None:
    one = judged(replace(whole(), activation=rd.TopK(8)), model, seed=3)
    two = judged(replace(whole(), activation=rd.TopK(8)), model, seed=3)
    assert one.to_json() == two.to_json()
    for name in FIGURES:
        found = getattr(one, name)
        assert found.low <= found.value <= found.high, name
    assert one.loss_model_nats.high - one.loss_model_nats.low > 0.01
    assert one.provenance.seed == 3 and one.provenance.weight_hash


def test_latents_active_everywhere_and_nowhere(model: Any) -> None:
    plain = whole()
    bias = torch.zeros(256)
    bias[:3], bias[3:13] = 1e3, -1e4
    scores = judged(replace(plain, b_enc=bias), model)
    assert (scores.frequencies[:3] == 1).all() and (scores.frequencies[3:13] == 0).all()
    assert scores.dead_share.value >= 10 / 256
    assert scores.dead_share.value == pytest.approx(float((scores.frequencies == 0).mean()))
    assert scores.dense_share.value == pytest.approx(float((scores.frequencies > 0.1).mean()))


def test_intervals_are_of_documents_not_tokens() -> None:
    sums = DocumentSums(50)
    rng = torch.Generator().manual_seed(0)
    level = torch.randn(50, generator=rng)
    documents = torch.arange(50).repeat_interleave(40)
    sums.add(documents, x=level[documents], n=torch.ones(2000))
    found = measured(sums.totals(0), lambda s: ratio(s["x"], s["n"]), 0.95)
    expected = 2 * 1.96 * float(level.std()) / 50**0.5
    assert found.high - found.low == pytest.approx(expected, rel=0.15)


def test_the_interval_of_a_share_of_latents_covers_a_rare_latent() -> None:
    active = np.zeros((20, 11))
    active[:, -1] = 100
    active[:, :8] = 5
    active[3, 8] = 1  # seen in one group only
    found = share_without_groups(active, lambda f: f == 0, 0.95)
    assert found.value == pytest.approx(0.1)
    assert found.low < 0.1 < found.high
    active[:, 8] = 5
    sure = share_without_groups(active, lambda f: f == 0, 0.95)
    assert sure.high - sure.low == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "options", "error", "words"),
    [
        ({"weight_hash": "0" * 64}, {}, LoadError, "other weights"),
        ({"reads": ("L9.resid_post",), "writes": ("L9.resid_post",)}, {}, AddressError, "L9"),
        ({"models": ("a", "b")}, {}, OptionError, "2 models"),
        ({}, {"level": 1.0}, OptionError, "level"),
        ({}, {"tokens": 0}, OptionError, "tokens"),
        ({}, {"check": "no"}, OptionError, "check"),
    ],
)
def test_refusals(
    model: Any, change: dict[str, Any], options: dict[str, Any],
    error: type[ResiduumError], words: str,
) -> None:  # fmt: skip
    with pytest.raises(error, match=words) as caught:
        judged(replace(whole(), **change), model, **options)
    assert caught.value.mend


def test_one_document_and_no_dictionary_are_refused(model: Any) -> None:
    with pytest.raises(TokenError, match="no interval"):
        judged(whole(), model, TEXT[0])
    with pytest.raises(OptionError, match="needs a dictionary"):
        judged(model, model)


def test_a_dictionary_of_another_site_is_refused(model: Any) -> None:
    ids = model.to_tokens(TEXT * 2)
    values = model.run(TEXT * 2, capture=["L1.resid_post"])["L1.resid_post"]
    real = (ids != model.tokenizer.pad_token_id) & (ids != model.bos_token_id)
    source: Any = rd.TensorSource(values[real], "L1.resid_post")
    own = rd.train_dictionary(
        source, n_latents=128, activation=rd.TopK(8), samples=20_000, batch_size=256
    ).dictionary
    assert isinstance(evaluate_dictionary(own, model, TEXT), DictionaryScores)
    at = Address.parse("L3.resid_post")
    with pytest.raises((CheckFailed, LoadError)):
        evaluate_dictionary(replace(own, reads=(at,), writes=(at,)), model, TEXT)


@pytest.mark.parametrize("suffix", ["json", "csv", "html"])
def test_saved(model: Any, tmp_path: Path, suffix: str) -> None:
    scores = judged(whole(), model)
    path = tmp_path / f"scores.{suffix}"
    scores.save(path)
    text = path.read_text(encoding="utf-8")
    assert "loss_recovered" in text or "loss recovered" in text
    if suffix == "json":
        assert json.loads(text)["l0"]["value"] == scores.l0.value
    assert list(scores.to_dataframe()["figure"]) == list(FIGURES)
