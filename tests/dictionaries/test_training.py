"""Training: it learns, reaches its goals, tells how it goes, and refuses what cannot be meant."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

import residuum
import residuum.dictionaries as rd
from residuum.core import CheckFailed, OptionError

WORLD = rd.SparseWorld(n_features=48, width=32, active=3, seed=5)
SITE = "L0.resid_post"


def plan(activation: rd.Activation | None = None, **more: object) -> rd.CoderPlan:
    given = {"reads": (SITE,), "width": 32, "n_latents": 48, "dead_after": 5_000, **more}
    return rd.CoderPlan(activation=activation or rd.TopK(3), **given)  # pyright: ignore


PENALISED = {
    "l1": plan(rd.ReLU(), penalty=rd.L1()),
    "jump": plan(rd.JumpReLU(bandwidth=0.5, start=0.5), penalty=rd.L0Step()),
    "gated": plan(rd.Gated(), penalty=rd.L1()),
}


def train(one: rd.CoderPlan, **more: object) -> rd.Training:
    given = {"samples": 100_000, "batch_size": 500, "optimiser": rd.Adam(lr=5e-3), **more}
    return rd.train_dictionary(WORLD.source(), plan=one, **given)


def test_topk_learns_most_of_the_variance_and_the_curve_says_so() -> None:
    training = train(plan())
    last = training.curve.last()
    assert last["explained_variance"] > 0.75 > training.curve.explained_variance[0]
    assert last["l0"] <= 3
    assert (last["step"], last["samples"]) == (200, 100_000)
    x, _ = WORLD.held_out(4096)
    left = (x - training.dictionary.reconstruct(x)).square().sum()
    explained = 1 - left / (x - x.mean(0)).square().sum()
    assert last["explained_variance"] == pytest.approx(float(explained), abs=0.03)


def test_explained_variance_is_about_the_mean() -> None:
    shifted = rd.TensorSource(WORLD.held_out(4096)[0] + 5.0, SITE)
    training = rd.train_dictionary(
        shifted, plan=plan(), steps=2, batch_size=512, optimiser=rd.Adam(lr=1e-6), log_every=1
    )
    assert training.curve.last()["explained_variance"] < 0.5


@pytest.mark.parametrize("name", PENALISED)
@pytest.mark.parametrize("goal", [2.0, 6.0])
def test_penalised_kinds_reach_their_l0(name: str, goal: float) -> None:
    training = train(PENALISED[name], target_l0=goal, samples=400_000)
    tail = training.curve.l0[-10:]
    assert np.abs(np.log(tail / goal)).max() < 0.25
    x, _ = WORLD.held_out(4096)
    assert (training.dictionary.encode(x) > 0).sum(1).double().mean() == pytest.approx(
        goal, rel=0.2
    )


def test_several_on_one_stream_are_what_each_is_alone() -> None:
    plans = {"a": plan(), "b": PENALISED["l1"]}
    options = {"steps": 30, "batch_size": 200, "seed": 2}
    both = rd.train_dictionaries(WORLD.source(), plans, target_l0={"b": 3.0}, **options)
    alone = rd.train_dictionary(WORLD.source(), plan=plans["b"], target_l0=3.0, **options)
    for name, each in alone.dictionary.tensors().items():
        assert torch.equal(both["b"].dictionary.tensors()[name], each)
    assert both["a"].dictionary.n_latents == 48


def test_decoder_rows_stay_at_length_one() -> None:
    rows = train(plan(), samples=5_000).dictionary.tensors()["W_dec"]
    assert torch.allclose(rows.flatten(1).norm(dim=1), torch.ones(48), atol=1e-5)


def dead_start(**more: object) -> rd.Training:
    """Half the latents of a TopK coder begin with a bias that keeps them silent."""
    from residuum.dictionaries.training import state

    class Handicapped(rd.SparseCoder):
        def initialise(self, inputs, targets=None):
            super().initialise(inputs, targets)
            with torch.no_grad():
                self.parameters()["b_enc"][:24] = -50.0

    kept = state.SparseCoder
    state.SparseCoder = Handicapped
    try:
        return train(plan(dead_after=2_000, **more.pop("plan", {})), **more)  # pyright: ignore
    finally:
        state.SparseCoder = kept


def test_resampling_revives_latents_that_stay_dead_without_it() -> None:
    assert dead_start().curve.last()["dead_share"] >= 0.5
    revived = dead_start(resample=rd.Resampling(every=20, scale=1.0))
    assert revived.curve.dead_share.max() >= 0.4
    assert revived.curve.last()["dead_share"] <= 0.05
    plain = dead_start().curve.last()["explained_variance"]
    assert revived.curve.last()["explained_variance"] > plain + 0.05


def test_a_listener_hears_steps_and_figures() -> None:
    class Listener:
        def __init__(self) -> None:
            self.steps, self.heard, self.ended = 0, [], 0

        def start(self, stage: str, total: int) -> None:
            assert total == 20

        def advance(self, steps: int = 1) -> None:
            self.steps += steps

        def finish(self) -> None:
            self.ended += 1

        def stands(self, standing: rd.Standing) -> None:
            self.heard.append(standing)

    listener = Listener()
    train(plan(), samples=None, steps=20, progress=listener)
    assert (listener.steps, listener.ended, len(listener.heard)) == (20, 1, 2)
    text = str(listener.heard[0])
    assert "step 10/20" in text and "explained variance" in text and "dead" in text
    assert listener.heard[0].seconds_left > 0 == listener.heard[-1].seconds_left


def test_the_result_has_its_figure_table_record_and_files(tmp_path) -> None:
    training = train(plan(), samples=10_000, seed=7)
    assert list(training.to_dataframe().columns)[:3] == ["step", "samples", "loss"]
    assert len(training.figure().figures) == 3
    assert "what it rebuilds" in training.figure().does_not_show
    assert training.provenance.seed == 7
    assert training.record["stream"] == WORLD.record
    training.save(tmp_path / "kept")
    data = json.loads((tmp_path / "kept" / "training.json").read_text())
    assert data["curve"]["l0"] == training.curve.l0.tolist()
    assert rd.Curve.from_json(data["curve"]).last() == training.curve.last()
    assert not [each for each in (tmp_path / "kept").iterdir() if each.suffix in (".pt", ".pkl")]
    read = rd.read_dictionary(tmp_path / "kept")
    x, _ = WORLD.held_out(256)
    assert torch.equal(read.reconstruct(x), training.dictionary.reconstruct(x))


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    with pytest.raises(CheckFailed, match="NaN or infinite at step"):
        train(PENALISED["l1"], coefficient=1e39)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"steps": 1, "samples": 1}, "one of steps and samples"),
        ({}, "one of steps and samples"),
        ({"steps": 1, "stpes": 1}, "unknown option stpes"),
        ({"steps": 1, "aux_k": 8}, r"(?s)unknown option aux_k.*goes into plan=CoderPlan"),
        ({"steps": 1, "target_l0": 4.0}, "TopK without a penalty"),
        ({"steps": 1, "target_l0": {"other": 4.0}}, "which no plan is named"),
        ({"steps": 0}, "steps=0"),
        ({"steps": 1, "batch_size": 0}, "batch_size=0"),
        ({"steps": 1, "decay": 2.0}, "decay=2.0 is no share"),
        ({"steps": 1, "n_latents": 4}, "both given"),
        ({"steps": 1, "progress": 3}, "progress=3"),
        ({"steps": 1, "dtype": torch.int64}, "dtype=torch.int64 is none for weights"),
        ({"steps": 1, "device": "gpu"}, "device='gpu' is not there"),
        ({"steps": 1, "clip": "1"}, "clip='1' is out of range"),
        ({"steps": 1, "optimiser": [1] * 99}, "optimiser=a value of type list is none"),
        ({"steps": 1, "resample": 100}, "resample=100 is no way"),
    ],
)
def test_contradictions_are_refused(given: dict, text: str) -> None:
    with pytest.raises(OptionError, match=text):
        rd.train_dictionary(WORLD.source(), plan=plan(), **given)


WRONG = ("x", [1], {"a": 1}, -1, math.nan, math.inf, True, object(), 10**30, torch.ones(2))
NAMES = (
    "steps", "samples", "batch_size", "optimiser", "warmup", "decay", "penalty_warmup", "resample",
    "clip", "keep_every", "log_every", "seed", "dtype", "device", "workers", "progress", "plan",
    "n_latents", "activation", "penalty", "coefficient", "target_l0",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_values_of_another_kind_are_refused_by_the_argument_s_name(name: str) -> None:
    given = {"plan": PENALISED["l1"], "steps": 1, "batch_size": 8, "coefficient": 1.0}
    if name in ("n_latents", "activation", "penalty"):
        given = {"n_latents": 8, "steps": 1, "batch_size": 8}
    for other in {"samples": ("steps",), "target_l0": ("coefficient",)}.get(name, ()):
        del given[other]
    refused = 0
    for value in WRONG:
        try:
            rd.train_dictionary(WORLD.source(), **{**given, name: value})  # pyright: ignore
        except OptionError as error:
            refused += 1
            assert f"{name}=" in error.what or f"{name} is given" in error.what, error
    assert refused >= 7  # some can be meant: a dtype's size, 10**30 as a coefficient


def test_latents_as_text_and_more_active_ones_than_there_are_are_refused() -> None:
    with pytest.raises(OptionError, match="n_latents='64' is out of range"):
        rd.train_dictionary(WORLD.source(), n_latents="64", steps=1)  # pyright: ignore
    for goal in (400, 48):
        with pytest.raises(OptionError, match=f"target_l0={goal} cannot be aimed at with 48"):
            rd.train_dictionary(WORLD.source(), plan=PENALISED["l1"], steps=1, target_l0=goal)
    with pytest.raises(OptionError, match="source=a value of type list is neither"):
        rd.train_dictionary([0.5] * 99, n_latents=4, steps=1)  # pyright: ignore


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: rd.Resampling(every=5, scale="1"), "scale='1'"),  # pyright: ignore
        (lambda: rd.TargetL0(3.0, damping=None), "damping=None"),  # pyright: ignore
        (lambda: rd.SparseWorld(active="8"), "active='8'"),  # pyright: ignore
        (lambda: rd.SparseWorld(noise=-1.0), r"noise=-1\.0"),
        (lambda: plan(aux_weight="1"), "aux_weight='1'"),
        (lambda: plan(normalise="no"), "normalise='no'"),
        (lambda: plan(prefixes=8), "prefixes=8 is no list"),
        (lambda: plan(reads=3), "reads=3 is no list"),
    ],
)
def test_records_refuse_values_of_another_kind_by_name(make, text: str) -> None:
    with pytest.raises(OptionError, match=text):
        make()


def test_a_harvest_is_trained_on_as_its_own_stream() -> None:
    model = residuum.load("microworld", check=False)
    found = rd.harvest(model, ["Mary and John went to the store ."] * 8, "L1.resid_post")
    options = {"n_latents": 16, "activation": rd.TopK(2), "steps": 3, "batch_size": 16, "seed": 5}
    direct = rd.train_dictionary(found, **options)
    source = rd.train_dictionary(found.source(seed=5), **options)
    own = rd.CoderPlan(reads=found.sites, width=128, n_latents=16, activation=rd.TopK(2))
    several = rd.train_dictionaries(found, {"a": own}, steps=3, batch_size=16, seed=5)["a"]
    for name, each in source.dictionary.tensors().items():
        assert torch.equal(direct.dictionary.tensors()[name], each)
        assert torch.equal(several.dictionary.tensors()[name], each)
    assert direct.record["stream"] == json.loads(json.dumps(found.source(seed=5).record))
    with pytest.raises(OptionError, match="has its own"):
        rd.train_dictionary(found, n_latents=16, steps=1, at="L1.resid_post")


def test_a_penalty_needs_exactly_one_of_coefficient_and_goal() -> None:
    one = PENALISED["l1"]
    with pytest.raises(OptionError, match="needs a coefficient"):
        rd.train_dictionary(WORLD.source(), plan=one, steps=1)
    with pytest.raises(OptionError, match="not both"):
        rd.train_dictionary(WORLD.source(), plan=one, steps=1, coefficient=1.0, target_l0=3.0)


def test_a_plan_of_another_site_is_refused() -> None:
    other = plan(reads=("L1.mlp_out",))
    with pytest.raises(OptionError, match="the stream does not have"):
        rd.train_dictionary(WORLD.source(), plan=other, steps=1)
    with pytest.raises(OptionError, match="needs a stream"):
        rd.train_dictionary(3, plan=other, steps=1)  # pyright: ignore[reportArgumentType]


def test_the_rate_rises_and_falls_and_the_penalty_rises() -> None:
    training = train(
        PENALISED["l1"], samples=None, steps=40, log_every=1, warmup=10, decay=0.5,
        target_l0=3.0, penalty_warmup=20,
    )  # fmt: skip
    rate = training.curve.rate / 5e-3
    assert rate[0] == pytest.approx(0.1)
    assert rate[9] == rate[20] == pytest.approx(1.0)
    assert rate[-1] == pytest.approx(0.05)
    assert len(set(training.curve.coefficient[:19])) == 1
    assert not math.isclose(training.curve.coefficient[0], training.curve.coefficient[-1])


def test_a_model_is_streamed_over_its_text() -> None:
    model = residuum.load("microworld", check=False)
    texts = ["Mary and John went to the store .", "John gave a drink to Mary ."] * 4
    options = {"at": "L1.resid_post", "text": texts, "n_latents": 16, "activation": rd.TopK(2)}
    training = rd.train_dictionary(model, steps=3, batch_size=16, **options)
    assert training.dictionary.weight_hash == model.adapted.weight_hash
    assert str(training.dictionary.reads[0]) == "L1.resid_post"
    assert training.dictionary.model_name == training.provenance.model_id == model.name
    assert training.dictionary.tokenizer_hash == model.adapted.tokens.hash()
    with pytest.raises(OptionError, match="a model alone"):
        rd.train_dictionary(model, n_latents=16, steps=1)
    with pytest.raises(OptionError, match="has its own"):
        rd.train_dictionary(WORLD.source(), plan=plan(), steps=1, text=texts)
