"""Losses and gradients of every sparse coder against dense textbook formulas in float64."""

import pytest
import torch
from coder_plans import KINDS, N_LATENTS, WAYS, batch_of, filled, plan_of
from dense_coder import dense_losses, project
from torch.utils._python_dispatch import TorchDispatchMode

from residuum.dictionaries import CoderPlan, SparseCoder
from residuum.dictionaries.coding import entries


def compare(plan, dead):
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
    dead = torch.arange(N_LATENTS) % 6 == 0
    _, losses, parts = compare(plan, dead)
    torch.testing.assert_close(losses.auxiliary, parts["auxiliary"].detach(), rtol=1e-9, atol=0)
    torch.testing.assert_close(losses.fired, (parts["latents"] > 0).any(0))
    wanted = (parts["latents"] > 0).sum().double() / 23
    torch.testing.assert_close(losses.l0, wanted)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["sae", "skip_transcoder", "crosscoder"])
def test_prefixes_equal_the_textbook(kind, way):
    plan = plan_of(kind, way, prefixes=(6, 20), aux_k=4)
    assert plan.prefixes == (6, 20, N_LATENTS)
    _, losses, _ = compare(plan, torch.arange(N_LATENTS) % 6 == 0)
    assert abs(float(losses.extra)) > 1e-3


@pytest.mark.parametrize("way", WAYS)
def test_without_dead_latents_there_is_no_auxiliary_loss(way):
    _, losses, _ = compare(plan_of("sae", way, aux_k=4), torch.zeros(N_LATENTS, dtype=torch.bool))
    assert float(losses.auxiliary) == 0


@pytest.mark.parametrize("way", WAYS)
def test_the_auxiliary_loss_reaches_the_encoder_of_dead_latents(way):
    """A defect of other tools: the loss is there, its gradient stops at the decoder."""
    dead = torch.arange(N_LATENTS) < 8
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
    assert float(along.detach()) < 1e-12
    with torch.no_grad():
        weight.sub_(weight.grad)
    assert float((weight.detach().norm(dim=1) - 1).abs().max()) > 1e-3
    coder.after_step()
    torch.testing.assert_close(weight.norm(dim=1), torch.ones(N_LATENTS, dtype=torch.float64))


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


def test_gradients_of_two_batches_add_up():
    plan = plan_of("sae", "relu", aux_k=4)
    both, grads = batch_of(plan, n=40)[0].split(20), []
    for batch in both:
        coder = filled(plan)
        coder.losses(batch).backward()
        grads.append({k: v.grad.clone() for k, v in coder.parameters().items()})
    coder = filled(plan)
    for batch in both:
        coder.losses(batch).backward()
    for name, value in coder.parameters().items():
        torch.testing.assert_close(value.grad, grads[0][name] + grads[1][name])
    for value in coder.parameters().values():
        value.grad = None  # as optimisers do
    coder.losses(both[1]).backward()
    for name, value in coder.parameters().items():
        torch.testing.assert_close(value.grad, grads[1][name])


def test_a_step_without_any_active_latent():
    coder = filled(plan_of("sae", "relu"))
    with torch.no_grad():
        coder.parameters()["b_enc"].sub_(100)
    losses = coder.losses(batch_of(coder.plan)[0])
    losses.backward()
    assert float(losses.l0) == 0
    assert float(coder.parameters()["W_enc"].grad.abs().max()) == 0
    assert float(coder.parameters()["b_dec"].grad.abs().max()) > 0


def test_the_total_has_no_graph_of_its_own():
    """Its gradients would lack the large weights': only ``losses.backward()`` gives them."""
    coder = filled(plan_of("sae", "topk"))
    with pytest.raises(RuntimeError):
        coder.losses(batch_of(coder.plan)[0]).total.backward()


class _DenseProducts(TorchDispatchMode):
    """Counts multiplications in products of dense matrices."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm):
            left, right = args[-2:]
            if left.layout == right.layout == torch.strided and len(left) > 1:
                self.count += left.shape[0] * left.shape[1] * right.shape[1]
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("way", ["topk", "batch_topk", "relu"])
def test_a_step_with_few_active_latents_makes_one_dense_product(way):
    """The speed of a step, counted: one dense encode, all else by active latents alone."""
    plan = CoderPlan(reads="L1.resid_post", width=10, n_latents=2048, aux_k=4, **WAYS[way])
    coder = filled(plan)
    if way == "relu":
        with torch.no_grad():
            coder.parameters()["b_enc"].sub_(1.5)
    x = batch_of(plan, n=50)[0]
    with _DenseProducts() as counted:
        losses = coder.losses(x, dead=torch.arange(2048) < 1000)
        losses.backward()
    assert 0 < float(losses.l0) < 2048 / entries.DENSE
    assert counted.count == 50 * 10 * 2048
