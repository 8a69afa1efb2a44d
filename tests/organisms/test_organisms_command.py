"""``residuum organisms``: what it lists, shows, trains and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import residuum as rz
from residuum.apps.cli import main
from residuum.apps.cli.organisms import ABOUT, LOADABLE
from residuum.models.embedded import COMPUTED, ORGANISMS
from residuum.organisms import ATTENTION_RECIPES, TOY_RECIPES, series_steps
from residuum.organisms.attention_only import Teacher


def test_every_organism_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["organisms", "--json"]) == 0
    listed = [row["name"] for row in json.loads(capsys.readouterr().out)]
    assert listed == list(ABOUT)
    assert set(listed) == {*ATTENTION_RECIPES, *TOY_RECIPES, *COMPUTED}
    assert set(LOADABLE) == {*ORGANISMS, *COMPUTED}
    assert main(["organisms"]) == 0
    assert "induction_2l_nopos" in capsys.readouterr().out


@pytest.mark.parametrize("name", ABOUT)
def test_every_organism_can_be_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["organisms", "show", name, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["name"] == name
    assert main(["organisms", "show", name]) == 0
    assert ABOUT[name] in " ".join(capsys.readouterr().out.split())


def test_the_phase_change_is_shown_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "phase.svg"
    assert main(["organisms", "show", "induction_2l", "--figure", str(target), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["result"]["agree"] is True and target.stat().st_size > 1000
    assert main(["organisms", "show", "induction_2l_nopos", "--json"]) == 0
    twin = json.loads(capsys.readouterr().out)
    assert twin["result"]["agree"] is False and twin["result"]["lag"]["mean"] is None


def test_training_by_command_can_stop_and_go_on(tmp_path: Path) -> None:
    out = tmp_path / "skip"
    recipe = ATTENTION_RECIPES["skip_trigram_1l"].with_seed(4).with_steps(6)
    Teacher(recipe, out).train(until=2)
    train = ["organisms", "train", "skip_trigram_1l", "--steps", "6", "--seed", "4", "--json"]
    assert main([*train, "--out", str(out), "--resume"]) == 0
    assert main([*train, "--out", str(tmp_path / "whole")]) == 0
    one, other = (rz.load(folder, check=False) for folder in (out, tmp_path / "whole"))
    assert one.adapted.weight_hash == other.adapted.weight_hash
    assert series_steps(out) == (0,)


def test_toy_models_are_trained_by_command(tmp_path: Path) -> None:
    assert main(
        ["organisms", "train", "superposition_triangle", "--steps", "3", "--out", str(tmp_path)]
    ) == 0  # fmt: skip
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"superposition_triangle.json", "dimensionality.svg", "geometry.svg"}


@pytest.mark.parametrize(
    ("words", "what", "mend"),
    [
        (["show", "macroworld"], "no organism 'macroworld'", "induction_2l"),
        (["train", "microworld"], "no organism 'microworld'", "residuum.apps.train microworld"),
        (["train", "handmade_induction"], "set by hand", 'rz.load("handmade_induction")'),
        (["show", "induction_2l", "--steps", "3"], "does not take --steps", "leave --steps out"),
        (["draw"], "cannot be read as 'draw'", "residuum organisms show NAME"),
        (["show", "skip_trigram_1l", "--figure", "a.svg"], "has no figure", "leave --figure out"),
        (["train", "superposition", "--resume"], "not resumed", "leave --resume out"),
    ],
)
def test_bad_input_is_refused_with_its_mend(
    words: list[str], what: str, mend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["organisms", *words]) == 2
    said = capsys.readouterr().err
    assert what in said and mend in said
