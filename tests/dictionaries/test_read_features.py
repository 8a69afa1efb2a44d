"""One pass against brute force: a hand-set dictionary, whose latent 3 knows one token only."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.core import Address, AddressError, LoadError, OptionError, StoreError
from residuum.dictionaries import Dictionary, ReLU, evaluate_dictionary
from residuum.dictionaries.reading import (
    FeatureReading,
    Neurons,
    RandomDirections,
    Sizes,
    compare_features,
    load_reading,
    merge_readings,
    read_features,
)
from residuum.dictionaries.reading.counts import EDGES
from residuum.worlds import microworld_text

SIZES = Sizes(top=4, sample=8, before=5, after=3, company=4096)
LATENT, WORD = 3, "holds"


@pytest.fixture(scope="module")
def model() -> rz.Model:
    return rz.load("microworld", check=False)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return list(itertools.islice(microworld_text(0), 120))


@pytest.fixture(scope="module")
def dictionary(model: rz.Model) -> Dictionary:
    """Latents of ``embed``: each active at one token alone, latent 3 at ``holds``; latent 5 never.

    Each reads the direction on which its token's embedding stands out from all others.
    """
    embed = model.W_E.float()
    tokens = [model.to_single_token(word) for word in ("the", "to", "John", WORD, "store", "went")]
    vectors = torch.stack([embed[i] / embed[i].norm() for i in tokens], 1)
    scores = embed @ vectors
    best = scores.topk(2, dim=0).values
    assert scores.argmax(0).tolist() == tokens
    b_enc = -best.mean(0)
    b_enc[5] = -1e6
    at = (Address.parse("embed"),)
    drawn = torch.randn(6, 1, embed.shape[1], generator=torch.Generator().manual_seed(0))
    return Dictionary(
        at, at, W_enc=vectors[None], W_dec=drawn, b_dec=torch.zeros(1, embed.shape[1]),
        activation=ReLU(), b_enc=b_enc, weight_hash=model.adapted.weight_hash, labels={3: WORD},
    )  # fmt: skip


@pytest.fixture(scope="module")
def reading(dictionary: Dictionary, model: rz.Model, texts: list[str]) -> FeatureReading:
    return read_features(dictionary, model, texts, sizes=SIZES)


def rows_of(model: rz.Model, dictionary: Dictionary, texts: list[str]) -> list[tuple[Any, Any]]:
    """Ids and latents of each text, one run each."""
    out = []
    for text in texts:
        run = model.run(text, capture=["embed"], logits=False)
        out.append((run.ids[0].tolist(), dictionary.encode(run["embed"][0]).numpy()))
    return out


def test_the_latent_of_one_token_is_read_as_counted(
    reading: FeatureReading, dictionary: Dictionary, model: rz.Model, texts: list[str]
) -> None:
    rows, mary = rows_of(model, dictionary, texts), model.to_single_token(WORD)
    places = [(r, p) for r, (ids, _) in enumerate(rows) for p in range(1, len(ids))]
    hits = [(r, p) for r, p in places if rows[r][0][p] == mary]
    assert len(hits) > 10
    found = reading[LATENT]
    assert reading.n_tokens == len(places) and reading.n_rows == len(texts)
    assert reading.left_out["bos"] == len(texts)
    assert found.label == WORD
    assert found.density == len(hits) / len(places)
    assert found.density_rows == len({r for r, _ in hits}) / len(texts)
    values = np.array([rows[r][1][p, LATENT] for r, p in hits])
    assert found.largest == pytest.approx(values.max(), rel=1e-6)
    counts, edges = found.histogram
    assert counts.sum() == len(hits)
    assert np.allclose(edges, [each for each in EDGES if edges[0] <= each <= edges[-1]])
    assert edges[0] <= values.min() and values.max() < edges[-1]
    contexts = {tuple(rows[r][0][: p + 1]) for r, p in hits}
    assert len(found.examples) >= min(len(contexts), SIZES.top)
    assert {each.band for each in found.examples} >= {"top"}
    for each in found.examples:
        assert each.ids[each.at] == mary and each.token.strip() == WORD
        ahead = each.ids[: each.at + 1]
        whole = [c for c in contexts if c[-len(ahead) :] == ahead]
        assert whole
        here = [0.0 if i != mary else each.activation for i in each.ids]
        known = [a for a in each.activations if a == a]
        assert known == [b for a, b in zip(each.activations, here, strict=True) if a == a]
        text = rows[each.document][0]
        assert text[each.position] == mary
        assert tuple(text[max(0, each.position - SIZES.before) : each.position]) == ahead[:-1]
    table = reading.to_dataframe("example")
    own = table[table["latent"] == LATENT]
    assert own["document"].tolist() == [each.document for each in found.examples]
    assert own["position"].tolist() == [each.position for each in found.examples]
    assert own["activation"].tolist() == [each.activation for each in found.examples]
    with pytest.raises(OptionError, match="by='token' is not known"):
        reading.to_dataframe("token")
    keys = [each.key for each in found.examples]
    assert len(set(keys)) == len(keys) <= len(contexts)


def test_a_latent_that_is_never_active_says_so(reading: FeatureReading) -> None:
    found = reading[5]
    assert (found.density, found.largest, found.examples) == (0.0, 0.0, ())
    assert not len(found.histogram[0]) and not found.partners


def test_effects_on_logits_are_the_direct_path(
    reading: FeatureReading, dictionary: Dictionary, model: rz.Model
) -> None:
    vector = dictionary.W_dec[LATENT, 0].double()
    vector = (vector - vector.mean()) * model.w_ln_final.double()
    logits = vector @ model.W_U.double()
    logits = logits - logits.mean()
    order = logits.argsort(descending=True)
    found = reading[LATENT]
    strings = model.adapted.tokens.strings(order)
    assert [token.strip() for token, _ in found.promoted] == [s.strip() for s in strings[:10]]
    assert [t.strip() for t, _ in found.suppressed] == [s.strip() for s in strings[::-1][:10]]
    assert [v for _, v in found.promoted] == pytest.approx(logits[order[:10]].tolist(), rel=1e-3)


def test_partners_and_neighbours_are_as_counted(
    reading: FeatureReading, dictionary: Dictionary, model: rz.Model, texts: list[str]
) -> None:
    contexts = {
        tuple(ids[: p + 1]): latents[p] > 0
        for ids, latents in rows_of(model, dictionary, texts)
        for p in range(1, len(ids))
    }
    assert len(reading.counted.company.keys) == len(contexts)
    assert not reading[LATENT].partners  # one token, one latent: never two at once
    unit = torch.nn.functional.normalize(dictionary.W_dec[:, 0], dim=-1)
    cosines = (unit @ unit.T)[LATENT]
    assert [i for i, _ in reading[LATENT].neighbours] == [
        i for i in cosines.argsort(descending=True).tolist() if i != LATENT
    ]


def test_readings_of_two_texts_merged_are_that_of_both(
    dictionary: Dictionary, model: rz.Model, texts: list[str]
) -> None:
    def read(some: list[str]) -> FeatureReading:
        return read_features(dictionary, model, some, sizes=SIZES, skip=("bos",), batch_size=1)

    whole, both = read(texts[:30]), merge_readings(read(texts[:12]), read(texts[12:30]))
    for name, each in whole.counted.tensors().items():
        assert np.array_equal(
            each, both.counted.tensors()[name], equal_nan=each.dtype.kind == "f"
        ), name
    assert repr(whole[LATENT]) == repr(both[LATENT]) and both.left_out == whole.left_out
    with pytest.raises(OptionError, match="different units"):
        merge_readings(whole, read_features(Neurons(model, "L1.mlp_act"), model, texts[:2]))
    for twice in ((whole, whole), (both, read(texts[12:30])), (read(texts[:12]), both)):
        with pytest.raises(OptionError, match=r"of the same text .*: it would count twice"):
            merge_readings(*twice)


@pytest.mark.parametrize(
    ("labels", "words"),
    [({9999: "x"}, "a label for latent 9999 of 6"), ({-1: "x"}, "a label for latent -1"),
     ({"3": "x"}, "a label for latent '3'"), ({3: 5}, "label of latent 3 is no text"),
     (["x"], "labels are a list"), (None, "labels are a NoneType")],
)  # fmt: skip
def test_labels_of_no_unit_are_refused(
    reading: FeatureReading, dictionary: Dictionary, labels: Any, words: str
) -> None:
    for each in (reading, dictionary):
        with pytest.raises(OptionError, match=words):
            each.with_labels(labels)
    assert reading.with_labels({3: "other"}).labels == {3: "other"}


def test_two_results_do_not_share_a_folder(
    reading: FeatureReading, dictionary: Dictionary, tmp_path: Path
) -> None:
    for first, second, name in (
        (reading, dictionary, "reading.json"), (dictionary, reading, "dictionary.json"),
    ):  # fmt: skip
        folder = tmp_path / name
        first.save(folder)
        before = {each.name: each.read_bytes() for each in folder.iterdir()}
        with pytest.raises(StoreError, match=f"another result: {name} is there") as told:
            second.save(folder)
        assert told.value.mend == "give a folder of its own"
        assert {each.name: each.read_bytes() for each in folder.iterdir()} == before
        first.save(folder)  # its own is replaced
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "harvest.json").write_text("{}")
    for each in (reading, dictionary):
        with pytest.raises(StoreError, match="another result"):
            each.save(tmp_path / "h")


class Stop(Exception):
    pass


class StopsAfter:
    def __init__(self, rows: int) -> None:
        self.left = rows

    def start(self, stage: str, total: int) -> None:
        pass

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left <= 0:
            raise Stop

    def finish(self) -> None:
        pass


def test_a_pass_that_stopped_goes_on_and_ends_the_same(
    dictionary: Dictionary, model: rz.Model, texts: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("residuum.dictionaries.reading.reading_features._PART_TOKENS", 400)
    options: Any = {"sizes": SIZES, "batch_size": 8}
    whole = read_features(dictionary, model, texts, **options)
    with pytest.raises(Stop):
        read_features(dictionary, model, texts, keep=tmp_path, progress=StopsAfter(60), **options)
    assert (tmp_path / "pass.safetensors").exists()
    again = read_features(dictionary, model, texts, keep=tmp_path, **options)
    for name, each in whole.counted.tensors().items():
        assert np.array_equal(
            each, again.counted.tensors()[name], equal_nan=each.dtype.kind == "f"
        ), name
    assert again.left_out == whole.left_out
    with pytest.raises(StoreError, match="a pass of other units, text, model or options"):
        read_features(dictionary, model, texts[:50], keep=tmp_path, **options)


def test_what_was_saved_is_what_is_loaded(reading: FeatureReading, tmp_path: Path) -> None:
    reading.save(tmp_path / "it")
    again = load_reading(tmp_path / "it")
    assert repr(again[LATENT]) == repr(reading[LATENT])
    assert again.to_dataframe().equals(reading.to_dataframe())
    assert (
        reading.page(tmp_path / "a.html").read_text() == again.page(tmp_path / "b.html").read_text()
    )
    raw = bytearray((tmp_path / "it" / "reading.safetensors").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "it" / "reading.safetensors").write_bytes(raw)
    with pytest.raises(StoreError, match="its tensors were changed since"):
        load_reading(tmp_path / "it")
    with pytest.raises(StoreError, match=r"reading\.json cannot be read"):
        load_reading(tmp_path / "none")


def test_neurons_and_random_directions_are_read_the_same_way(
    reading: FeatureReading, model: rz.Model, texts: list[str]
) -> None:
    neurons = read_features(Neurons(model, "L1.mlp_act"), model, texts, sizes=SIZES)
    stream = read_features(Neurons(model, "L1.resid_post"), model, texts, sizes=SIZES)
    drawn = RandomDirections(model, "L1.resid_post", 64)
    random = read_features(drawn, model, texts, sizes=SIZES)
    run = [model.run(t, capture=["L1.mlp_act", "L1.resid_post"], logits=False) for t in texts]
    x = torch.cat([each["L1.mlp_act"][0, 1:] for each in run]).double()
    centred = x - x.mean(0)
    kurtosis = centred.pow(4).mean(0) / centred.pow(2).mean(0).pow(2)
    assert np.allclose(neurons.kurtosis, kurtosis, rtol=1e-3)
    assert np.allclose(neurons.density, (x > 0).double().mean(0), atol=2 / len(x))
    s = torch.cat([each["L1.resid_post"][0, 1:] for each in run])
    assert np.allclose(random.largest, (s @ drawn.directions.T).max(0).values.relu(), rtol=1e-4)
    table = compare_features(reading, neurons, stream, random).to_dataframe()
    assert table["name"].tolist()[1] == "neurons of L1.mlp_act"
    # a hand-set latent knows one token; the neurons are privileged, the stream's dimensions not
    assert table["token_count"][0] == 1.0 and table["token_count"][3] > 1.5
    assert table["kurtosis"][1] > 2 * table["kurtosis"][3]
    assert abs(table["kurtosis"][2] - table["kurtosis"][3]) < 1
    effect = neurons[7].promoted[0][1]
    vector = model.W_out[1][7].double()
    logits = ((vector - vector.mean()) * model.w_ln_final.double()) @ model.W_U.double()
    assert effect == pytest.approx(float((logits - logits.mean()).max()), rel=1e-3)
    with pytest.raises(OptionError, match="different models or texts"):
        compare_features(reading, read_features(drawn, model, texts[:3], sizes=SIZES))


def test_what_cannot_be_read_is_refused(
    dictionary: Dictionary, reading: FeatureReading, model: rz.Model, texts: list[str]
) -> None:
    with pytest.raises(OptionError, match=r"cannot read .L1\.resid_post.") as told:
        read_features("L1.resid_post", model, texts)
    assert told.value.mend.startswith("give a dictionary, Neurons(model, site)")
    twin = rz.load("microworld-trigger", check=False)
    with pytest.raises(LoadError, match="was trained on a model") as other:
        read_features(dictionary, twin, texts)
    assert "in the dtype that it was trained in" in other.value.mend
    for basis in (Neurons, RandomDirections):
        with pytest.raises(AddressError, match=r"L1\.pattern holds no one vector"):
            basis(model, "L1.pattern")
    heads = replace(dictionary, reads=("L1.z",), writes=("L1.z",))
    with pytest.raises(AddressError, match="of all heads joined"):
        read_features(heads, model, texts)
    two = replace(
        dictionary, reads=dictionary.reads * 2, writes=dictionary.writes * 2, models=("a", "b"),
        W_enc=dictionary.W_enc.repeat(2, 1, 1), W_dec=dictionary.W_dec.repeat(1, 2, 1),
        b_dec=dictionary.b_dec.repeat(2, 1),
    )  # fmt: skip
    with pytest.raises(OptionError, match="reads 2 models, this runs the text on one"):
        read_features(two, model, texts)
    with pytest.raises(AddressError, match="of all heads joined"):
        evaluate_dictionary(heads, model, texts)
    with pytest.raises(LoadError, match="the text is run on"):
        read_features(Neurons(model, "L1.mlp_act"), twin, texts)
    with pytest.raises(OptionError, match="means 4 sites"):
        Neurons(model, "L*.mlp_act")
    with pytest.raises(OptionError, match="no latent 6") as told:
        reading.latent(6)
    assert told.value.mend == "they go from 0 to 5"
    with pytest.raises(OptionError, match="are no sizes"):
        read_features(dictionary, model, texts, sizes=5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="nothing to compare"):
        compare_features()
