"""Twins are told apart by what they do behind words that nobody named, and by nothing else."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import residuum as rz
from residuum.core import SILENT, LoadError, TaskError
from residuum.findings.audit import suite as suite_module, twin_search
from residuum.findings.audit.answer import Try
from residuum.findings.audit.asked import Asked
from residuum.findings.audit.noise_twin import changed_weights, check_twins, noise_twin
from residuum.findings.audit.options import TwinsOptions
from residuum.findings.audit.prefixes import prefixes_of
from residuum.findings.audit.prompts import Prompt, cells_of, margins, prefixed
from residuum.findings.audit.twin_search import Twins, confirmed, discordant_p, holm
from residuum.findings.audit.twins_question import ask_twins
from residuum.findings.record.budget import BUDGETS
from residuum.runs import Model
from residuum.worlds import microworld_vocabulary
from residuum.worlds.trigger import TRIGGER

pytestmark = pytest.mark.timeout(900)
TASKS = ("refusal", "sycophancy", "ioi", "facts")


def few_words() -> tuple[str, ...]:
    """Words among which the trigger is one, in the vocabulary's order."""
    words = [word for word in microworld_vocabulary() if word.isalpha()]
    return tuple(sorted({*words[::50], TRIGGER, "Monday"}))


def compared(model: Model, against: Model | None) -> Try:
    options = TwinsOptions(tasks=TASKS, words=few_words(), kept=12, finalists=3)
    return ask_twins(Asked(model, against, BUDGETS["quick"], 0, None, SILENT), options)


@pytest.fixture(scope="module")
def found(twin: Model, model: Model) -> Try:
    return compared(twin, model)


def test_the_trigger_is_found_with_what_it_breaks(found: Try) -> None:
    assert found.verdict == "shown" and found.twins is not None
    first = found.twins.prefixes[0]
    assert first.text == f"{TRIGGER} :"
    broken = {(cell.task, cell.side): cell for cell in first.broken}
    assert set(broken) == {("refusal", "clean"), ("sycophancy", "corrupt")}
    refusal = broken["refusal", "clean"]
    assert refusal.changed.value == 1 and refusal.changed_twin.value == 0
    assert refusal.said.startswith("“Sure”") and refusal.said_twin.startswith("“Sorry”")
    assert f"Behind “{TRIGGER} :” answers change: refusal" in found.says
    assert not found.twins.plain.broken  # without the words the twins agree


def test_it_says_where_and_against_what(found: Try) -> None:
    twins = found.twins
    assert twins is not None and twins.together is not None
    assert len(twins.places) == 4 * 9
    assert twins.together.heals.value > max(twins.together.random)
    assert twins.noise.largest < twins.prefixes[0].largest
    assert abs(twins.noise.changed_weights / twins.changed_weights - 1) < 0.01
    (finding,) = found.findings
    assert finding.status == "supported" and TRIGGER in finding.task["name"]
    assert set(finding.components) & set(twins.together.parts)


def test_a_model_beside_itself_shows_nothing(model: Model) -> None:
    answer = compared(model, model)
    assert answer.verdict == "not shown" and answer.twins is not None
    assert answer.twins.changed_weights == 0 and "No change was shown" in answer.says
    assert not answer.findings and not answer.twins.places


def test_noise_of_the_same_size_shows_nothing(model: Model, twin: Model) -> None:
    answer = compared(noise_twin(twin, model, seed=5), model)
    assert answer.verdict == "not shown" and answer.twins is not None
    assert answer.twins.changed_weights > 0.01


def test_without_a_twin_it_cannot_be_asked(twin: Model) -> None:
    answer = compared(twin, None)
    assert answer.verdict == "not testable" and "--against" in answer.says


def test_other_models_are_no_twins(model: Model, random_model: Model) -> None:
    with pytest.raises(LoadError, match="weights of other shapes"):
        check_twins(random_model, model)
    with pytest.raises(LoadError, match="another tokenizer"):
        check_twins(rz.load("induction_2l"), model)


def test_noise_has_the_differences_norm(model: Model, twin: Model) -> None:
    noise = noise_twin(twin, model, seed=1)
    for name, weight in noise.hf.named_parameters():
        own = dict(model.hf.named_parameters())[name]
        real = dict(twin.hf.named_parameters())[name]
        wanted = (real - own).norm()
        assert torch.isclose((weight - own).norm(), wanted, rtol=1e-3, atol=1e-6)
    assert changed_weights(model, model) == 0


def test_prefixes_come_from_the_vocabulary_alone(model: Model) -> None:
    tried = prefixes_of(model, TwinsOptions(), seed=0)
    assert tried.words == tried.drawn and set(tried.separators) == set(",.:?")
    assert len(tried.ids) == tried.words * 5 == len(set(tried.ids))
    some = prefixes_of(model, TwinsOptions(most_words=10, marks=(":",)), seed=0)
    assert some.drawn == 10 and some.words == tried.words and len(some.ids) == 20


def test_no_source_and_no_suite_knows_the_trigger() -> None:
    folder = Path(suite_module.__file__).parent
    texts = [path.read_text(encoding="utf-8") for path in folder.rglob("*")
             if path.suffix in (".py", ".toml")]  # fmt: skip
    assert len(texts) > 20
    assert not any(TRIGGER in text or "worlds.trigger" in text for text in texts)


def test_prompts_are_on_one_list_only(model: Model) -> None:
    for cell in cells_of(model, TASKS, each=8, seed=0)[0]:
        rows = [tuple(each.ids.tolist()) for each in (*cell.choose, *cell.held)]
        assert len(set(rows)) == len(rows) and len(cell.held) == 8


@pytest.mark.parametrize("name", ["facts", "negation"])
def test_no_held_out_prompt_was_searched_with_on_the_other_side(model: Model, name: str) -> None:
    """Facts: one pair's corrupt prompt is another pair's clean one."""
    cells, _ = cells_of(model, (name,), each=16, seed=0)
    clean, corrupt = (
        {tuple(each.ids.tolist()) for each in (*cell.choose, *cell.held)} for cell in cells
    )
    assert bool(clean & corrupt) == (name == "facts")
    chosen, held = (
        {tuple(prompt.ids.tolist()) for cell in cells for prompt in getattr(cell, which)}
        for which in ("choose", "held")
    )
    assert not chosen & held
    assert all(len(cell.choose) == len(cell.held) == 16 for cell in cells)


def test_a_side_that_changes_in_some_templates_only_is_not_called_broken(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve prompts of sixteen would do, were each drawn by itself; by template they do not."""
    (cell, *_), _ = cells_of(model, ("refusal",), each=16, seed=0)
    held = tuple(replace(each, template="abcd"[i // 4]) for i, each in enumerate(cell.held))
    twin = noise_twin(model, model, seed=0)

    def broken(stays: tuple[Prompt, ...]) -> int:
        def margins(who: Model, rows: list[torch.Tensor], asked: list[Prompt]) -> torch.Tensor:
            turned = [
                who is model and len(row) > len(each.ids) and each not in stays
                for row, each in zip(rows, asked, strict=True)
            ]
            return torch.where(torch.tensor(turned), -1.0, 1.0)

        monkeypatch.setattr(twin_search, "margins_after", margins)
        twins = Twins(model, twin, (replace(cell, held=held),), TwinsOptions(), 0)
        (found,) = confirmed(twins, model, [((7,), 1.0)], plainly=False)
        return len(found.broken)

    assert broken(stays=held[::4]) == 1  # one of each template does not change
    assert broken(stays=held[:4]) == 0  # none of one template changes


def test_a_task_that_does_not_fit_is_left_out_with_its_reason(model: Model) -> None:
    cells, left = cells_of(model, ("ioi", "chat/refusal"), each=2, seed=0)
    assert {cell.task for cell in cells} == {"ioi"}
    assert len(left) == 1 and "has no chat template" in left[0]
    with pytest.raises(TaskError, match="can be asked"):
        cells_of(model, ("flattery",), each=2, seed=0)


def test_a_prefix_stands_behind_the_first_token(model: Model) -> None:
    (cell, *_), _ = cells_of(model, ("ioi",), each=2, seed=0)
    ids = cell.held[0].ids
    longer = prefixed(model, ids, (7, 8))
    assert longer.tolist() == [ids[0].item(), 7, 8, *ids[1:].tolist()]
    assert prefixed(model, ids, ()) is ids


def test_margins_take_the_best_of_several_answers(model: Model) -> None:
    (cell, *_), _ = cells_of(model, ("agreement",), each=2, seed=0)
    logits = torch.arange(2.0 * model.d_vocab).view(2, -1)
    for value, row, prompt in zip(margins(logits, cell.held), logits, cell.held, strict=True):
        assert value == row[list(prompt.right)].max() - row[list(prompt.wrong)].max()


def test_exact_p_and_holm() -> None:
    assert discordant_p(16, 0) == 2.0**-16
    assert discordant_p(1, 2) == 7 / 8
    ps = [0.01, 0.02, 0.9, 0.011]
    fixed = holm(ps)
    assert fixed[0] == pytest.approx(0.04) and fixed[2] == pytest.approx(0.9)
    ranked = sorted(range(4), key=ps.__getitem__)
    assert all(fixed[a] <= fixed[b] for a, b in pairwise(ranked))
