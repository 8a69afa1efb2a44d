"""Token attribution: completeness, the causal effect beside it, and how far they agree."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from handmade import handmade_induction

import residuum as rz
from residuum.lenses import token_attribution

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import id_task, model


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "granite", "bloom", "gptj", "bert"])
@pytest.mark.parametrize("baseline", ["mean", "corrupt"])
def test_integrated_gradients_are_complete(name: str, baseline: str) -> None:
    held, task = model(name, torch.float64), id_task()
    found = token_attribution(held, task, baseline=baseline, steps=24)
    logits = held.run(task.clean).last
    own = (logits.gather(1, task.answers) - logits.gather(1, task.wrong))[:, 0]
    np.testing.assert_allclose(found.clean, own, atol=1e-8)
    if baseline == "corrupt" and name != "bert":
        other = held.run(task.corrupt).last
        end = (other.gather(1, task.answers) - other.gather(1, task.wrong))[:, 0]
        np.testing.assert_allclose(found.base, end, atol=1e-6)
    distance = found.clean - found.base
    assert np.abs(distance).max() > 1e-3
    np.testing.assert_allclose(found.scores.sum(1), distance, atol=2e-3 * np.abs(distance).max())
    assert found.completeness_gap == pytest.approx(np.abs(found.scores.sum(1) - distance).max())


def test_more_points_miss_less_and_one_gradient_misses_much() -> None:
    held, task = model("gpt2", torch.float64), id_task()
    gaps = [token_attribution(held, task, steps=n).completeness_gap for n in (2, 6, 18)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert token_attribution(held, task, "grad_input").completeness_gap > 10 * gaps[2]


def test_grad_input_is_the_gradient_times_the_embedding() -> None:
    held, task = model("llama", torch.float64), id_task()
    found = token_attribution(held, task, "grad_input", baseline="zero")
    leaf = held.hf.get_input_embeddings()(task.clean).detach().requires_grad_()
    logits = held.hf(inputs_embeds=leaf).logits[:, -1]
    value = (logits.gather(1, task.answers) - logits.gather(1, task.wrong)).sum()
    (grad,) = torch.autograd.grad(value, leaf)
    np.testing.assert_allclose(found.scores, (grad * leaf).sum(-1).detach(), atol=1e-8)


def test_effects_are_those_of_replacing_one_embedding() -> None:
    held, task = model("gpt2", torch.float64), id_task()
    found = token_attribution(held, task, baseline="corrupt", steps=3)
    mixed = task.clean.clone()
    mixed[:, 2] = task.corrupt[:, 2]
    metric = [
        (logits.gather(1, task.answers) - logits.gather(1, task.wrong))[:, 0]
        for logits in (held.run(ids).last for ids in (task.clean, mixed))
    ]
    np.testing.assert_allclose(found.effects[:, 2], metric[0] - metric[1], atol=1e-8)
    others = np.delete(found.effects, 2, axis=1)
    np.testing.assert_allclose(others, 0, atol=1e-9)
    np.testing.assert_allclose(np.delete(found.scores, 2, axis=1), 0, atol=1e-12)
    assert np.isnan(found.agreement) and "too few tokens differ" in found.summary()


def test_agreement_is_the_mean_rank_correlation() -> None:
    pandas = pytest.importorskip("pandas")
    held, task = model("gpt2"), id_task()
    found = token_attribution(held, task)
    own = [
        pandas.Series(s).rank().corr(pandas.Series(e).rank())
        for s, e in zip(found.scores, found.effects, strict=True)
    ]
    np.testing.assert_allclose(found.per_example, own, atol=1e-12)
    assert found.agreement == pytest.approx(np.mean(own))
    low, high = found.agreement_interval
    assert low <= found.agreement <= high and low < high


def test_the_hand_set_model_hangs_on_the_match_and_what_follows_it() -> None:
    """`3 7 … 3 -> 7`: the prediction needs the 7, the 3 before it, and the last 3."""
    held = rz.load(handmade_induction(torch.float64))
    clean = [0, 3, 7, 5, 2, 9, 4, 1, 8, 3]
    corrupt = [0, 3, 6, 5, 2, 9, 4, 1, 8, 3]
    task = rz.Task.from_pairs(clean=[clean], corrupt=[corrupt], answers=[7], wrong=[5])
    effects = token_attribution(held, task, baseline="zero", steps=2).effects[0]
    assert set(np.flatnonzero(np.abs(effects) > 0.2)) == {1, 2, 9}


def test_padded_prompts_equal_single_ones() -> None:
    held = model("gpt2", torch.float64)
    rows = [[4, 5, 7, 10, 4], [4, 6, 8]]
    other = [[4, 5, 9, 10, 4], [4, 9, 8]]
    padded = [[rows[0], [*rows[1], 0, 0]], [other[0], [*other[1], 0, 0]]]
    task = rz.Task.from_pairs(
        clean=padded[0], corrupt=padded[1], answers=[1, 2], wrong=[2, 3], lengths=[5, 3]
    )
    both = token_attribution(held, task, baseline="zero")
    alone = token_attribution(held, task[1], baseline="zero")
    np.testing.assert_allclose(both.scores[1, :3], alone.scores[0], atol=1e-8)
    np.testing.assert_allclose(both.effects[1, :3], alone.effects[0], atol=1e-8)
    assert np.isnan(both.scores[1, 3:]).all() and both.tokens[1] == ("<4>", "<6>", "<8>")


def test_tables_pictures_and_files(tmp_path: Path) -> None:
    found = token_attribution(model("gpt2"), id_task(), steps=4)
    row = found.to_dataframe().iloc[7]
    assert (row.example, row.pos) == (1, 1) and row.score == pytest.approx(found.scores[1, 1])
    picture = found.figure(1).to_json()
    np.testing.assert_allclose(picture["values"][1], found.effects[1], rtol=1e-5)
    for suffix in (".json", ".csv", ".html", ".png"):
        found.save(tmp_path / f"tokens{suffix}")
    data = json.loads((tmp_path / "tokens.json").read_text())
    np.testing.assert_allclose(data["scores"], found.scores)
    with pytest.raises(rz.OptionError, match="no prompt 4"):
        found.figure(4)


def test_bad_input_is_refused() -> None:
    held, task = model("gpt2"), id_task()
    for options, text in (
        ({"method": "lime"}, "method='lime'"),
        ({"baseline": "blank"}, "baseline='blank'"),
        ({"step": 3}, "unknown option step "),
        ({"steps": 0}, "steps=0"),
    ):
        with pytest.raises(rz.OptionError, match=text):
            token_attribution(held, task, **options)
    with pytest.raises(rz.TaskError, match="needs a task"):
        token_attribution(held, "the cat")
    from dataclasses import replace

    with pytest.raises(rz.OptionError, match="'accuracy' has no gradient"):
        token_attribution(held, replace(task, metric="accuracy"))
