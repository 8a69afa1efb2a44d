"""docs/howto/organisms.md states what the shipped results say: its rows are made here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from residuum.models import embedded_path
from residuum.organisms import (
    Superposition,
    phase_change,
    shipped_curves,
    shipped_superposition,
)
from residuum.organisms.superposition import gaps, represented

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "organisms.md"


def phase_rows() -> Iterator[str]:
    found = phase_change()
    for each in found.seeds:
        numbers = (*each.midpoints, each.lag, each.raw_midpoint, each.raw_lag)
        yield f"| {each.seed} | {' | '.join(f'{number:.0f}' for number in numbers)} |"
    cells = [
        f"{one.mean:.0f} ({one.low:.0f} to {one.high:.0f})".replace("-", "−")
        for one in (found.matching, found.learning, found.lag, found.learning_raw, found.lag_raw)
    ]
    yield f"| mean (95 %) | {' | '.join(cells)} |"


def end_rows() -> Iterator[str]:
    curves = shipped_curves()
    names = ("induction_2l", "induction_2l_nopos", "induction_1l")
    scores: list[tuple[str, Callable[[Any], float]]] = [
        ("prefix matching, best head", lambda entry: max(map(max, entry["prefix_matching"]))),
        ("previous-token attention, best head", lambda e: max(map(max, e["previous_token"]))),
        ("loss on repeated tokens, nats", lambda entry: entry["repeated_nats"]),
        ("in-context learning, nats", lambda entry: entry["icl_nats"]),
    ]
    for words, value in scores:
        cells = []
        for name in names:
            ends = sorted(value(log[-1]) for log in curves[name].values())
            cells.append(f"{ends[0]:.2f} to {ends[-1]:.2f}".replace("-", "−"))
        yield f"| {words} | {' | '.join(cells)} |"


def skip_lines() -> Iterator[str]:
    path = embedded_path("skip_trigram_1l") / "scores.json"
    scores = json.loads(path.read_text(encoding="utf-8"))
    yield (
        f"There the model is right in {100 * scores['accuracy']:.1f} % of 512 sequences; with A "
        f"replaced by filler in {100 * scores['accuracy_without']:.1f} %."
    )


def toy_rows() -> Iterator[str]:
    for name in ("superposition", "superposition_importance"):
        yield from rows_of(shipped_superposition(name))


def rows_of(found: Superposition) -> Iterator[str]:
    for place, density in enumerate(found.densities):
        best = found.best(density)
        counts = Counter(found.geometries(density)).most_common()
        kinds = ", ".join(f"{name} {count}" for name, count in counts)
        angles = ", ".join(f"{gap:.0f}°" for gap in gaps(found.weights[place, best]))
        kept = represented(found.weights[place, best])
        share = found.dimensionality[place, best][kept].mean()
        yield f"| {density:.2f} | {kinds} | {angles} | {share:.2f} |"


def how_many(name: str, kind: str, density: float) -> str:
    kinds = shipped_superposition(name).geometries(density)
    return f"{kinds.count(kind)} of {len(kinds)}"


def words() -> Iterator[str]:
    dense = shipped_superposition("superposition_importance")
    kept = represented(dense.weights[dense.place(1.0)])
    first_two = [each.tolist() == [True, True, False, False, False] for each in kept]
    pairs = how_many("superposition_importance", "orthogonal pair", 1.0)
    yield f"holds with importance .9^i: {pairs} models, and the two are the"
    yield f"first two in {sum(first_two)} of 16, the lowest loss among them."
    assert first_two[dense.best(1.0)]
    yield f"With equal importance it is {how_many('superposition', 'orthogonal pair', 1.0)}."
    pair = how_many("superposition_pairs", "antipodal pair and one", 0.05)
    yield f"across it interferes less ({pair} at density .05)."
    triangle = how_many("superposition_triangle", "triangle", 0.05)
    yield f"has the lowest loss, and {triangle} models find it at density .05."


@pytest.mark.parametrize("rows", [phase_rows, end_rows, skip_lines, toy_rows, words])
def test_the_page_states_the_shipped_results(rows: Callable[[], Iterator[str]]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    missing = [row for row in rows() if row not in text]
    assert not missing


def test_dense_features_of_equal_importance_are_projected_not_packed() -> None:
    found = shipped_superposition()
    place = found.place(1.0)
    sizes = torch.linalg.svdvals(found.weights[place])
    assert sizes.min() > 0.995 and sizes.max() < 1.015
    torch.testing.assert_close(found.losses[place], torch.full((16,), 3 / 12), atol=0.003, rtol=0)
    assert torch.linalg.svdvals(found.weights[found.place(0.05)]).min() > 1.2  # there it packs
    assert "nothing is packed" in found.table().caption
    assert (
        "nothing is packed" not in shipped_superposition("superposition_importance").table().caption
    )


def test_the_lowest_loss_is_the_pentagon_s_up_to_a_fifth() -> None:
    found = shipped_superposition()
    for density in (0.05, 0.1, 0.2):
        assert found.geometries(density)[found.best(density)] == "pentagon"
    triangle = shipped_superposition("superposition_triangle")
    for density in triangle.densities:
        assert triangle.geometries(density)[triangle.best(density)] == "triangle"
