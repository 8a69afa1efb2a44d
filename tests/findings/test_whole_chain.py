"""The whole chain, every stage: two known heads in a public model; microworld's ten behaviours."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import residuum as rz
from residuum.findings import Finding
from residuum.findings.chain.further import FURTHER
from residuum.runs import Model, Task

MICROWORLD = (
    "induction", "ioi", "greater_than", "facts", "retrieval", "agreement", "negation", "sentiment",
    "refusal", "sycophancy",
)  # fmt: skip


def repeats(n: int = 64) -> Task:
    """Seven letters, then one of them again: what followed it is the answer.

    The corrupt prompt has the same letters in another order, the last one kept.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randperm(26, generator=generator)[:7] for _ in range(n)]
    other = [row[torch.randperm(7, generator=generator)] for row in drawn]
    pairs = [(a, b, letter) for a, b in zip(drawn, other, strict=True)
             for letter in a if letter not in (a[6], b[6])][::3]  # fmt: skip
    answers, wrong = (
        torch.stack([row[list(row).index(letter) + 1] for row, letter in rows])
        for rows in ([(a, c) for a, _, c in pairs], [(b, c) for _, b, c in pairs])
    )
    apart = [i for i in range(len(pairs)) if answers[i] != wrong[i]][:n]
    clean, corrupt = (
        torch.stack([torch.cat([pairs[i][side], pairs[i][2][None]]) for i in apart])
        for side in (0, 1)
    )
    return rz.Task.from_pairs(
        clean=clean, corrupt=corrupt, answers=answers[apart], wrong=wrong[apart], name="repeats"
    )


@pytest.fixture(scope="module")
def gbmi(test_data: Path) -> tuple[Model, Finding]:
    model = rz.load(test_data / "gbmi_indhead")
    return model, rz.investigate(model, repeats())


def test_gbmi_names_its_two_heads_and_their_composition(gbmi: tuple[Model, Finding]) -> None:
    _, found = gbmi
    assert found.status == "supported", [(r.name, r.outcome, r.found) for r in found.rules]
    assert set(found.components) == {"L0.z[H0]", "L1.z[H0]"}
    assert "L0.H0" in found.claim and "feeds the keys of L1.H0" in found.claim
    assert "Specificity: not testable" in found.claim
    narrowed = next(line for line in found.scope if line.startswith("This behaviour alone"))
    assert "not known; not testable" in narrowed
    assert "random directions" in found.claim  # no other head exists to compare with


def test_every_stage_ran_and_stands_in_the_file_and_on_the_page(
    gbmi: tuple[Model, Finding], tmp_path: Path
) -> None:
    model, found = gbmi
    assert found.stages == tuple(each.name for each in FURTHER)
    assert all(getattr(found, name) is not None for name in found.stages)
    path = found.save(tmp_path)
    assert Finding.load(path).hash == found.hash
    assert path.with_name("report.html").stat().st_size > 10_000
    again = rz.replay(path, model)
    assert again.agrees and again.found.status == "supported"


@pytest.mark.slow
@pytest.mark.parametrize("task", MICROWORLD)
def test_each_behaviour_of_microworld_is_supported(model: Model, task: str) -> None:
    found = rz.investigate(model, task)
    assert found.status == "supported", [(r.name, r.outcome, r.found) for r in found.rules]
    assert "no mechanism found" not in found.claim
