"""Gradients with respect to every site, against finite differences through edits at that site.

All in float64. Norms of some families compute in float32 whatever the model's dtype; here they are
written out, so that differences of a millionth can be told from rounding.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import residuum as rz
from residuum.core import SITES

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import build

FAMILIES = ("gpt2", "llama", "gemma2", "gptj", "mixtral", "bert")
IDS = torch.randint(3, 100, (2, 5), generator=torch.Generator().manual_seed(0))
RIGHT = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
LEFT = RIGHT.flip(1)


class Exact(nn.Module):
    """An RMS norm in the dtype of its input."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        gain = norm.weight.detach()
        self.weight = nn.Parameter(gain + 1 if "Gemma" in type(norm).__name__ else gain)
        self.eps = getattr(norm, "variance_epsilon", None) or norm.eps

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.pow(2).mean(-1, keepdim=True) + self.eps).rsqrt() * self.weight


class ExactRouter(nn.Module):
    """Mixtral's router in the dtype of its input."""

    def __init__(self, router: nn.Module) -> None:
        super().__init__()
        self.weight = router.weight

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits = nn.functional.linear(x.flatten(0, -2), self.weight)
        scores, chosen = logits.softmax(-1).topk(2)
        return logits, scores / scores.sum(-1, keepdim=True), chosen


def with_exact_parts(hf: Any) -> Any:
    for parent in list(hf.modules()):
        for name, child in list(parent.named_children()):
            if type(child).__name__.endswith("RMSNorm"):
                setattr(parent, name, Exact(child))
            if type(child).__name__.endswith("TopKRouter"):
                setattr(parent, name, ExactRouter(child))
    return hf


def test_the_exact_parts_are_the_models_own() -> None:
    for name in ("gemma2", "mixtral"):
        own, other = build(name), with_exact_parts(build(name))
        torch.testing.assert_close(own(IDS).logits, other(IDS).logits, rtol=1e-4, atol=1e-4)


@cache
def exact(name: str) -> rz.Model:
    return rz.load(with_exact_parts(build(name, torch.float64)), check=False)


def metric(seed: int, real: Tensor | None = None) -> Any:
    """A random linear function of the logits at real tokens."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(2, 5, 101, generator=generator, dtype=torch.float64) / 10
    weights = weights if real is None else weights * real.unsqueeze(-1)
    return lambda logits: (logits * weights).sum()


def slope(
    held: rz.Model,
    edits: list[rz.Edit],
    site: rz.Address,
    towards: Tensor,
    f: Any,
    mask: Any = None,
    size: float = 1e-4,
) -> float:
    """Derivative along ``towards``, by central differences.

    Patterns are captured so that attention is written out, in float64 in every family.
    """
    up, down = (
        f(
            held.run(
                IDS,
                attention_mask=mask,
                edits=[*edits, rz.Add(site, sign * size * towards)],
                capture="pattern",
            ).logits
        )
        for sign in (1, -1)
    )
    return float(up - down) / (2 * size)


def compared(name: str, sites: list[rz.Address], mask: Any = None) -> set[str]:
    """Checks the gradient at each site; returns the sites' names."""
    held, f = exact(name), metric(5, mask)
    together = held.run(IDS, attention_mask=mask, capture=sites, grad_of=f)
    generator = torch.Generator().manual_seed(9)
    for site in sites:
        gradient = together.grad[site]
        assert gradient.shape == together[site].shape
        heeded = torch.ones_like(gradient)
        if site.name == "scores":
            heeded *= together[site] > -1e30
        if site.name == "router" or (site.name == "pattern" and mask is not None):
            heeded *= together[site] != 0  # what padding holds is nobody's concern
        gradient = gradient * heeded
        towards = torch.randn(gradient.shape, generator=generator, dtype=torch.float64) * heeded
        expected = float((gradient * towards).sum())
        scale = float(gradient.norm()) + 1e-6
        found = slope(held, [], site, towards, f, mask)
        assert abs(found - expected) < 1e-4 * scale, (site, found, expected)
        alone = held.run(IDS, attention_mask=mask, capture=[site], grad_of=f).grad[site]
        torch.testing.assert_close(alone * heeded, gradient, rtol=1e-5, atol=1e-6)
    return {site.name for site in sites}


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_of_all_sites_together_are_finite_differences(name: str) -> None:
    sites = [site for site in exact(name).sites if site.layer in (None, 1)]
    assert compared(name, sites) == {site.name for site in exact(name).sites}


def test_these_families_have_every_kind_of_site() -> None:
    have = {site.name for name in FAMILIES for site in exact(name).sites}
    assert have == set(SITES)


@pytest.mark.parametrize("mask", [RIGHT, LEFT], ids=["right", "left"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gptj"])
def test_gradients_of_padded_prompts(name: str, mask: Tensor) -> None:
    names = ("resid_pre", "q_in", "k_in", "v_in", "pattern", "z", "head_out", "mlp_in", "mlp_act")
    sites = [rz.Address(each, layer) for each in names for layer in (0, 2)]
    compared(name, sites, mask)
    held = exact(name)
    run = held.run(IDS, attention_mask=mask, capture="L1.resid_post", grad_of=metric(5, mask))
    assert (run.grad["L1.resid_post"][~mask.bool()] == 0).all()
    single = held.run(
        IDS[1:, mask[1].bool()],
        capture="L1.resid_post",
        grad_of=lambda logits: metric(5)(nn.functional.pad(
            logits, (0, 0, *((0, 2) if mask is RIGHT else (2, 0)), 1, 0))),
    )  # fmt: skip
    own = run.grad["L1.resid_post"][1:, mask[1].bool()]
    torch.testing.assert_close(single.grad["L1.resid_post"], own, rtol=1e-6, atol=1e-8)


def test_the_users_parameters_are_left_alone() -> None:
    hf = build("gpt2", torch.float64)
    frozen = {name for name, _ in hf.named_parameters() if "mlp" in name}
    for name, parameter in hf.named_parameters():
        parameter.requires_grad_(name not in frozen)
    hf.transformer.wte.weight.grad = torch.ones_like(hf.transformer.wte.weight)
    held = rz.load(hf, check=False)
    run = held.run(IDS, capture=held.sites, grad_of=metric(5))
    for name, parameter in hf.named_parameters():
        assert parameter.requires_grad == (name not in frozen)
        given = parameter is hf.transformer.wte.weight
        assert (parameter.grad is not None) == given
    assert (hf.transformer.wte.weight.grad == 1).all()
    assert not run.logits.requires_grad and not run.metric.requires_grad
    assert torch.is_grad_enabled()
    for parameter in hf.parameters():
        parameter.requires_grad_(False)
    still = held.run(IDS, capture=["L1.z", "embed"], grad_of=metric(5))
    torch.testing.assert_close(still.grad["L1.z"], run.grad["L1.z"])
    torch.testing.assert_close(still.grad["embed"], run.grad["embed"])


def test_gradients_are_read_like_captures_and_the_value_is_there() -> None:
    held, f = exact("gpt2"), metric(5)
    run = held.run(IDS, capture=["L1.z", "L0.pattern[H1]"], grad_of=f)
    assert torch.equal(run.grad["L1.z[H2]@-1"], run.grad["L1.z"][:, -1, 2])
    assert torch.equal(run.grad["blocks.1.attn.hook_z"], run.grad["L1.z"])
    assert run.grad["L0.pattern[H1]"].shape == (2, 5, 5)
    torch.testing.assert_close(run.metric, f(held.run(IDS).logits))
    torch.testing.assert_close(run.logits, held.run(IDS).logits)
    vector = held.run(IDS, capture="L1.z", grad_of=lambda logits: logits[:, -1, 7])
    assert vector.metric.shape == (2,)
    with pytest.raises(rz.AddressError, match="was not differentiated"):
        run.grad["L2.z"]


def test_a_site_that_cannot_matter_has_gradient_zero() -> None:
    run = exact("gpt2").run(
        IDS, capture=["L1.resid_post", "L2.z"], grad_of=lambda logits: logits[:, 0, 3]
    )
    assert (run.grad["L1.resid_post"][:, 1:] == 0).all()
    assert (run.grad["L1.resid_post"][:, 0] != 0).any()


EDITED = [
    rz.Zero("L1.z[H1]"),
    rz.Scale("L0.mlp_act", 0.5),
    rz.Zero("L0.pattern[H2]"),
    rz.Scale("L1.q_in[H0]", 2.0),
    rz.Add("L1.resid_mid@-1", torch.ones(32)),
]


@pytest.mark.parametrize("edit", EDITED, ids=lambda edit: f"{edit.kind} {edit.at}")
def test_gradients_of_an_edited_run(edit: rz.Edit) -> None:
    check_under(edit)


@pytest.mark.parametrize("name", ["gpt2", "mixtral"])
def test_gradients_through_an_edited_sum_of_parts(name: str) -> None:
    site = "L1.head_out" if name == "gpt2" else "L1.expert_out"
    check_under(rz.Scale(site, 0.5), name)


def check_under(edit: rz.Edit, name: str = "gpt2") -> None:
    held, f = exact(name), metric(5)
    sites = [rz.Address.parse(each) for each in ("L0.resid_pre", "L1.resid_pre", "L1.v", "L0.z")]
    run = held.run(IDS, capture=sites, edits=edit, grad_of=f)
    generator = torch.Generator().manual_seed(9)
    for site in sites:
        gradient = run.grad[site]
        towards = torch.randn(gradient.shape, generator=generator, dtype=torch.float64)
        found = slope(held, [edit], site, towards, f)
        expected = float((gradient * towards).sum())
        assert abs(found - expected) < 1e-4 * float(gradient.norm()), (site, found, expected)


def test_a_norm_and_who_reads_through_it() -> None:
    held, f = exact("gpt2"), metric(5)
    both = held.run(IDS, capture=["L1.ln1", "L1.q_in"], grad_of=f)
    for site in ("L1.ln1", "L1.q_in"):
        alone = held.run(IDS, capture=site, grad_of=f)
        torch.testing.assert_close(both.grad[site], alone.grad[site])
        assert alone.grad[site].abs().sum() > 0
    with pytest.raises(rz.EditError, match="which is ambiguous"):
        held.run(IDS, capture="L1.q_in", edits=rz.Zero("L1.ln1"), grad_of=f)
    held.run(IDS, capture="L1.q_in", edits=rz.Zero("L1.ln1"))
