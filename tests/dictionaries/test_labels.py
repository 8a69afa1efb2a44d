"""Labels by statistics: known rules are found, and judged on documents that none was made from."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from label_samples import WORDS, after, noise, on, sample, since

import residuum as rz
from residuum.core import OptionError, ResiduumError, StoreError
from residuum.dictionaries.labels import (
    TokenStatistics,
    TrialSizes,
    label_features,
    latent_examples,
    load_labels,
)
from residuum.dictionaries.labels.from_reading import from_reading
from residuum.dictionaries.labels.rules import Rule
from residuum.dictionaries.labels.score import balanced_accuracy
from residuum.dictionaries.labels.trials import trials
from residuum.dictionaries.reading import Neurons, read_features
from residuum.worlds import microworld_text

RULES = {1: on(3), 2: after(5), 3: since(7), 4: on(9), 5: on(11)}


def test_known_rules_are_found_and_score_one() -> None:
    labels = label_features(sample(RULES))
    found = {latent: each.rule for latent, each in labels.found.items()}
    assert found == {
        1: Rule("on", (3,)),
        2: Rule("after", (5,)),
        3: Rule("since", (7,), (0,)),
        4: Rule("on", (9,)),
        5: Rule("on", (11,)),
    }
    assert labels[2].text == "right after 'eel'"
    for each in labels.found.values():
        assert each.detection is not None and each.fuzzing is not None
        assert each.detection.value == each.fuzzing.value == 1
        assert each.detection.low > 0.85


def test_a_place_in_the_text_is_a_rule() -> None:
    examples = sample({})
    row = np.arange(0, len(examples.ids), 2)
    from residuum.dictionaries.labels import Entries

    first = Entries(row, np.full(len(row), 4), np.ones(len(row), np.float32))
    found = label_features(replace(examples, entries={6: first}))[6]
    assert found.text == "at token 5 of a text"
    assert found.detection is not None and found.detection.value == 1


def test_another_latents_label_and_noise_are_at_chance() -> None:
    labels = label_features(sample({i: on(i) for i in range(1, 21)}))
    means = labels.means
    assert means["detection"].value == 1
    other = means["detection_control"]
    assert other.low < 0.55 and abs(other.value - 0.5) < 0.06
    assert means["detection_gain"].low > 0.4
    nothing = label_features(sample({i: noise(i) for i in range(20)})).means
    assert nothing["detection"].low < 0.55 and abs(nothing["detection"].value - 0.5) < 0.06
    assert abs(nothing["fuzzing"].value - 0.5) < 0.06


def test_no_document_is_shared_by_making_and_judging() -> None:
    examples = sample(RULES, contexts=4)
    some = trials(examples, TrialSizes(), seed=3)
    made, judged = set(), set()
    for each in some:
        for part in (each.shown, each.shown_inactive, each.counted, each.counted_inactive):
            made |= set(examples.documents[part].tolist())
        for questions in (each.detection, each.fuzzing):
            own = examples.documents[questions.contexts]
            judged |= set(own.tolist())
            truths = [own[questions.truth == truth] for truth in (True, False)]
            assert all(len(set(part.tolist())) == len(part) for part in truths)
    assert made and judged and not made & judged


def test_questions_are_true_and_half_and_half() -> None:
    examples = sample(RULES)
    for each in trials(examples, TrialSizes(judged=12), seed=0):
        strength = examples.strengths(each.latent)[each.detection.contexts]
        assert ((strength > 0) == each.detection.truth).all()
        assert each.detection.truth.sum() == 12 and len(each.detection) == 24
        values = examples.activations(each.latent, each.fuzzing.contexts)
        for own, at, truth in zip(values, each.fuzzing.marks, each.fuzzing.truth, strict=True):
            assert len(at) and (own[list(at)] > 0).all() == truth
            assert truth == (set(at) == set(np.flatnonzero(own > 0).tolist()))


def test_balanced_accuracy_by_hand() -> None:
    truth = np.array([True] * 10 + [False] * 10)
    answers = [True] * 8 + [False] * 2 + [True] * 5 + [False] * 4 + [None]
    score = balanced_accuracy(truth, answers)
    assert score.value == pytest.approx((8 / 10 + 4 / 9) / 2)
    assert (score.right_yes, score.n_yes, score.right_no, score.n_no) == (8, 10, 4, 9)
    assert score.unread == 1 and score.low < score.value < score.high
    silent = balanced_accuracy(truth, [None] * 20)
    assert math.isnan(silent.value) and silent.unread == 20


def test_the_interval_covers_what_it_says() -> None:
    rng, inside = np.random.default_rng(0), 0
    truth = np.array([True] * 20 + [False] * 20)
    for _ in range(1000):
        right = rng.random(40) < np.where(truth, 0.9, 0.6)
        score = balanced_accuracy(truth, list(np.where(right, truth, ~truth)))
        inside += score.low <= 0.75 <= score.high
    assert 0.93 <= inside / 1000 <= 0.99


def test_latents_without_enough_examples_say_so() -> None:
    rare = lambda ids: on(3)(ids) & (np.arange(len(ids)) < 16)[:, None]  # noqa: E731
    labels = label_features(sample({1: on(3), 2: rare, 3: lambda ids: ids < 0}))
    assert labels[1].detection is not None and labels[1].lacks == ""
    assert labels[2].detection is None and "needed" in labels[2].lacks
    assert labels[3].lacks == "active in 0 of the contexts that labels are made from"
    assert 3 not in labels.texts and labels.means["detection"].value == 1


def test_labels_are_the_same_again_and_change_with_the_seed() -> None:
    examples = sample({**RULES, 8: noise(1)})
    first, again = label_features(examples), label_features(examples)
    assert first.to_json() == again.to_json()
    assert label_features(examples, seed=1).to_json() != first.to_json()


def test_labels_are_kept_and_read(tmp_path: Path) -> None:
    made = label_features(sample({**RULES, 9: lambda ids: ids < 0}))
    made = made.with_manual({3: "after a gnu", 40: "hand"}, author="Ada", date="2026-01-31")
    made.save(tmp_path / "labels.json")
    read = load_labels(tmp_path / "labels.json")
    assert read.to_json() == made.to_json() and read[3] == made[3] and read.found == made.found
    made.save(tmp_path / "labels.csv")
    made.save(tmp_path / "labels.svg")
    table = made.to_dataframe()
    assert len(table) == 8 and table[table.by == "hand"].author.tolist() == ["Ada", "Ada"]
    assert made.record["strategy"]["by"] == "TokenStatistics" and made.provenance.seed == 0
    (tmp_path / "other.json").write_text(json.dumps({"format": "x"}))
    for name in ("other.json", "none.json", "labels.csv"):
        with pytest.raises(StoreError):
            load_labels(tmp_path / name)


def test_labels_by_hand_come_first_and_hide_none() -> None:
    made = label_features(sample(RULES))
    mine = made.with_manual({1: " cats\x1b[31m\n and   kittens "}, author="Ada")
    assert mine[1].text == "cats[31m and kittens" and mine[1].by == "hand" and mine[1].date
    assert mine.found[1].text == "on 'cat'" and made[1].text == "on 'cat'"
    assert mine.texts[1] == "cats[31m and kittens" and mine.texts[2] == "right after 'eel'"
    for wrong in ({-1: "x"}, {True: "x"}, {"a": "x"}, {1: " "}, {1: 3}):
        with pytest.raises(OptionError):
            made.with_manual(wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="no date"):
        made.with_manual({1: "x"}, date="soon")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"by": "gpt"}, "no way to label"),
        ({"confirm": True}, "there is none"),
        ({"max_cost": 1.0}, "there is none"),
        ({"keep": "x"}, "there is none"),
        ({"latents": [99]}, "no examples of latent 99"),
        ({"level": 1}, "level=1"),
        ({"seed": -1}, "seed=-1"),
        ({"sizes": 3}, "sizes=3"),
        ({"text": "a"}, "beside examples"),
        ({"progress": 3}, "told of progress"),
    ],
)
def test_options_are_refused_by_name(options: dict[str, object], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        label_features(sample(RULES), **options)  # pyright: ignore[reportArgumentType]


def test_one_document_and_no_model_are_refused() -> None:
    with pytest.raises(OptionError, match="one document"):
        label_features(sample(RULES, documents=1))
    with pytest.raises(OptionError, match="needs a model and text"):
        label_features(object())


MODEL = rz.load("microworld", check=False)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return list(islice(microworld_text(seed=0), 400))


def test_examples_are_what_the_model_holds(texts: list[str]) -> None:
    at = "L1.mlp_act"
    examples = latent_examples(Neurons(MODEL, at), MODEL, texts, latents=[5, 2], window=8)
    assert examples.latents == (5, 2)
    short = next(t for t in texts if len(MODEL.tokenizer(t)["input_ids"]) > 12)
    ids = MODEL.tokenizer(short)["input_ids"]
    run = MODEL.run(short, capture=[at])
    for start in (0, 8):
        piece = ids[start : start + 8]
        rows = (examples.ids[:, : len(piece)] == piece).all(1)
        rows &= (examples.ids >= 0).sum(1) == len(piece)
        row = np.flatnonzero(rows & (examples.offsets == start))
        assert len(row) == 1
        own = np.maximum(run[at][0, start : start + 8, 5].numpy(), 0)
        kept = np.array([each != MODEL.adapted.tokens.bos_id for each in piece])
        found = examples.activations(5, row)[0, : len(piece)]
        np.testing.assert_allclose(found, own * kept, atol=1e-4)
        text = "".join(examples.pieces(int(row[0])))
        assert text == MODEL.tokenizer.decode(piece)


def test_examples_above_a_share_of_the_largest(texts: list[str]) -> None:
    basis = Neurons(MODEL, "L1.mlp_act")
    all_of = latent_examples(basis, MODEL, texts, latents=[5]).entries_of(5)
    strong = latent_examples(basis, MODEL, texts, latents=[5], above=0.5).entries_of(5)
    assert strong.values.min() > 0.5 * all_of.values.max()
    assert len(strong.values) == (all_of.values > 0.5 * all_of.values.max()).sum()
    for wrong in ([2, 512], [], "5", [True]):
        with pytest.raises(ResiduumError):
            latent_examples(basis, MODEL, texts, latents=wrong)  # pyright: ignore[reportArgumentType]


def test_a_readings_examples_are_taken_as_they_are(texts: list[str]) -> None:
    reading = read_features(Neurons(MODEL, "L1.mlp_act"), MODEL, texts)
    examples = from_reading(reading, [5, 7])
    assert not examples.exact and examples.latents == (5, 7)
    first = reading.examples(5)[0]
    row = [tuple(each[each >= 0].tolist()) for each in examples.ids].index(first.ids)
    own = np.maximum(np.nan_to_num(np.array(first.activations)), 0)
    np.testing.assert_allclose(examples.activations(5, np.array([row]))[0, : len(own)], own)
    labels = label_features(reading, latents=[5, 7], sizes=TrialSizes(judged=5))
    assert labels.latents == (5, 7) and labels.record["exact"] is False


def test_the_client_library_is_not_imported_with_the_package() -> None:
    code = "import sys, residuum.dictionaries.labels; sys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_statistics_say_what_is_out_of_range() -> None:
    for options in ({"candidates": 0}, {"most": 0}, {"gain": 1.0}):
        with pytest.raises(OptionError):
            TokenStatistics(**options)  # pyright: ignore[reportArgumentType]
    assert len(WORDS) == len(set(WORDS))
