"""Stability: copies are found again, chance is not, and a planted difference is seen."""

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
from residuum.core import Address, LoadError, OptionError
from residuum.dictionaries.judging.judged_rows import JudgedRows
from residuum.dictionaries.judging.latent_effects import LatentEffects, latent_effects
from residuum.dictionaries.judging.stability import dictionary_stability
from residuum.dictionaries.judging.stability_comparison import families_of, mattering
from residuum.dictionaries.judging.stability_match import Directions, match_latents
from residuum.worlds import microworld_text

AT: Any = ("L1.resid_post",)
TEXT = list(islice(microworld_text(5), 40))


@pytest.fixture(scope="module")
def model() -> Any:
    return rz.load("microworld", check=False)


def random_dictionary(seed: int, latents: int = 96, width: int = 128, k: int = 6) -> rd.Dictionary:
    rows = torch.randn(latents, width, generator=torch.manual_seed(seed))
    rows = rows / rows.norm(dim=1, keepdim=True)
    return rd.Dictionary(
        AT, AT, W_enc=rows.T[None].clone(), W_dec=rows[:, None].clone(),
        b_dec=torch.zeros(1, width), activation=rd.TopK(k), b_enc=torch.zeros(latents),
    )  # fmt: skip


def shuffled(dictionary: rd.Dictionary, seed: int = 1) -> rd.Dictionary:
    order = torch.randperm(dictionary.n_latents, generator=torch.manual_seed(seed))
    b_enc = dictionary.b_enc
    assert b_enc is not None
    return replace(
        dictionary, W_enc=dictionary.W_enc[..., order], W_dec=dictionary.W_dec[order],
        b_enc=b_enc[order],
    )  # fmt: skip


def test_a_permuted_copy_is_found_again_in_full() -> None:
    one = random_dictionary(0)
    found = dictionary_stability([one, shuffled(one)])
    assert found.found_share.value == 1
    assert found.pair_range == (1, 1)
    assert found.null_rotated.high < 0.05 and found.null_permuted.high < 0.05


def test_an_independent_one_is_at_the_null() -> None:
    one, other = random_dictionary(0, width=6), random_dictionary(7, width=6)
    found = dictionary_stability([one, other], threshold=0.6, null_draws=12)
    lowest = min(found.null_rotated.low, found.null_permuted.low)
    highest = max(found.null_rotated.high, found.null_permuted.high)
    assert lowest <= found.found_share.value <= highest
    assert highest > 0  # in so few dimensions chance is not nothing


def test_the_decoder_alone_or_the_encoder_alone_is_not_enough() -> None:
    one, other = random_dictionary(0), random_dictionary(7)
    for part in ("W_enc", "W_dec"):
        half = replace(one, **{part: getattr(other, part)})
        found = dictionary_stability([one, half])
        same = {"W_enc": "decoder", "W_dec": "encoder"}[part]
        assert found.found_share.value < 0.05
        assert found.alone_share[same].value == 1 and found.alone_null[same].high < 0.05


def test_a_known_part_is_found_again() -> None:
    one, other = random_dictionary(0), random_dictionary(7)
    W_enc, W_dec = other.W_enc.clone(), other.W_dec.clone()
    W_enc[..., :24], W_dec[:24] = one.W_enc[..., 24:48], one.W_dec[24:48]
    found = dictionary_stability([one, replace(other, W_enc=W_enc, W_dec=W_dec)])
    assert found.found_share.value == pytest.approx(0.25)
    assert np.flatnonzero(found.found[0]).tolist() == list(range(24, 48))
    assert found.found_share.low < 0.25 < found.found_share.high


def test_the_nulls_keep_what_they_say() -> None:
    one = Directions.of(random_dictionary(0))
    turned = one.rotated(np.random.default_rng(0))
    np.testing.assert_allclose(
        turned.writes @ turned.writes.T, one.writes @ one.writes.T, atol=1e-9
    )
    np.testing.assert_allclose((turned.reads * turned.writes).sum(1), 1, atol=1e-9)
    dealt = one.permuted(np.random.default_rng(0))
    np.testing.assert_allclose((dealt.reads * dealt.writes).sum(1), 1, atol=1e-9)
    spread = [np.linalg.eigvalsh(each.writes.T @ each.writes) for each in (one, dealt)]
    assert np.corrcoef(spread[0], spread[1])[0, 1] > 0.95
    assert len(match_latents(one, dealt).pairs(0.7)) < 0.05 * 96


def test_another_number_of_latents_is_compared() -> None:
    one = random_dictionary(0)
    b_enc = one.b_enc
    assert b_enc is not None
    few = replace(one, W_enc=one.W_enc[..., :32], W_dec=one.W_dec[:32], b_enc=b_enc[:32])
    found = dictionary_stability([one, few])
    assert found.share_of_pair[1, 0] == 1 and found.share_of_pair[0, 1] == pytest.approx(1 / 3)


def test_families_join_latents_through_third_dictionaries() -> None:
    pairs = {(0, 1): np.array([[0, 1]]), (1, 2): np.array([[1, 0]])}
    found = families_of(pairs, [2, 2, 2])
    assert found[0] == found[3] == found[4]
    assert len(set(found.tolist())) == 4


def planted(effect_of_shared: float, effect_of_unique: float, busy: float = 1.0) -> Any:
    """Two dictionaries, half shared; effects grow with frequency, and by what is planted."""
    rng = np.random.default_rng(0)
    frequency = rng.uniform(0.01, 0.1, 200)
    shared = np.arange(200) < 100
    frequency = np.where(shared, frequency * busy, frequency)
    extra = np.where(shared, effect_of_shared, effect_of_unique)
    noise = rng.normal(0, 0.01, 200)
    effects = LatentEffects(frequency, np.ones(200), 10 * frequency + extra + noise)
    pairs = {(0, 1): np.stack([np.arange(100)] * 2, 1)}
    found = shared.astype(float)
    families = families_of(pairs, [200, 200])
    return mattering([found, found], [effects, effects], families, 0.95, 0)


def test_a_planted_difference_is_seen() -> None:
    found = planted(0.2, 0.0)
    for name in ("all", "frequency", "activity"):
        figure, n, families = found[name]
        assert figure.low > 0.1 and figure.value == pytest.approx(0.2, abs=0.06), name
        assert n > 50 and families > 25
    assert found["all"][2] == 100  # 200 latents, each pair of copies one family


def test_activity_alone_makes_a_difference_that_the_pairs_take_away() -> None:
    found = planted(0.0, 0.0, busy=1.6)
    assert found["all"][0].low > 0.1
    matched = found["frequency"][0]
    assert abs(matched.value) < 0.25 * found["all"][0].value


def test_effects_are_those_of_the_edit(model: Any) -> None:
    """One latent, on the rows where it is active: the loss of a run with the latent at zero."""
    dictionary = random_dictionary(3)
    rows = JudgedRows.of(model, dictionary, TEXT, None, None, ["pad"])
    found = latent_effects(dictionary, rows, rows_each=len(TEXT))
    latent = int(np.argmax(found.frequency))
    hung = rz.load("microworld", check=False)
    hung.dictionaries["own"] = dictionary
    rise, active = 0.0, 0
    for text in TEXT:
        ids = hung.to_tokens(text)
        edit = rz.Zero(f"{AT[0]}/own[F{latent}]")
        base = hung.run(ids, capture=list(AT))
        n = int((dictionary.encode(base[AT[0]])[..., latent] != 0).sum())
        if n:
            logits: list[Any] = [base.logits, hung.run(ids, edits=[edit]).logits]
            losses = [
                -each[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None]).sum() for each in logits
            ]  # fmt: skip
            rise, active = rise + float(losses[1] - losses[0]), active + n
    assert active and found.effect_nats[latent] == pytest.approx(rise / active, abs=1e-4)


def test_with_text_the_report_says_what_matters(model: Any, tmp_path: Path) -> None:
    one = random_dictionary(0)
    W_enc, W_dec = one.W_enc.clone(), one.W_dec.clone()
    other = random_dictionary(7)
    W_enc[..., 48:], W_dec[48:] = other.W_enc[..., 48:], other.W_dec[48:]
    two = replace(one, W_enc=W_enc, W_dec=W_dec)
    found = dictionary_stability([one, two], model, TEXT, rows_each=2)
    assert found.found_share.value == pytest.approx(0.5)
    assert found.found_share_alive is not None and found.matters_n["all"] > 0
    table = found.to_dataframe()
    assert list(table.columns) == [
        "dictionary", "latent", "found", "frequency", "strength", "effect_nats"
    ]  # fmt: skip
    for suffix in ("json", "csv", "html"):
        found.save(tmp_path / f"found.{suffix}")
    assert json.loads((tmp_path / "found.json").read_text())["found_share"]["value"] == 0.5
    again = dictionary_stability([one, two], model, TEXT, rows_each=2)
    assert json.dumps(again.to_json()) == json.dumps(found.to_json())


def test_what_is_found_again_is_what_is_there() -> None:
    """On samples of known features: latents found in both trainings are nearer to true ones."""
    world = rd.SparseWorld(n_features=64, width=32, active=3, seed=0)
    trained: list[Any] = [
        rd.train_dictionary(
            world.source(), n_latents=96, activation=rd.TopK(3), samples=200_000,
            batch_size=512, seed=seed, optimiser=rd.Adam(3e-3),
        ).dictionary
        for seed in (1, 2)
    ]  # fmt: skip
    found = dictionary_stability(trained)
    nearness = (Directions.of(trained[0]).writes @ world.features.double().numpy().T).max(1)
    again = found.found[0] == 1
    assert 0.2 < again.mean() < 0.9
    assert nearness[again].mean() > nearness[~again].mean() + 0.1


def test_refusals(model: Any) -> None:
    one = random_dictionary(0)
    elsewhere = (Address.parse("L2.resid_post"),)
    cases: list[tuple[Any, dict[str, Any], str]] = [
        ([one], {}, "two dictionaries"),
        (one, {}, "two dictionaries"),
        ([one, replace(one, reads=elsewhere, writes=elsewhere)], {}, "different sites"),
        ([replace(one, weight_hash="a" * 64), replace(one, weight_hash="b" * 64)], {},
         "different models"),
        ([one, one], {"threshold": 1.5}, "threshold"),
        ([one, one], {"text": TEXT}, "belong together"),
        ([one, one], {"null_draws": 0}, "null_draws"),
        ([one, object()], {}, "compares dictionaries"),
        ([one, one], {}, r"dictionaries 0 and 1 \(counted from 0\) are identical"),
        ([one, random_dictionary(1), replace(one, labels={0: "a"})], {}, "0 and 2 .* identical"),
    ]  # fmt: skip
    for given, options, words in cases:
        with pytest.raises(OptionError, match=words):
            dictionary_stability(given, **options)
    foreign = replace(one, weight_hash="a" * 64)
    with pytest.raises(LoadError, match="other weights"):
        dictionary_stability([foreign, foreign], model, TEXT)
