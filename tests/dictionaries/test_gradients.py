"""Losses and gradients of every sparse coder against dense textbook formulas in float64."""

import pytest
import torch
from dense_coder import dense_losses, project

from residuum.dictionaries import (
    L1,
    BatchTopK,
    CoderPlan,
    Gated,
    JumpReLU,
    L0Step,
    ReLU,
    SparseCoder,
    TopK,
    entries,
)

KINDS = {
    "sae": {"reads": "L1.resid_post"},
    "transcoder": {"reads": "L1.ln2", "writes": "L1.mlp_out", "out_width": 7},
    "skip_transcoder": {"reads": "L1.ln2", "writes": "L1.mlp_out", "out_width": 7, "skip": True},
    "crosscoder": {"reads": ("L0.resid_post", "L1.resid_post", "L2.resid_post")},
    "two_models": {"reads": ("L1.resid_post", "L1.resid_post"), "models": ("base", "chat")},
    "cross_layer": {
        "reads": ("L0.ln2", "L1.ln2", "L2.ln2"),
        "writes": ("L0.mlp_out", "L1.mlp_out", "L2.mlp_out"),
        "out_width": 7,
    },
}
WAYS = {
    "relu": {"activation": ReLU(), "penalty": L1()},
    "relu_unit": {"activation": ReLU(), "penalty": L1(by_decoder_norm=False)},
    "topk": {"activation": TopK(5)},
    "batch_topk": {"activation": BatchTopK(5)},
    "jump": {"activation": JumpReLU(bandwidth=0.8, start=0.4), "penalty": L0Step()},
    "jump_l1": {"activation": JumpReLU(bandwidth=0.8, start=0.4), "penalty": L1()},
    "gated": {"activation": Gated(), "penalty": L1(by_decoder_norm=False)},
}


def plan_of(kind, way, **more):
    return CoderPlan(width=10, n_latents=48, **KINDS[kind], **WAYS[way], **more)


def filled(plan, seed=3):
    """A coder in the middle of training: nothing at its start value, decoder rows of length 1."""
    coder = SparseCoder(plan, seed=seed, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in coder.parameters().values():
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            value.add_(0.2 * noise)
        if plan.unit_norm:
            for name, value in coder.parameters().items():
                if name.startswith("W_dec"):
                    value.div_(value.norm(dim=1, keepdim=True))
    return coder


def batch_of(plan, n=23, seed=5):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, len(plan.reads), plan.width, generator=generator, dtype=torch.float64)
    if plan.reads == plan.writes:
        return x, x
    shape = (n, len(plan.writes), plan.out_width)
    return x, torch.randn(shape, generator=generator, dtype=torch.float64)


def compare(plan, dead, *, least_aux=True):
    coder = filled(plan)
    x, target = batch_of(plan)
    losses = coder.losses(x, target, weights={"penalty": 0.7, "auxiliary": 0.3}, dead=dead)
    losses.backward()
    own = {k: v.detach().clone().requires_grad_() for k, v in coder.parameters().items()}
    total, parts = dense_losses(plan, own, x, target, dead, 0.7, 0.3)
    total.backward()
    torch.testing.assert_close(losses.total, total.detach(), rtol=1e-9, atol=0)
    torch.testing.assert_close(
        losses.reconstruction, parts["reconstruction"].detach(), rtol=1e-9, atol=0
    )
    for name, value in coder.parameters().items():
        wanted = own[name].grad
        if plan.unit_norm and name.startswith("W_dec"):
            wanted = project(own[name].detach(), wanted)
        assert float(wanted.norm()) > 0, name
        difference = float((value.grad - wanted).norm() / wanted.norm())
        assert difference < 1e-6, (name, difference)
    return coder, losses, parts


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "sparse"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_equal_the_textbook(kind, way, dense, monkeypatch):
    monkeypatch.setattr(entries, "DENSE", 10**9 if dense else 0)
    plan = plan_of(kind, way, aux_k=4)
    dead = torch.arange(48) % 6 == 0
    _, losses, parts = compare(plan, dead)
    torch.testing.assert_close(losses.auxiliary, parts["auxiliary"].detach(), rtol=1e-9, atol=0)
    torch.testing.assert_close(losses.fired, (parts["latents"] > 0).any(0))
    wanted = (parts["latents"] > 0).sum() / 23
    torch.testing.assert_close(losses.l0, wanted)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["sae", "skip_transcoder", "crosscoder"])
def test_prefixes_equal_the_textbook(kind, way):
    plan = plan_of(kind, way, prefixes=(6, 20), aux_k=4)
    assert plan.prefixes == (6, 20, 48)
    _, losses, _ = compare(plan, torch.arange(48) % 6 == 0)
    assert abs(float(losses.extra)) > 1e-3


@pytest.mark.parametrize("way", WAYS)
def test_without_dead_latents_there_is_no_auxiliary_loss(way):
    _, losses, _ = compare(plan_of("sae", way, aux_k=4), torch.zeros(48, dtype=torch.bool))
    assert float(losses.auxiliary) == 0


@pytest.mark.parametrize("way", WAYS)
def test_the_auxiliary_loss_reaches_the_encoder_of_dead_latents(way):
    """A defect of other tools: the loss is there, its gradient stops at the decoder."""
    dead = torch.arange(48) < 8
    plan = plan_of("sae", way, aux_k=4)
    grads = []
    for weight in (0.0, 1.0):
        coder = filled(plan)
        bias = "b_gate" if way == "gated" else "b_enc"
        with torch.no_grad():
            coder.parameters()[bias][dead] -= 50  # never active
        x, _ = batch_of(plan)
        losses = coder.losses(x, weights={"auxiliary": weight}, dead=dead)
        assert not losses.fired[dead].any()
        losses.backward()
        grads.append(coder.parameters()["W_enc"].grad[dead].norm(dim=1))
    assert float(grads[0].max()) == 0
    assert int((grads[1] > 0).sum()) >= 4


def test_the_gradient_keeps_decoder_rows_at_their_length():
    plan = plan_of("crosscoder", "topk")
    coder = filled(plan)
    coder.losses(*batch_of(plan)).backward()
    weight = coder.parameters()["W_dec"]
    along = (weight * weight.grad).sum(1).abs().max()
    assert float(weight.grad.norm()) > 0
    assert float(along) < 1e-12
    with torch.no_grad():
        weight.sub_(weight.grad)
    assert float((weight.norm(dim=1) - 1).abs().max()) > 1e-3
    coder.after_step()
    torch.testing.assert_close(weight.norm(dim=1), torch.ones(48, dtype=torch.float64))


def test_float32_agrees_with_float64():
    plan = plan_of("sae", "topk")
    wide, x = filled(plan), batch_of(plan)[0]
    narrow = SparseCoder(plan)
    with torch.no_grad():
        for name, value in narrow.parameters().items():
            value.copy_(wide.parameters()[name])
    for coder in (wide, narrow):
        coder.losses(x).backward()
    for name, value in narrow.parameters().items():
        torch.testing.assert_close(
            value.grad.double(), wide.parameters()[name].grad, rtol=1e-3, atol=1e-5
        )
