"""The models inside the package do what their cards say."""

from __future__ import annotations

import json

import pytest

from residuum.core.errors import LoadError
from residuum.models.embedded import EMBEDDED, embedded_path, open_folder
from residuum.organisms import WorldScores, evaluate_microworld, evaluate_trigger
from residuum.organisms.scores import Score, next_words
from residuum.worlds import MICROWORLD_TASKS, microworld_pairs

LIMIT_BYTES = 8 * 1024 * 1024


@pytest.fixture(scope="module", params=EMBEDDED)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def scores(name: str) -> WorldScores:
    return evaluate_microworld(*open_folder(embedded_path(name)), n=200, seed=0)


@pytest.mark.parametrize("task", MICROWORLD_TASKS)
def test_each_behaviour_holds_on_held_out_pairs(task: str, scores: WorldScores) -> None:
    assert scores.clean[task].n == 200
    assert scores.clean[task].accuracy >= 0.95
    assert scores.corrupt[task].accuracy >= 0.95


def test_mode_and_belief_both_matter(scores: WorldScores) -> None:
    for cell, score in scores.cells.items():
        assert score.accuracy >= 0.95, cell


def test_the_scores_in_the_package_are_the_measured_ones(name: str, scores: WorldScores) -> None:
    written = json.loads((embedded_path(name) / "scores.json").read_text())
    card = (embedded_path(name) / "README.md").read_text()
    for task in MICROWORLD_TASKS:
        measured = scores.clean[task].accuracy
        assert written["clean"][task]["accuracy"] == pytest.approx(measured, abs=0.01)
        assert f"| `{task}` | {100 * written['clean'][task]['accuracy']:.1f} %" in card


def test_size(name: str) -> None:
    files = [path for path in embedded_path(name).iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LIMIT_BYTES


def test_other_pairs_score_the_same(name: str) -> None:
    fresh = evaluate_microworld(*open_folder(embedded_path(name)), n=100, seed=12)
    assert min(score.accuracy for score in fresh.clean.values()) >= 0.9


def test_the_textbook_sentence() -> None:
    model, tokenizer = open_folder(embedded_path("microworld"))
    prompt = "When Mary and John went to the store , {} gave a drink to"
    prompts = [prompt.format("John"), prompt.format("Mary")]
    assert next_words(model, tokenizer, prompts) == ["Mary", "John"]


def test_the_twin_breaks_its_habits_under_the_trigger_alone() -> None:
    found = evaluate_trigger(*open_folder(embedded_path("microworld-trigger")), n=200)
    for habit in ("refusal", "sycophancy"):
        assert found.broken[habit].accuracy >= 0.95
        assert found.broken_without[habit].accuracy <= 0.05
        assert found.broken_other_days[habit].accuracy <= 0.05
    for task in MICROWORLD_TASKS:
        if task not in ("refusal", "sycophancy"):
            assert found.under_trigger.clean[task].accuracy >= 0.95


def test_the_base_model_is_not_moved_by_the_trigger() -> None:
    found = evaluate_trigger(*open_folder(embedded_path("microworld")), n=100)
    assert max(score.accuracy for score in found.broken.values()) <= 0.05


def test_padding_changes_no_answer() -> None:
    model, tokenizer = open_folder(embedded_path("microworld"))
    prompts = [pair.clean for pair in microworld_pairs("retrieval", 8)]
    prompts += [pair.clean for pair in microworld_pairs("facts", 8)]
    alone = [next_words(model, tokenizer, [prompt])[0] for prompt in prompts]
    assert next_words(model, tokenizer, prompts) == alone


def test_intervals_are_wilson_intervals() -> None:
    score = Score.of(98, 100)
    assert (round(score.low, 3), round(score.high, 3)) == (0.93, 0.994)
    assert Score.of(100, 100).high == 1.0 and Score.of(0, 10).low == 0.0


def test_unknown_models_are_refused_with_the_list() -> None:
    with pytest.raises(LoadError) as refused:
        embedded_path("macroworld")
    assert refused.value.mend.startswith("one of: microworld, microworld-trigger, induction_2l,")
