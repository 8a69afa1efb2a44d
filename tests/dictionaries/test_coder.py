"""The sparse coder's start, bookkeeping, state and options."""

from dataclasses import replace

import pytest
import torch
from coder_plans import KINDS, WAYS, batch_of, filled, plan_of

from residuum.core import OptionError, ShapeError, StoreError
from residuum.dictionaries import (
    L1,
    Adam,
    BatchTopK,
    CoderPlan,
    Gated,
    JumpReLU,
    L0Step,
    ReLU,
    SparseCoder,
    SparseWorld,
    TopK,
    train_dictionary,
)
from residuum.dictionaries.coding.geometric_median import geometric_median
from residuum.dictionaries.coding.late_mean import LateMean
from residuum.dictionaries.coding.penalties import penalty_json, read_penalty
from residuum.dictionaries.record.activations import activation_json, read_activation

ALL = [(kind, way) for kind in KINDS for way in WAYS]


def stream(seed, n=256, width=16, features=32, offset=0.0):
    """Sparse sums of random directions, ``[n 1 width]``."""
    fixed = torch.Generator().manual_seed(99)
    rows = torch.randn(features, width, generator=fixed)
    generator = torch.Generator().manual_seed(seed)
    on = torch.rand(n, features, generator=generator) < 0.1
    return ((on * torch.rand(n, features, generator=generator)) @ rows + offset)[:, None]


def train(coder, steps, first=0, lr=3e-3, **options):
    adam = torch.optim.Adam(coder.parameters().values(), lr=lr)
    for step in range(first, first + steps):
        adam.zero_grad()
        losses = coder.losses(stream(step), **options)
        losses.backward()
        adam.step()
        coder.after_step()
    return losses


# -- start -----------------------------------------------------------------------------------


def test_the_start_is_tied_and_seeded():
    plan = plan_of("sae", "topk")
    own = SparseCoder(plan, seed=1).parameters()
    assert torch.equal(own["W_enc"], own["W_dec"])
    assert own["W_enc"].data_ptr() != own["W_dec"].data_ptr()
    torch.testing.assert_close(own["W_dec"].detach().norm(dim=1), torch.ones(48))
    same, other = (SparseCoder(plan, seed=seed).parameters() for seed in (1, 2))
    assert all(torch.equal(own[name], same[name]) for name in own)
    assert not torch.equal(own["W_dec"], other["W_dec"])
    free = SparseCoder(plan_of("sae", "relu"), seed=1).parameters()["W_dec"].detach()
    torch.testing.assert_close(free.norm(dim=1), torch.full((48,), 0.1))


def test_the_bias_starts_at_the_geometric_median():
    x = stream(0, offset=3.0)
    x[:5] = 500.0  # the mean follows these, the median does not
    coder = SparseCoder(CoderPlan(reads="L1.resid_post", width=16, n_latents=32))
    coder.initialise(x)
    found = coder.parameters()["b_dec"].detach() / coder.scale
    torch.testing.assert_close(found.double(), geometric_median(x[:, 0]), rtol=1e-4, atol=1e-4)
    assert float((found - 3).abs().max()) < 1 < float((x[:, 0].mean(0) - 3).abs().min())


def test_the_geometric_median_has_the_smallest_sum_of_distances():
    points = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)).exp().double()
    median = geometric_median(points)

    def total(at):
        return float((points - at).norm(dim=1).sum())

    for shift in 1e-3 * torch.cat([torch.eye(5), -torch.eye(5)]).double():
        assert total(median) < total(median + shift)
    assert total(median) < total(points.mean(0)) - 1
    torch.testing.assert_close(geometric_median(points[:1].expand(7, 5)), points[0])


def test_the_scale_brings_inputs_to_the_root_of_the_width():
    plan = CoderPlan(reads="L1.resid_post", width=16, n_latents=32)
    for factor in (1e-3, 1.0, 1e3):
        coder = SparseCoder(plan)
        coder.initialise(stream(0) * factor)
        assert float((stream(0) * factor * coder.scale).norm(dim=-1).mean()) == pytest.approx(4.0)
    raw = SparseCoder(replace(plan, normalise=False))
    raw.initialise(stream(0) * 1e3)
    assert raw.scale == 1.0
    with pytest.raises(ShapeError, match="all zeros"):
        SparseCoder(plan).initialise(torch.zeros(4, 1, 16))


# -- learning --------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_it_learns(way):
    plan = CoderPlan(reads="L1.resid_post", width=16, n_latents=64, aux_k=8, **WAYS[way])
    coder = SparseCoder(replace(plan, dead_after=2000))
    coder.initialise(stream(1000))
    before = coder.losses(stream(1001)).explained_variance
    train(coder, 150, weights={"penalty": 0.05})
    after = coder.losses(stream(1001)).explained_variance
    assert after > max(before + 0.02, 0.75), (before, after)


def test_explained_variance_is_about_the_mean():
    """A defect of other tools: about zero, a large mean that is rebuilt hides all the rest."""
    plan = CoderPlan(reads="L1.resid_post", width=16, n_latents=32, normalise=False)
    coder = SparseCoder(plan, dtype=torch.float64)
    x = stream(0, offset=100.0).double()
    with torch.no_grad():
        coder.parameters()["b_dec"].copy_(x.mean((0, 1)))
        coder.parameters()["b_enc"].sub_(1e6)  # no latent is active: the mean is all it rebuilds
    losses = coder.losses(x)
    about_zero = 1 - float(losses.squared_error / losses.target_squares)
    assert about_zero > 0.999
    assert losses.explained_variance == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(losses.target_sum, x.sum(0))
    assert losses.n == 256 and float(losses.l0) == 0


def test_dead_latents_are_counted_and_revived():
    plan = CoderPlan(
        reads="L1.resid_post", width=16, n_latents=64, activation=TopK(4), dead_after=1024
    )
    shares = []
    for aux_k in (0, 8):
        coder = SparseCoder(replace(plan, aux_k=aux_k, aux_weight=1.0))
        coder.initialise(stream(0))
        with torch.no_grad():
            coder.parameters()["b_enc"][:32] -= 3.0
        train(coder, 4)
        assert float(coder.dead[:32].float().mean()) > 0.8 and not coder.dead[32:].all()
        assert int(coder.silent.max()) == 4 * 256
        train(coder, 200, first=4)
        shares.append(float(coder.dead[:32].float().mean()))
    assert shares[0] > 0.5 > shares[1], shares


def test_the_threshold_of_batch_topk_lets_as_many_through():
    plan = CoderPlan(reads="L1.resid_post", width=16, n_latents=64, activation=BatchTopK(4))
    coder = SparseCoder(plan)
    coder.initialise(stream(0))
    with pytest.raises(OptionError, match="not known before its first step"):
        coder.dictionary()
    train(coder, 300)
    active = (coder.dictionary().encode(stream(2000, n=4096)[:, 0]) > 0).sum(1)
    assert float(active.float().mean()) == pytest.approx(4, rel=0.15)
    assert int(active.min()) < 4 < int(active.max())


@pytest.mark.parametrize("steps", [30, 80])
def test_the_threshold_of_a_short_training_does_not_lag(steps):
    """At memory .99 from the first step on, L0 came out 2.8 and 3.8 for 12 (40 and 78 steps)."""
    world = SparseWorld(n_features=256, width=64, active=8, seed=5)
    plan = CoderPlan(reads="L0.resid_post", width=64, n_latents=256, activation=BatchTopK(12))
    training = train_dictionary(
        world.source(), plan=plan, steps=steps, batch_size=256, optimiser=Adam(2e-3)
    )
    active = (training.dictionary.encode(world.held_out(4096)[0]) > 0).sum(1).double().mean()
    assert float(active) == pytest.approx(12, rel=0.1)


def test_a_late_mean_is_a_mean_that_forgets_its_start():
    constant, stepped, noisy = LateMean(), LateMean(), LateMean()
    drawn = torch.Generator().manual_seed(0)
    for value in torch.randn(5000, generator=drawn).tolist():
        constant.add(3.0)
        stepped.add(0.0 if stepped.count < 50 else 1.0)
        noisy.add(value)
    assert constant.value == pytest.approx(3.0, rel=1e-12)
    assert stepped.value == pytest.approx(1.0, rel=1e-12)
    assert abs(noisy.value) < 4 * (0.01 / 1.99) ** 0.5  # as noisy as an exponential mean


# -- state -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["batch_topk", "jump", "gated"])
def test_a_restored_coder_goes_on_bit_for_bit(way):
    plan = CoderPlan(reads="L1.resid_post", width=16, n_latents=64, aux_k=4, **WAYS[way])
    plan = replace(plan, dead_after=500)
    straight, broken = SparseCoder(plan), SparseCoder(plan)
    for coder in (straight, broken):
        coder.initialise(stream(0))
        train(coder, 5)
    state = broken.state()
    resumed = SparseCoder(plan, seed=77)
    resumed.restore(state)
    for coder in (straight, resumed):
        train(coder, 5, first=5)
    assert set(straight.state()) == set(resumed.state())
    for name, value in straight.state().items():
        assert torch.equal(value.nan_to_num(), resumed.state()[name].nan_to_num()), name
    assert not all(torch.equal(state[k], v) for k, v in straight.state().items())  # copies


def test_another_coders_state_is_refused():
    coder = SparseCoder(plan_of("sae", "topk"))
    for other in (plan_of("sae", "gated"), plan_of("crosscoder", "topk")):
        with pytest.raises(StoreError, match="not the state of this coder"):
            coder.restore(SparseCoder(other).state())


# -- refusals and plain data -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.zeros(4, 10), r"\[4, 10\]"),
        (torch.zeros(4, 2, 10), r"\[4, 2, 10\]"),
        (torch.zeros(4, 1, 9), r"\[4, 1, 9\]"),
        (torch.zeros(0, 1, 10), r"\[0, 1, 10\]"),
        (torch.full((4, 1, 10), float("nan")), "NaN or infinity"),
        (torch.full((4, 1, 10), float("inf")), "NaN or infinity"),
    ],
)
def test_batches_that_do_not_fit_are_refused(x, words):
    with pytest.raises(ShapeError, match=words):
        SparseCoder(plan_of("sae", "topk")).losses(x)


def test_unknown_coefficients_and_early_calls_are_refused():
    coder = SparseCoder(plan_of("sae", "topk"))
    with pytest.raises(OptionError, match="no loss is named l1"):
        coder.losses(batch_of(coder.plan)[0], weights={"l1": 1.0})
    with pytest.raises(OptionError, match="after_step without losses"):
        coder.after_step()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_latents": 0}, "n_latents=0 is no count"),
        ({"width": 1.5}, "width=1.5 is no count"),
        ({"aux_k": -1}, "aux_k=-1 is no count"),
        ({"activation": TopK(49)}, "k=49 of 48 latents"),
        ({"penalty": L0Step()}, "L0Step has no gradient for TopK"),
        ({"prefixes": (20, 10)}, "do not rise"),
        ({"prefixes": (60,)}, "do not rise"),
        ({"models": ("a", "b")}, "2 models for 1 sites"),
        ({"skip": True}, "a sae has no skip connection"),
        ({"out_width": 7}, "a sae of width 10 cannot write width 7"),
        ({"activation": "topk"}, "activation='topk'"),
        ({"penalty": "l1"}, "penalty='l1'"),
    ],
)
def test_plans_that_make_no_sense_are_refused(change, words):
    with pytest.raises(OptionError) as caught:
        replace(plan_of("sae", "topk"), **change)
    assert words in caught.value.what and caught.value.mend


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("crosscoder", {"centred": True}, "cannot be centred"),
        ("cross_layer", {"prefixes": (8,)}, "no first latents"),
        ("cross_layer", {"n_latents": 49}, "cannot be shared by 3 layers"),
        ("cross_layer", {"activation": TopK(17)}, "k=17"),
        ("transcoder", {"writes": ("L1.mlp_out", "L2.mlp_out"), "skip": True}, "no skip"),
    ],
)
def test_kinds_refuse_what_they_cannot_do(kind, change, words):
    with pytest.raises(OptionError) as caught:
        replace(plan_of(kind, "topk"), **change)
    assert words in caught.value.what


@pytest.mark.parametrize(("kind", "way"), ALL)
def test_plans_go_through_json(kind, way):
    import json

    plan = plan_of(kind, way)
    data = json.loads(json.dumps(plan.to_json()))
    assert CoderPlan.from_json(data) == plan
    with pytest.raises(StoreError, match="not a plan"):
        CoderPlan.from_json({**data, "more": 1})


def test_strategies_refuse_what_is_none():
    for make, words in (
        (lambda: TopK(0), "k=0"),
        (lambda: BatchTopK(2.5), "k=2.5"),  # pyright: ignore[reportArgumentType]
        (lambda: JumpReLU(bandwidth=0.0), "bandwidth=0.0"),
        (lambda: JumpReLU(start=float("nan")), "start=nan"),
        (lambda: L1(by_decoder_norm=1), "by_decoder_norm=1"),  # pyright: ignore
    ):
        with pytest.raises(OptionError) as caught:
            make()
        assert words in caught.value.what
    for each in (ReLU(), TopK(3), BatchTopK(3), JumpReLU(), Gated()):
        assert read_activation(activation_json(each)) == each
    for each in (None, L1(), L1(False), L0Step()):
        assert read_penalty(penalty_json(each)) == each
    with pytest.raises(StoreError, match="no activation reads"):
        read_activation({"kind": "TopK", "k": 3, "j": 4})
    with pytest.raises(StoreError, match="no penalty reads"):
        read_penalty({"kind": "L2"})


def test_a_coder_in_the_middle_of_training_is_not_a_start():
    """The other tests' fixture does what they rely on."""
    own = filled(plan_of("sae", "gated")).parameters()
    assert all(float(value.detach().abs().min()) > 0 for value in own.values())
