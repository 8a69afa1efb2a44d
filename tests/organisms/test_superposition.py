"""Toy models of superposition: known geometries, the loss by hand, and the published table."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from residuum.core import OptionError, ShapeError
from residuum.figures import load_figure
from residuum.organisms import Superposition, ToyRecipe, shipped_superposition, train_toys
from residuum.organisms.superposition import (
    TOY_RECIPES,
    Arrows,
    feature_dimensionality,
    gaps,
    geometry,
    toy_superposition,
)
from residuum.organisms.superposition.toy_model import importances, toy_batch, toy_losses


def around(*degrees: float, norm: float = 1.0) -> Tensor:
    """Unit features at these angles, ``[2 feature]``."""
    angles = torch.tensor(degrees) * math.pi / 180
    return norm * torch.stack([angles.cos(), angles.sin()])


SHAPES = {
    "pentagon": (around(7, 79, 151, 223, 295), 0.4),
    "triangle": (around(0, 121, 239), 2 / 3),
    "two antipodal pairs": (around(10, 100, 190, 280), 0.5),
    "antipodal pair": (around(30, 210), 0.5),
    "orthogonal pair": (around(350, 80), 1.0),
    "antipodal pair and one": (around(0, 180, 90), 2 / 3),
    "hexagon": (around(0, 60, 120, 180, 240, 300), 1 / 3),
    "one feature": (around(45), 1.0),
    "irregular (5)": (around(0, 10, 20, 200, 300), None),
    "irregular (2)": (around(0, 45), 2 / 3),
}


@pytest.mark.parametrize("name", SHAPES)
def test_known_figures_are_named(name: str) -> None:
    weights, share = SHAPES[name]
    turned = torch.cat([torch.zeros(2, 1), weights.flip(1)], dim=1)
    for each in (weights, turned, 1.2 * weights):
        assert geometry(each) == name
    if share is not None:
        assert feature_dimensionality(weights).mean() == pytest.approx(share, abs=2e-3)
    assert feature_dimensionality(turned)[0] == 0
    if weights.shape[1] > 1:
        assert sum(gaps(weights)) == pytest.approx(360)


def test_nothing_is_no_figure() -> None:
    assert geometry(torch.zeros(2, 5)) == "nothing" and gaps(torch.zeros(2, 5)) == []


def test_the_loss_by_hand() -> None:
    weights = torch.tensor([[[[1.0, 0.5]]]])
    x = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    bias = torch.tensor([[[0.0, -0.25]]])
    # row 1: hidden 1, restored (1, .25); row 2: hidden .5, restored (.5, 0)
    by_hand = ((0.25**2) * 0.9 + 0.5**2 + 0.9) / 2
    found = toy_losses(weights, bias, x, torch.tensor([1.0, 0.9]))
    assert found.item() == pytest.approx(by_hand)


def test_instances_trained_at_once_are_trained_apart() -> None:
    """Each instance becomes what Adam makes of it alone on its own data."""
    recipe = ToyRecipe(densities=(0.1, 0.5), decay=0.9, instances=3, steps=20, batch=16)
    found = train_toys(recipe)
    generator = torch.Generator().manual_seed(recipe.seed)
    first = (2 / 7) ** 0.5 * torch.randn(2, 3, 2, 5, generator=generator)
    density = torch.tensor(recipe.densities)[:, None, None, None]
    data = [toy_batch(recipe, density, 16, generator) for _ in range(20)]
    weights = first[1, 2].clone().requires_grad_()
    bias = torch.zeros(5, requires_grad=True)
    adam = torch.optim.Adam([weights, bias], lr=1e-3)
    for batch in data:
        x = batch[1, 2]
        restored = torch.relu(x @ weights.T @ weights + bias)
        adam.zero_grad()
        ((x - restored) ** 2 * importances(recipe)).sum(1).mean().backward()
        adam.step()
    torch.testing.assert_close(found.weights[1, 2], weights.detach(), atol=1e-5, rtol=1e-5)
    assert not torch.equal(found.weights[1, 2], first[1, 2])


def test_features_are_present_as_often_as_asked() -> None:
    recipe = ToyRecipe(densities=(0.1, 1.0), instances=2)
    density = torch.tensor(recipe.densities)[:, None, None, None]
    x = toy_batch(recipe, density, 20_000, torch.Generator().manual_seed(1))
    shares = (x > 0).float().mean((1, 2, 3))
    torch.testing.assert_close(shares, torch.tensor([0.1, 1.0]), atol=0.005, rtol=0)
    assert x[1].mean() == pytest.approx(0.5, abs=0.01)


def check_pentagons(found: Superposition) -> None:
    """Most instances a pentagon of 72° ± 3° and dimensionality .40; norm 1.13, bias −.25."""
    place, kinds = found.place(0.05), found.geometries(0.05)
    regular = [
        all(abs(gap - 72) <= 3 for gap in gaps(found.weights[place, instance]))
        and bool((found.dimensionality[place, instance] - 0.4).abs().max() < 0.03)
        for instance, kind in enumerate(kinds)
        if kind == "pentagon"
    ]
    assert len(kinds) >= 16 and sum(regular) > len(kinds) / 2
    best = found.best(0.05)
    assert kinds[best] == "pentagon"
    assert found.weights[place, best].norm(dim=0).mean() == pytest.approx(1.13, abs=0.05)
    assert found.bias[place, best].mean() == pytest.approx(-0.25, abs=0.05)


def check_pairs(found: Superposition) -> None:
    """At density .30 mostly two antipodal pairs, half a dimension for each feature."""
    kinds = found.geometries(0.3)
    assert kinds.count("two antipodal pairs") > len(kinds) / 2
    best = found.best(0.3)
    shares = found.dimensionality[found.place(0.3), best]
    assert sorted(shares.tolist())[1:] == pytest.approx([0.5] * 4, abs=0.02)


def check_dense(found: Superposition) -> None:
    """Dense, importance .9 ** i: two orthogonal features; in the lowest loss the first two."""
    place, kinds, best = found.place(1.0), found.geometries(1.0), found.best(1.0)
    assert found.importance.tolist() == pytest.approx([0.9**i for i in range(5)])
    assert kinds.count("orthogonal pair") > len(kinds) / 2 and kinds[best] == "orthogonal pair"
    weights = found.weights[place, best]
    norms = weights.norm(dim=0)
    assert (norms[:2] > 0.8).all() and (norms[2:] < 0.5).all()
    assert abs(float(weights[:, 0] @ weights[:, 1] / norms[0] / norms[1])) < 0.15


def test_sixteen_instances_at_once_find_pentagons_and_pairs() -> None:
    """With smaller batches than the shipped ones."""
    found = toy_superposition(densities=(0.05, 0.3), batch=128)
    check_pentagons(found)
    check_pairs(found)


def test_the_shipped_table() -> None:
    found = shipped_superposition()
    check_pentagons(found)
    check_pairs(found)
    counts = Counter(found.geometries(0.1))
    assert counts["pentagon"] < found.geometries(0.05).count("pentagon")
    assert found.geometries(0.1)[found.best(0.1)] == "pentagon"
    check_dense(shipped_superposition("superposition_importance"))
    alike = found.geometries(1.0)
    assert alike.count("orthogonal pair") < len(alike) / 4  # nothing prefers the first two
    triangle = shipped_superposition("superposition_triangle")
    best = triangle.best(0.05)
    assert triangle.geometries(0.05)[best] == "triangle"
    assert all(abs(gap - 120) <= 5 for gap in gaps(triangle.weights[0, best]))
    pairs = shipped_superposition("superposition_pairs")
    assert pairs.geometries(0.05)[pairs.best(0.05)] == "antipodal pair and one"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_the_table_comes_out_when_trained_again(seed: int) -> None:
    found = toy_superposition(densities=(0.05, 0.3), seed=seed)
    check_pentagons(found)
    check_pairs(found)
    check_dense(toy_superposition(densities=(1.0,), decay=0.9, seed=seed))


@pytest.mark.slow
def test_training_again_gives_the_shipped_models() -> None:
    shipped = shipped_superposition("superposition_pairs")
    again = train_toys(TOY_RECIPES["superposition_pairs"])
    assert shipped.recipe == again.recipe
    assert shipped.geometries(0.05) == again.geometries(0.05)


def test_results_are_kept_and_drawn(tmp_path: Path) -> None:
    found = toy_superposition(densities=(0.05, 1.0), instances=2, steps=3)
    again = Superposition.from_json(found.to_json())
    torch.testing.assert_close(again.weights, found.weights, atol=1e-5, rtol=0)
    assert again.densities == found.densities
    found.save(tmp_path / "toys.json")
    for suffix in ("svg", "html", "png"):
        found.save(tmp_path / f"toys.{suffix}")
        found.geometry_figure().save(tmp_path / f"arrows.{suffix}")
        assert (tmp_path / f"arrows.{suffix}").stat().st_size > 500
    found.figure().save(tmp_path / "lines.json")
    assert load_figure(tmp_path / "lines.json") == found.figure()
    arrows = found.geometry_figure()
    assert Arrows.from_json(arrows.to_json()) == arrows
    assert len(found.to_dataframe()) == 2 * 2 * 5 and len(found.table().rows) == 2


def test_bad_input_is_refused() -> None:
    with pytest.raises(OptionError, match="densities"):
        toy_superposition(densities=(0.0,))
    with pytest.raises(OptionError, match="unknown option sparsity"):
        toy_superposition(sparsity=0.9)
    with pytest.raises(OptionError, match="values='two'"):
        ToyRecipe(values="two")
    found = toy_superposition(features=6, dims=3, densities=(0.1,), instances=1, steps=1)
    with pytest.raises(OptionError, match="2 dimensions"):
        found.geometries(0.1)
    with pytest.raises(OptionError, match="no models at density"):
        found.best(0.7)
    with pytest.raises(OptionError, match="no toy models"):
        shipped_superposition("toys")
    with pytest.raises(ShapeError, match="vectors of 3"):
        Arrows([[[1.0, 0.0, 0.0]]], ["a"])
