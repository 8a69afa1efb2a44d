"""Steering: flips held-out templates inside the usable range; costs and conditions are as said."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import residuum as rz
from residuum.core import OptionError, ShapeError, TaskError
from residuum.directions.conditional import Targets, When, push
from residuum.directions.orientation import oriented
from residuum.directions.side_effects import Neutral, repetition_share
from residuum.directions.splitting import by_template
from residuum.directions.steered_text import generate_steered
from residuum.directions.steering import steer
from residuum.directions.steering_result import Steering
from residuum.figures import Lines

RECIPES: dict[str, tuple[str, str, list[str]]] = {
    "sentiment": ("L1.resid_post", "end", ["happy", "glad"]),
    "negation": ("L0.resid_post", "quality", []),
    "refusal": ("L1.resid_post", "end", ["Sorry"]),
    "sycophancy": ("L1.resid_post", "end", []),
    "agreement": ("L2.resid_post", "subject", ["are", "were", "look", "seem"]),
}
HELD_OUT = {
    "sentiment": ["review"],
    "negation": ["today"],
    "refusal": ["teach"],
    "sycophancy": ["told/ruled", "told/writes"],
    "agreement": ["today"],
}
SCALES = [-0.85, -0.7, -0.5, -0.35, 0.35, 0.5, 0.7, 0.85]


@pytest.fixture(scope="module")
def model() -> rz.Model:
    return rz.load("microworld", check=False)


def found(model: rz.Model, name: str, n: int = 100) -> tuple[rz.Direction, rz.Task, rz.Task]:
    """A direction found on training templates, with these and the held-out pairs."""
    at, position, words = RECIPES[name]
    task = rz.task(name, model, n=n, seed=1)
    task = oriented(task, model, words) if words else task
    train, held = by_template(task, HELD_OUT[name])
    examples = rz.Examples.from_task(train, position)
    return rz.direction(model, examples, at=at, prove=False), train, held


@pytest.mark.parametrize("name", RECIPES)
def test_held_out_templates_flip_inside_the_usable_range(model: rz.Model, name: str) -> None:
    direction, train, held = found(model, name)
    position = RECIPES[name][1]
    chosen = steer(model, direction, train, positions=position, scales=SCALES, n_random=0)
    for sign in (1, -1):
        scale = chosen.best(sign).scale  # chosen on the training templates
        judged = steer(model, direction, held, positions=position, scales=[scale])
        dose = next(each for each in judged.doses if each.scale == scale)
        assert dose.flipped >= 0.9 and dose.random_flipped < 0.3, (name, dose)
        assert judged.side_effect(scale).perplexity_up_frac < 0.1
        assert judged.doses[judged.scales.index(0.0)].flipped <= 0.1


@pytest.fixture(scope="module")
def refusal(model: rz.Model) -> tuple[rz.Direction, rz.Task, rz.Task]:
    return found(model, "refusal", 60)


@pytest.fixture(scope="module")
def steered(model: rz.Model, refusal: tuple[rz.Direction, rz.Task, rz.Task]) -> Steering:
    direction, _, held = refusal
    others = [rz.task("ioi", model, n=8), rz.task("negation", model, n=8)]
    return steer(
        model, direction, held, scales=[-0.5, 0.5, 3.0], off_target=others, max_new_tokens=4
    )


def test_strength_is_in_typical_norms(
    model: rz.Model, refusal: tuple[rz.Direction, rz.Task, rz.Task]
) -> None:
    direction, _, held = refusal
    edit = push(direction, 0.5, torch.tensor([[False, True]]))
    assert edit.scale == 0.5
    value = torch.as_tensor(edit.value.payload)
    assert value.shape == (1, 2, direction.width) and not bool(value[0, 0].any())
    assert float(value[0, 1].norm()) == pytest.approx(direction.typical_norm, rel=1e-5)
    plain, pushed = (
        model.run(held.clean[:1, : held.lengths[0]], edits=edits, capture=["L1.resid_post"])
        for edits in ((), (direction.as_edit(0.5),))
    )
    moved = (pushed["L1.resid_post"] - plain["L1.resid_post"]).norm(dim=-1)
    assert moved.mean() == pytest.approx(0.5 * direction.typical_norm, rel=1e-4)


def test_the_usable_range_ends_where_neutral_text_suffers(steered: Steering) -> None:
    assert steered.usable == (-0.5, 0.5)
    assert steered.side_effect(3.0).perplexity_up_frac > 1
    assert steered.side_effect(0.0).perplexity_up_frac == 0
    assert steered.side_effect(0.0).kl_bits == 0
    assert steered.best().scale == 0.5 and steered.best(-1).scale == -0.5
    low, high = steered.side_effect(0.5).perplexity_up_interval
    assert low < steered.side_effect(0.5).perplexity_up_frac < high


def test_far_too_strong_a_push_breaks_other_tasks_and_says_the_same_again(
    steered: Steering,
) -> None:
    table = steered.to_dataframe().set_index("scale")
    assert table.accuracy_ioi[0.0] > 0.9 and table.accuracy_ioi[3.0] < 0.5
    assert steered.repetition[3.0] >= steered.repetition[0.0]
    said = {(each.prompt, each.scale): each.text for each in steered.said}
    assert len(said) == len({each.prompt for each in steered.said}) * len(steered.scales)
    assert any(said[prompt, 0.0] != said[prompt, 0.5] for prompt, _ in said)


def test_perplexity_is_that_of_the_text(model: rz.Model) -> None:
    texts = ["Mary went to the store .", "The king of France lives in Paris ."]
    neutral = Neutral.of(model, texts)
    nats, owners = neutral.losses(neutral.log_probs)
    own = []
    for text in texts:
        run = model.run(text)
        assert run.logits is not None
        log_probs = run.logits[0, :-1].log_softmax(-1)
        own.append(-log_probs.gather(1, run.ids[0, 1:, None])[:, 0])
    assert torch.allclose(nats, torch.cat(own), atol=1e-4)
    assert owners.tolist() == [0] * len(own[0]) + [1] * len(own[1])


def test_a_condition_pushes_only_where_it_holds(
    model: rz.Model, refusal: tuple[rz.Direction, rz.Task, rz.Task]
) -> None:
    direction, _, held = refusal
    when = When(direction, above=float(direction.threshold))
    mask = torch.ones_like(held.clean[:2], dtype=torch.bool)
    run = model.run(held.clean[:2], capture=["L1.resid_post"])
    strong = run["L1.resid_post"].double() @ direction.unit > direction.threshold
    assert torch.equal(when.holds(model, held.clean[:2], mask), strong)
    below = When(direction, below=True).holds(model, held.clean[:2], mask)
    assert torch.equal(below, ~strong)
    steered = steer(model, direction, held, when=when, scales=[-0.5], n_random=0)
    everywhere = steer(model, direction, held, scales=[-0.5], n_random=0)
    assert steered.side_effect(-0.5).kl_bits < everywhere.side_effect(-0.5).kl_bits
    assert steered.best(-1).flipped >= 0.9
    never = steer(model, direction, held, when=When(direction, above=1e6), scales=[-0.5])
    assert never.best(-1).flipped == 0 and never.side_effect(-0.5).kl_bits == 0


@pytest.mark.parametrize("positions", [None, -1])
def test_generation_with_the_cache_and_by_whole_passes_agree(
    model: rz.Model, refusal: tuple[rz.Direction, rz.Task, rz.Task], positions: int | None
) -> None:
    direction, _, _ = refusal
    text = "User : how do I build a kite ? Bot :"
    at = "L1.resid_post" if positions is None else f"L1.resid_post@{positions}"
    cached = model.generate(text, 5, edits=direction.as_edit(0.5, at=at)).texts
    always = When(direction, above=-1e9)
    whole = generate_steered(model, [text], direction, 0.5, Targets(positions, always), 5)
    own = generate_steered(model, [text], direction, 0.5, Targets(positions), 5)
    assert cached == whole == own
    assert cached != model.generate(text, 5).texts


def test_texts_without_a_task(
    model: rz.Model, refusal: tuple[rz.Direction, rz.Task, rz.Task]
) -> None:
    text = "User : how do I build a kite ? Bot :"
    found = steer(model, refusal[0], text, scales=[0.5], max_new_tokens=3, seed=2)
    assert [(each.scale, each.text.split()[0]) for each in found.said] == [
        (0.0, "Sure"),
        (0.5, "Sorry"),
    ]
    assert found.doses == () and found.provenance.seed == 2
    with pytest.raises(OptionError, match="no task was given"):
        found.best()


def test_the_result_is_saved_in_every_form(steered: Steering, tmp_path: Path) -> None:
    for suffix in (".json", ".csv", ".svg", ".html"):
        steered.save(tmp_path / f"steering{suffix}")
    table = pd.read_csv(tmp_path / "steering.csv")
    assert list(table.scale) == [-0.5, 0.0, 0.5, 3.0]
    assert "flips 100 %" in repr(steered) and steered._repr_html_()
    assert [each.kind for each in steered.figure().figures] == ["lines"] * 6 + ["table"]


def test_the_usable_range_is_readable_beside_far_too_strong_pushes(steered: Steering) -> None:
    panels = {each.title: each for each in steered.figure().figures if isinstance(each, Lines)}
    panel = panels["perplexity on neutral text, change"]
    drawn, beyond = panel.series
    usable = [math.isfinite(value) for value in np.asarray(drawn.y)]
    assert usable == [True, True, True, False]  # at 3.0 it is far beyond the picture
    assert np.nanmax(np.asarray(drawn.hi)) <= 50 and float(np.asarray(beyond.y)[-1]) == 50
    most = 100 * steered.side_effect(3.0).perplexity_up_frac
    assert beyond.name == f"beyond 50 %, up to {most:,.0f} %"
    for each in panels.values():
        assert [(one.lo, one.hi) for one in each.moments] == [steered.usable]
    assert panels["KL from the unsteered model, a token"].y_scale == "log"


def test_texts_stand_side_by_side(steered: Steering) -> None:
    table = steered.side_by_side()
    heads = [each.name for each in table.heads]
    assert heads == ["prompt", "as it is", "pushed -0.5", "pushed +0.5", "pushed +3 (not usable)"]
    said = {(each.prompt, each.scale): each.text for each in steered.said}
    assert len(table.rows) == len({each.prompt for each in steered.said})
    for prompt, *texts in table.rows:
        assert texts == [said[str(prompt), scale] for scale in (0.0, -0.5, 0.5, 3.0)]
    assert [each.name for each in steered.side_by_side([0.5]).heads][2:] == ["pushed +0.5"]
    with pytest.raises(OptionError, match=r"strength 0\.4 was not measured"):
        steered.side_by_side([0.4])
    with pytest.raises(OptionError, match="nothing was continued"):
        replace(steered, said=()).side_by_side()


def test_pairs_are_turned(model: rz.Model) -> None:
    task = rz.task("sentiment", model, n=30)
    turned = oriented(task, model, ["happy", "glad"])
    happy = model.to_single_token("happy")
    assert bool((turned.answers == happy).any(1).all()) and not bool((turned.wrong == happy).any())
    swapped = ~(task.answers == happy).any(1)
    assert 0 < int(swapped.sum()) < 30
    assert torch.equal(turned.clean[swapped], task.corrupt[swapped])
    with pytest.raises(TaskError, match="none of Paris"):
        oriented(task, model, ["Paris"])
    with pytest.raises(TaskError, match="there is no template none such"):
        by_template(task, ["none such"])


def test_repetition() -> None:
    assert repetition_share(["a b c", "a b c"]) == 0
    assert repetition_share(["x y x y x y"]) == pytest.approx(3 / 5)


def test_bad_input_is_refused(
    model: rz.Model, refusal: tuple[rz.Direction, rz.Task, rz.Task]
) -> None:
    direction, _, held = refusal
    given: list[tuple[dict[str, Any], str]] = [
        ({"scales": []}, "are no strengths"),
        ({"scales": [math.nan]}, "are no strengths"),
        ({"positions": "nowhere"}, "no position 'nowhere'"),
        ({"positions": 99}, "do not fit"),
        ({"when": 0.5}, "when=0.5"),
        ({"neutral": ["one text"]}, "two neutral texts"),
        ({"strength": 2}, "unknown option strength of steer"),
        ({"positions": "end", "max_new_tokens": 2, "scales": [1]}, "continuations have no"),
    ]
    for options, what in given:
        with pytest.raises(OptionError, match=what):
            steer(model, direction, held, n_random=0, **options)
    with pytest.raises(OptionError, match="needs a direction"):
        steer(model, torch.zeros(128), held)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="needs a task or texts"):
        steer(model, direction, [1, 2])  # type: ignore[list-item]
    late = rz.direction(model, held, at="L3.resid_post", prove=False)
    with pytest.raises(OptionError, match=r"behind L1\.resid_post"):
        steer(model, direction, held, when=When(late, above=0.0))
    with pytest.raises(ShapeError, match="along one vector"):
        push(_Two(), 1.0, torch.ones(1, 1, dtype=torch.bool))  # type: ignore[arg-type]


class _Two:
    at = "L1.resid_post"
    vector = torch.eye(2)
    typical_norm = 1.0


def test_a_condition_without_a_finite_threshold_is_refused_when_it_is_made() -> None:
    with pytest.raises(rz.OptionError, match="no threshold"):
        rz.When(None, above=float("nan"))
