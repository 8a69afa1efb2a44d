"""docs/howto/heads.md lists every type with the score and the null that the code uses."""

from __future__ import annotations

import re
from inspect import signature
from pathlib import Path

import residuum as rz
from residuum import heads
from residuum.heads.head_scores import ABOUT
from residuum.heads.head_types import BY_SCORE, LEAST_LOGITS, TYPES

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "howto"
PAGE = (FOLDER / "heads.md").read_text(encoding="utf-8")


def rows(after: str) -> dict[str, list[str]]:
    """First cell -> the others, of the first table after a heading."""
    lines = PAGE.split(after, 1)[1].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    table = [line for line in lines[start + 2 :][: lines[start:].index("") - 2]]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {first.strip("`"): rest for first, *rest in cells}


def test_every_type_is_listed() -> None:
    found = rows("## When a head gets a name")
    assert set(found) == set(TYPES)
    for name, score in BY_SCORE.items():
        assert found[name][0].startswith(f"`{score}`"), name
        assert found[name][1] == ABOUT[score][2].removesuffix(" of the prompt"), name
    for name, score in (("name mover", "name_mover"), ("S-inhibition-like", "s_inhibition")):
        assert found[name][0].startswith(f"`{score}`") and found[name][1] == ABOUT[score][2]
    assert f"-{LEAST_LOGITS} logits" in found["copy suppression"][0]
    assert all(re.search(r"; not|; often", each[3]) for each in found.values())
    order = re.search(r"in the order \*(.+?)\*", PAGE, re.DOTALL)
    assert order and tuple(re.split(r",\s+", order[1])) == TYPES
    least = signature(heads.detect_heads).parameters["least"].default
    assert f"`least={least}`" in PAGE


def test_every_score_is_listed() -> None:
    listed = set(rows("## What is measured")) | {"name_mover", "s_inhibition", "task_direct"}
    assert listed == set(ABOUT)
    assert all(f"`{name}`" in PAGE for name in ABOUT)


def test_the_head_of_random_weights_is_as_told() -> None:
    table = heads.detect_heads(rz.load("handmade_induction"), removal=None)
    shares = [f"{table.score(name)[1, 2]:.2f}"[1:] for name in ("skip_trigram", "first_token")]
    words = " ".join(PAGE.split())
    assert f"gives {shares[0]} to content and {shares[1]} to the first token" in words
    assert not table.head(1, 2).types


def test_skip_trigrams_are_as_told() -> None:
    page = " ".join((FOLDER / "weights.md").read_text(encoding="utf-8").split())
    found = heads.skip_trigrams(rz.load("skip_trigram_1l", check=False), 5)
    ratios = sorted(each.strength / found.null_strength for each in found.found)
    told = re.search(r"trained model are (\d) to (\d) times as strong", page)
    assert told and [round(ratios[0]), round(ratios[-1])] == [int(each) for each in told.groups()]
    assert f"`draws={found.draws}`" in page and f"1 in {found.draws + 1} lists" in page
