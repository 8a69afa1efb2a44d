"""A trained induction model: patching and path patching find its two heads and the K edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import residuum as rz
from residuum.patching.path_patching import path_patch
from residuum.patching.results.path_table import PathTable

ROWS = 256
PREVIOUS, INDUCTION = "L0.head_out[H0]", "L1.head_out[H0]"
KEY = (PREVIOUS, "L1.k_in[H0]")
TOKENS_INTO_HEADS = {("embed", "L0.v_in[H0]"), ("embed", "L1.v_in[H0]")}
"""What the two heads copy."""


@pytest.fixture(scope="module")
def model(test_data: Any) -> rz.Model:
    return rz.load(test_data / "gbmi_indhead")


def puzzles() -> tuple[torch.Tensor, torch.Tensor]:
    """Seven distinct letters, then one of the first six again; and its place."""
    generator = torch.Generator().manual_seed(0)
    letters = torch.rand(ROWS, 26, generator=generator).argsort(dim=1)[:, :7]
    at = torch.randint(0, 6, (ROWS,), generator=generator)
    return torch.cat([letters, letters[torch.arange(ROWS), at].unsqueeze(1)], dim=1), at


def follows(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What follows the first place of the last letter, and whether that is a place of its own."""
    place = (ids[:, :7] == ids[:, 7:]).int().argmax(dim=1)
    return ids[torch.arange(len(ids)), place + 1], place < 6


@pytest.fixture(scope="module")
def permuted() -> rz.Task:
    """Against the same letters in another order, the last one kept."""
    clean, _ = puzzles()
    order = torch.rand(ROWS, 7, generator=torch.Generator().manual_seed(1)).argsort(dim=1)
    corrupt = torch.cat([clean[:, :7].gather(1, order), clean[:, 7:]], dim=1)
    return _task(clean, corrupt)


@pytest.fixture(scope="module")
def last_letter() -> rz.Task:
    """Against another of the first six letters at the end."""
    clean, at = puzzles()
    corrupt = clean.clone()
    corrupt[:, 7] = clean[torch.arange(ROWS), (at + 2) % 6]
    return _task(clean, corrupt)


def _task(clean: torch.Tensor, corrupt: torch.Tensor) -> rz.Task:
    (right, _), (wrong, known) = follows(clean), follows(corrupt)
    kept = (known & (right != wrong)).nonzero().flatten()
    return rz.Task.from_pairs(
        clean=clean[kept], corrupt=corrupt[kept], answers=right[kept], wrong=wrong[kept]
    )


def mean_sizes(table: PathTable) -> dict[tuple[str, str], float]:
    """Mean |effect| of every possible path."""
    sizes = np.abs(table.per_example).mean("example").to_series().dropna()
    return {(str(a), str(b)): float(size) for (a, b), size in sizes.items()}


def test_patching_finds_both_heads(model: rz.Model, permuted: rz.Task) -> None:
    sweep = rz.patch(model, permuted, "z", ("layer", "head"))
    first, second = sweep.recovered_frac.values.ravel()
    assert second == pytest.approx(1.0, abs=0.01)  # all goes through it: nothing else reads
    assert 0.3 < first < 0.7  # the keys, without the values that the tokens bring


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("engine", ["forked", "naive"])
def test_path_patching_finds_the_k_edge(
    model: rz.Model, permuted: rz.Task, direction: Any, engine: Any
) -> None:
    table = path_patch(model, permuted, direction=direction, engine=engine)
    assert table.engine == engine
    sizes = mean_sizes(table)
    circuit = {KEY, (INDUCTION, "logits")} | TOKENS_INTO_HEADS
    edge = sizes[KEY]
    assert edge > 15
    assert min(sizes[pair] for pair in circuit) > 0.95 * edge
    others = {pair: size for pair, size in sizes.items() if pair not in circuit}
    assert len(others) == 8
    assert max(others.values()) <= 0.05 * edge, others


def test_sizes_are_those_measured_before(
    model: rz.Model, permuted: rz.Task, last_letter: rz.Task
) -> None:
    """Mean |effect| measured by a loop of whole passes on the same model, other permutations."""
    sizes = mean_sizes(path_patch(model, permuted))
    assert sizes[KEY] == pytest.approx(23.5, rel=0.15)
    assert sizes["embed", "L1.v_in[H0]"] == pytest.approx(24.1, rel=0.05)
    assert sizes[PREVIOUS, "L1.v_in[H0]"] == pytest.approx(0.4, abs=0.1)
    changed = mean_sizes(path_patch(model, last_letter))
    assert changed[KEY] == pytest.approx(0.09, abs=0.03)
    assert changed["embed", "logits"] == pytest.approx(0.5, abs=0.15)
    assert changed["embed", "L1.q_in[H0]"] > 40  # now the query alone tells the prompts apart


def test_k_edge_is_the_first_heads_whole_effect(model: rz.Model, permuted: rz.Task) -> None:
    """With the direct path into q, k, v and logits the first head's effect is told apart."""
    sweep = rz.patch(model, permuted, "z", ("layer", "head"))
    table = path_patch(model, permuted, "L0.z[H0]", ["L1.k_in", "logits"])
    whole = float(sweep.effects[0, 0])
    assert table.effect("L0.z[H0]", "L1.k_in[H0]") == pytest.approx(whole, rel=0.02)
