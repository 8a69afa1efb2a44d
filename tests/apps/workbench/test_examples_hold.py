"""Worked examples do what they say."""

from __future__ import annotations

from typing import Any

import pytest
from workbench_server import Server

import residuum as rz
from residuum.apps.workbench.examples import examples_for
from residuum.apps.workbench.views import all_views


@pytest.fixture(scope="module")
def model() -> rz.Model:
    return rz.load("microworld")


@pytest.fixture(scope="module")
def told(server: Server) -> dict[str, Any]:
    rows = server.get("/api/examples", model="microworld")["examples"]
    return {each["name"]: each for each in rows}


@pytest.mark.parametrize(
    ("name", "answer"), [("induction", "card"), ("ioi", "Mary"), ("facts", "Paris")]
)
def test_the_model_knows_the_answer(server: Server, told: Any, name: str, answer: str) -> None:
    example = told[name]
    record = server.run(example["text"])
    assert record["predictions"][0]["token"] == answer
    assert example["view"] in all_views() and example["steps"]
    assert example["sel"]["q"] == len(record["ids"]) - 1, "the last token is selected"


def test_induction_heads_look_where_it_says(model: rz.Model, told: Any) -> None:
    example = told["induction"]
    run = model.run(example["text"], capture=["pattern"])
    at = example["sel"]
    assert run.tokens[0][at["k"]] == "card"
    others = [h for h in range(model.n_heads) if run["pattern", 2][0, h, at["q"], at["k"]] > 0.5]
    assert at["head"] in others and len(others) > 1
    back = run["pattern", 0][0, 4].diagonal(-1)
    assert float(back.mean()) > 0.5, "layer 0, head 4 looks one word back"


@pytest.mark.parametrize(
    ("name", "at"), [("induction", "L0.z[H4]"), ("ioi", "L0.z[H3]"), ("facts", "L2.z[H0]")]
)
def test_the_head_to_zero_counts_most(model: rz.Model, told: Any, name: str, at: str) -> None:
    text = told[name]["text"]
    best = int(model.run(text).last[0].argmax())
    probs = {
        f"L{layer}.z[H{head}]": float(
            model.run(text, edits=[rz.Zero(f"L{layer}.z[H{head}]")]).last[0].softmax(-1)[best]
        )
        for layer in range(model.n_layers)
        for head in range(model.n_heads)
    }
    assert min(probs, key=lambda key: probs[key]) == at
    assert probs[at] < float(model.run(text).last[0].softmax(-1)[best])


def test_models_without_words_have_none() -> None:
    assert examples_for(rz.load("handmade_induction")) == []
