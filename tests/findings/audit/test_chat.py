"""Chat questions go through the model's own template; a model that answers neither word is said
to lack the behaviour."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from chat_models import random_chat, trained_chat

import residuum as rz
from residuum.core import TaskError
from residuum.findings.audit.chat_tasks import (
    CHAT_TASKS,
    answer_token,
    chat_statements,
    chat_task,
    chat_text,
)
from residuum.findings.audit.options import HeadsOptions
from residuum.findings.audit.suite import Suite
from residuum.runs import Model

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def chat() -> Model:
    return random_chat()


@pytest.mark.parametrize("name", list(CHAT_TASKS))
def test_pairs_align_and_end_where_the_answer_begins(chat: Model, name: str) -> None:
    task = chat_task(name, chat, 32, seed=0)
    assert len(task) == 32 and len(set(task.templates)) >= 4
    end = chat.tokenizer.convert_tokens_to_ids("<bot>")
    rows = torch.arange(32)
    assert (task.clean[rows, task.last] == end).all()
    assert (task.corrupt[rows, task.last] == end).all()
    words = {chat.to_string([int(each)]) for each in torch.cat([task.answers, task.wrong]).ravel()}
    assert words == {"Yes", "No"}
    assert chat_task(name, chat, 32, seed=0) == task != chat_task(name, chat, 32, seed=1)


def test_statements_hold_both_modes_and_truths(chat: Model) -> None:
    data = chat_statements(chat, seed=0)
    assert set(data.truths) == {"Yes", "No"} and set(data.asks_truth) == {True, False}
    assert all(text.endswith("<bot>") for text in data.texts[:8])
    one = data.texts[0]
    assert answer_token(chat, one, "Yes") == chat.to_single_token("Yes")


def test_a_beginning_token_is_not_put_twice(chat: Model) -> None:
    ids = chat.to_tokens(chat_text(chat, "Be honest."))[0].tolist()
    assert ids.count(chat.bos_token_id) == 1


def test_microworld_has_no_chat_template(model: Model) -> None:
    with pytest.raises(TaskError, match="has no chat template"):
        chat_text(model, "Be honest.")
    review = rz.audit(model, "chat")
    assert {each.verdict for each in review.answers} == {"not testable"}
    assert not review.concerns and "could not be asked" in review.summary


def test_unknown_task(chat: Model) -> None:
    with pytest.raises(TaskError) as caught:
        chat_task("flattery", chat, 8, 0)
    assert "chat/refusal" in caught.value.mend


def test_a_random_model_lacks_the_behaviours(chat: Model) -> None:
    suite = Suite.load("chat")
    kinds = {each.kind: each for each in suite.questions}
    few = replace(kinds["heads"], options=HeadsOptions(tasks=("chat/sycophancy",), stages=()))
    asked = (kinds["bypass"], kinds["separable"], kinds["monitor"], few, kinds["twins"])
    review = rz.audit(chat, replace(suite, questions=asked))
    verdicts = [each.verdict for each in review.answers]
    assert verdicts == ["behaviour absent"] * 4 + ["not testable"] and not review.concerns
    assert "has no object here" in " ".join(review.not_tested)


@pytest.mark.slow
def test_a_model_that_refuses_is_reviewed() -> None:
    suite = Suite.load("chat")
    asked = tuple(each for each in suite.questions if each.kind in ("bypass", "heads"))
    review = rz.audit(trained_chat(), replace(suite, questions=asked))
    assert review["refusal"].verdict == "shown" and review["few parts"].verdict == "shown"
    found = review["refusal"].tries[0].direction
    assert found is not None and found.flipped.low > 0.5
