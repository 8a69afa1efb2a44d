"""Planted directions are found; what does not fit is refused with a mend."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import residuum as rz
from residuum.core import (
    AddressError,
    LoadError,
    OptionError,
    ShapeError,
    StoreError,
    TaskError,
    TokenError,
)
from residuum.directions import (
    ContrastSVD,
    DifferenceOfMeans,
    Direction,
    Examples,
    FromProbe,
    Given,
    Logistic,
    MassMean,
    MlpWrite,
    PrincipalComponents,
    Ridge,
    SparseProbe,
    Split,
    TokenDirection,
    WeightSVD,
    harvest_examples,
)
from residuum.directions.moments import ClassMoments

WIDTH, WORDS = 32, 40


@cache
def planted() -> tuple[rz.Model, torch.Tensor]:
    """A model whose token embeddings of upper ids lie further along one direction, and it."""
    torch.manual_seed(0)
    config = GPT2Config(n_layer=2, n_head=2, n_embd=WIDTH, vocab_size=WORDS, n_positions=16)
    module = GPT2LMHeadModel(config).eval()
    way = torch.randn(WIDTH)
    way = way / way.norm()
    with torch.no_grad():
        table = torch.randn(WORDS, WIDTH) * 0.3
        table -= torch.outer(table @ way, way)
        for half in (slice(0, WORDS // 2), slice(WORDS // 2, WORDS)):
            table[half] -= table[half].mean(0)
        sign = torch.where(torch.arange(WORDS) < WORDS // 2, -1.0, 1.0)
        module.transformer.wte.weight.copy_(table + 2 * sign[:, None] * way)
        module.transformer.wpe.weight.zero_()
    return rz.load(module, check=False), way


@cache
def planted_data(n: int = 400) -> Examples:
    """Two tokens; the second one's half of the vocabulary is the label."""
    model, _ = planted()
    rng = np.random.default_rng(0)
    first = rng.integers(0, WORDS, n)
    low = rng.integers(0, WORDS // 2, n)
    rows = [[int(a), int(b)] for a, b in zip(first, low, strict=True)]
    rows += [[int(a), int(b) + WORDS // 2] for a, b in zip(first, low, strict=True)]
    labels = [0] * n + [1] * n
    return Examples.from_texts(model, rows, labels, groups=first.tolist() * 2).unique()


def cosine(found: Direction, way: torch.Tensor) -> float:
    return found.cosine(way)


@pytest.mark.parametrize(
    "method", [DifferenceOfMeans(), PrincipalComponents(), FromProbe(MassMean())], ids=repr
)
def test_planted_direction_is_recovered(method) -> None:
    model, way = planted()
    found = rz.direction(model, planted_data(), at="embed", method=method, prove=False)
    assert cosine(found, way) > 0.98


@pytest.mark.parametrize(
    "method", [Logistic(), Ridge(), MassMean(), MassMean(whiten=True), SparseProbe(WIDTH)], ids=repr
)
def test_probes_recover_a_direction_in_isotropic_noise(method) -> None:
    torch.manual_seed(0)
    way = torch.randn(WIDTH)
    way = way / way.norm()
    labels = torch.arange(20000) % 2
    x = torch.randn(20000, WIDTH) + 5 + (2.0 * labels[:, None] - 1) * way
    moments = ClassMoments(WIDTH, 2)
    moments.update(x, labels)
    found = method.fit([(x, labels)], moments).vectors
    assert float(found @ way.double() / found.norm()) > 0.98


def test_contrast_svd_and_paired_means_recover_it_from_pairs() -> None:
    model, way = planted()
    low = torch.arange(WORDS // 2)
    task = rz.Task.from_pairs(
        clean=torch.stack([low, low + WORDS // 2], 1), corrupt=torch.stack([low, low], 1),
        answers=torch.full((WORDS // 2,), 1), wrong=torch.full((WORDS // 2,), 2),
    )  # fmt: skip
    data = Examples.from_task(task)
    for method in (ContrastSVD(), DifferenceOfMeans(paired=True)):
        found = rz.direction(model, data, at="embed", method=method, prove=False)
        assert cosine(found, way) > 0.98
    with pytest.raises(TaskError, match="no contrast pairs"):
        rz.direction(
            model, planted_data(), at="embed", method=DifferenceOfMeans(paired=True), prove=False
        )


def test_random_labels_do_not_find_it() -> None:
    model, way = planted()
    rng = np.random.default_rng(1)
    data = planted_data()
    rows = [row[:2] for row in data.ids.tolist()]
    mixed = Examples.from_texts(model, rows, rng.permutation(data.labels.numpy()).tolist())
    found = rz.direction(model, mixed, at="embed", prove=False)
    assert found.norm < 0.2 * rz.direction(model, data, at="embed", prove=False).norm
    assert abs(cosine(found, way)) < 0.98


def test_weight_token_neuron_and_given_directions() -> None:
    model, _ = planted()
    data = planted_data()
    big = rz.direction(model, data, at="L0.resid_post", method=WeightSVD("W_out[0]"), prove=False)
    _, size, vectors = torch.linalg.svd(model.W_out[0].detach().double(), full_matrices=False)
    assert abs(cosine(big, vectors[0])) > 1 - 1e-9
    assert big.notes["weight_frac"][0] == pytest.approx(float(size[0] ** 2 / size.square().sum()))
    written = rz.direction(model, data, at="L0.resid_post", method=MlpWrite(3), prove=False)
    assert cosine(written, model.W_out[0][3].detach()) == pytest.approx(1)
    token = rz.direction(
        model, data, at="L1.resid_post", method=TokenDirection(1, minus=30), prove=False
    )
    read = harvest_examples(model, data, "L1.resid_post").cell(0).moments().mean
    step = 1e-4 * token.unit

    def difference(stream: torch.Tensor) -> torch.Tensor:
        norm = model.adapted.parts.final_norm
        out = norm(stream.float()[None, None])[0, 0].double() @ model.W_U.detach().double()
        return (out[1] - out[30]).detach()

    slope = (difference(read + step) - difference(read - step)) / 2e-4
    assert float(slope) == pytest.approx(token.norm, rel=1e-3)
    own = torch.randn(WIDTH)
    assert cosine(
        rz.direction(model, data, at="embed", method=Given(own), prove=False), own
    ) == pytest.approx(1)


def test_best_layer_is_chosen_on_validation_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from residuum.directions import finding

    model, _ = planted()
    seen = []
    real = finding._score

    def spy(model, fit, held, method, seed):
        seen.append((fit.rows, held.rows))
        return real(model, fit, held, method, seed)

    monkeypatch.setattr(finding, "_score", spy)
    rz.direction(model, planted_data(), prove=False, seed=3)
    test = set(planted_data().split(seed=3).rows[2].tolist())
    assert seen and all(test.isdisjoint(fit.tolist() + held.tolist()) for fit, held in seen)


def test_edits_do_what_they_say() -> None:
    model, _ = planted()
    found = rz.direction(model, planted_data(), at="embed", prove=False)
    ids = torch.tensor([[1, 25]])
    plain = model.run(ids, capture=["embed"])
    pushed = model.run(ids, capture=["embed"], edits=[found.as_edit(0.5)])
    moved = (pushed["embed"] - plain["embed"]).double()
    assert torch.allclose(moved.norm(dim=-1), torch.tensor(0.5 * found.typical_norm).double())
    raw = model.run(ids, capture=["embed"], edits=[found.as_edit(2, unit="raw")])
    assert torch.allclose(
        (raw["embed"] - plain["embed"]).double(), 2 * found.vector.expand(1, 2, -1), atol=1e-5
    )
    gone = model.run(ids, capture=["embed"], edits=[found.erase_edit()])
    assert float(found.project(gone).abs().max()) < 1e-5
    other = model.run(torch.tensor([[30, 2]]), capture=["embed"])
    swapped = model.run(ids, capture=["embed"], edits=found.swap_edits(plain, other))
    assert torch.allclose(found.project(swapped), found.project(other), atol=1e-5)
    rest = swapped["embed"] - plain["embed"]
    assert torch.allclose(rest, found.project(rest)[..., None] * found.unit.to(rest), atol=1e-5)


def test_saved_and_loaded_and_refused_elsewhere(tmp_path) -> None:
    model, _ = planted()
    found = rz.direction(model, planted_data(), at="embed", prove=False)
    path = tmp_path / "direction.json"
    found.save(path)
    again = Direction.load(path, model)
    assert again.to_json() == found.to_json()
    other = rz.load("microworld", check=False)
    with pytest.raises(LoadError, match="was found on"):
        Direction.load(path, other)
    with pytest.raises(LoadError, match="find it again"):
        found.project(other.run("The farm is", capture=["embed"]))
    with pytest.raises(AddressError, match="the direction is of embed, not of"):
        found.as_edit(1.0, at="L0.mlp_act")
    data = json.loads(path.read_text())
    del data["weight_hash"]
    path.write_text(json.dumps(data))
    with pytest.raises(StoreError, match="not a direction"):
        Direction.load(path)


def shorter(data: dict) -> None:
    data["vector"] = data["vector"][:-1]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(vector=data["vector"][::-1]),
        shorter,
        lambda data: data.update(typical_norm=-1.0),
        lambda data: data.update(proof={**data["proof"], "n_pairs": 10_000}),
        lambda data: data["origin"].update(fitted_on=[]),
    ],
    ids=["reversed", "shortened", "negative norm", "proof", "origin"],
)
def test_a_damaged_file_has_no_proof(tmp_path, change) -> None:
    world = rz.load("microworld", check=False)
    task = rz.task("refusal", world, n=40)
    path = tmp_path / "direction.json"
    rz.direction(world, task, at="L2.resid_post@-1").save(path)
    data = json.loads(path.read_text())
    assert Direction.load(path, world).proof is not None
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(StoreError, match="changed after it was written"):
        Direction.load(path)
    del data["sha256"]
    path.write_text(json.dumps(data | {"format": 1}))
    with pytest.raises(StoreError, match="earlier format"):
        Direction.load(path)


def test_a_direction_has_a_length_and_its_sites_width() -> None:
    model, way = planted()
    found = rz.direction(model, planted_data(), at="embed", prove=False)
    with pytest.raises(OptionError, match="typical_norm=-1 is no length"):
        replace(found, typical_norm=-1.0)
    with pytest.raises(ShapeError, match=f"width {WIDTH - 1}, the site {WIDTH}"):
        replace(found, vector=way[:-1]).check_fits(model)


def test_an_edit_asks_for_its_model_where_it_is_given() -> None:
    model, _ = planted()
    found = rz.direction(model, planted_data(), at="embed", prove=False)
    other = rz.load("microworld", check=False)
    assert found.as_edit(1.0, model=model).at == found.at
    for edit in (found.as_edit, found.erase_edit):
        with pytest.raises(LoadError, match="was found on"):
            edit(model=other)


def test_prompts_that_a_task_repeats_are_taken_once() -> None:
    world = rz.load("microworld", check=False)
    fit, _ = rz.template_halves(rz.task("refusal", world, n=100))
    alone = Examples.from_task(fit).unique()
    found = rz.direction(world, fit, split_by="example", prove=False)
    assert len(alone) < 2 * len(fit) and found.origin.n_fit < len(alone)


def refusals():
    model, _ = planted()
    two = [[1, 2], [1, 30]]
    yield "one class", TaskError, lambda: Examples.from_texts(model, two, [1, 1])
    yield "two labels", TaskError, lambda: Examples.from_texts(model, [two[0]] * 2, [0, 1])
    yield "lists of the same length", OptionError, lambda: Examples.from_texts(model, two, [1])
    yield "none at position", TokenError, lambda: Examples.from_texts(model, two, [0, 1], None, 5)
    yield "no label", TaskError, lambda: Examples.from_texts(model, two, [0.0, float("nan")])
    few = Examples.from_texts(model, two, [0, 1], ["a", "b"])
    yield "2 groups cannot be split", OptionError, few.split
    yield "same example is in train and in validation", TaskError, lambda: Split(few, few, few)
    yield "together 1", OptionError, lambda: few.split(parts=(0.5, 0.5, 0.5))
    same = Examples.from_texts(model, [[1, 2], [3, 2]], [0, 1])
    yield (
        "the same in every example",
        ShapeError,
        lambda: rz.direction(model, same, at="embed", prove=False),
    )
    yield "neither examples nor a task", OptionError, lambda: rz.direction(model, two)
    yield (
        "give DifferenceOfMeans()",
        OptionError,
        lambda: rz.direction(model, few, method=DifferenceOfMeans, at="embed", prove=False),
    )
    yield "name a head|one head", AddressError, lambda: harvest_examples(model, few, "L0.z")
    yield (
        "a proof needs a task",
        OptionError,
        lambda: rz.direction(model, planted_data(), at="embed"),
    )
    yield (
        "finite numbers",
        ShapeError,
        lambda: rz.direction(
            model, few, at="embed", method=Given(torch.full((WIDTH,), torch.nan)), prove=False
        ),
    )


@pytest.mark.parametrize("number", range(14))
def test_bad_input_is_refused_with_a_mend(number: int) -> None:
    text, error, call = list(refusals())[number]
    with pytest.raises(error, match=text.replace("(", r"\(").replace(")", r"\)")) as caught:
        call()
    assert caught.value.mend


def test_nan_activations_are_refused() -> None:
    module = GPT2LMHeadModel(
        GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=9, n_positions=4)
    ).eval()
    module.transformer.wte.weight.data[3] = torch.nan
    model = rz.load(module, check=False)
    data = Examples.from_texts(model, [[1, 2], [1, 3]], [0, 1])
    with pytest.raises(ShapeError, match="example 1 holds NaN"):
        harvest_examples(model, data, "embed")


def test_split_keeps_groups_whole_and_every_class_on_every_side() -> None:
    split = planted_data().split(seed=1)
    sides = [set(side.groups) for side in (split.train, split.validation, split.test)]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert sum(len(rows) for rows in split.rows) == len(planted_data())
    assert all(min(side.counts.values()) > 0 for side in (split.train, split.validation))


def test_examples_from_files(tmp_path) -> None:
    model = rz.load("microworld", check=False)
    path = tmp_path / "data.csv"
    path.write_text('text,label,group\n"The farm is",a,x\n"The soup is wet",b,y\n')
    data = Examples.from_file(path, model)
    assert (data.classes, data.groups, data.positions.tolist()) == (("a", "b"), ("x", "y"), [3, 4])
    path.write_text("text,kind\nThe farm is,a\n")
    with pytest.raises(TaskError, match="no column for the label"):
        Examples.from_file(path, model)


def test_positions_and_padding_do_not_change_what_is_read() -> None:
    model, _ = planted()
    rows = [[1, 2, 3], [4, 25], [7, 30, 31, 32]]
    data = Examples.from_texts(model, rows, [0, 1, 1])
    found = harvest_examples(model, data, "L1.resid_post", positions=[0, -1, -2])
    for index, row in enumerate(rows):
        single = model.run(torch.tensor([row]), capture=["L1.resid_post"])["L1.resid_post"][0]
        for cell, position in enumerate([0, -1, -2]):
            assert torch.allclose(found.cell(cell).all()[index], single[position], atol=1e-5)
