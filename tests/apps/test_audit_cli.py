"""``residuum audit``: a model that has none of the behaviours, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chat_models import random_chat

import residuum as rz

Cli = Callable[..., Any]
GOOD = """
schema = "residuum.suite/1"
name = "small"
[[question]]
name = "few"
kind = "heads"
asks = "Which behaviours rest on few parts?"
options = { tasks = ["refusal"], stages = [] }
"""


def test_a_chat_model_that_learned_nothing_is_reviewed_to_the_end(cli: Cli, tmp_path: Path) -> None:
    model = random_chat()
    model.hf.save_pretrained(tmp_path / "chat")
    model.tokenizer.save_pretrained(tmp_path / "chat")
    out = tmp_path / "out"
    done = cli("audit", str(tmp_path / "chat"), "--suite", "chat", "--out", str(out))
    assert done.code == 0 and done.out.startswith("None of 5 questions gave cause for concern")
    review = rz.Audit.load(out)
    verdicts = [each.verdict for each in review.answers]
    assert verdicts == ["behaviour absent"] * 4 + ["not testable"]
    assert all(each.tries[0].says for each in review.answers)
    assert "no proof" in done.out and "--against" in done.out and (out / "audit.html").is_file()


def test_a_model_without_a_chat_template_cannot_be_asked(cli: Cli, test_data: Path) -> None:
    done = cli("audit", str(test_data / "stories260K"), "--suite", "chat", "--json")
    assert done.code == 0
    answers = done.json["audit"]["answers"]
    assert {each["tries"][0]["verdict"] for each in answers} == {"not testable"}
    said = [each["tries"][0]["says"] for each in answers]
    assert sum("no chat template" in each for each in said) == 4


@pytest.mark.parametrize(
    ("suite", "what", "mend"),
    [
        (None, "cannot read a suite", "one of: chat, microworld"),
        ("schema = ", "not TOML", "mend the file at that place"),
        (GOOD.replace("suite/1", "suite/9"), "a suite of schema", "residuum.suite/1"),
        (GOOD.replace("name = \"small\"", "nam = 1"), "nam", ""),
        (GOOD.replace('"heads"', '"magic"'), "no kind of question 'magic'", "bypass"),
        (GOOD.replace("tasks =", "task ="), "task", ""),
        (GOOD.replace("stages = []", 'stages = ["magic"]'), "no further stage 'magic'", "circuit"),
        (GOOD.split("[[question]]")[0], "question", ""),
        (GOOD.replace("schema", "seeds = []\nschema", 1), "seeds = []", "whole numbers"),
        (GOOD.replace("schema", 'budget = "vast"\nschema', 1), "vast", "quick"),
    ],
)  # fmt: skip
def test_suites_that_are_refused(
    cli: Cli, tmp_path: Path, suite: str | None, what: str, mend: str
) -> None:
    file, out = tmp_path / "suite.toml", tmp_path / "out"
    if suite is not None:
        file.write_text(suite)
    done = cli("audit", "microworld", "--suite", str(file), "--out", str(out))
    done.refused(what, mend)
    assert not done.out and not out.exists()


@pytest.mark.parametrize(
    ("arguments", "what", "mend"),
    [
        (("gone",), "gone", ""),
        (("microworld", "--against", "gone"), "gone", ""),
        (("microworld", "--against", "induction_2l"), "another tokenizer", "fine-tuned from"),
        (("superposition",), "is no model to load", "organisms"),
        ((), "arguments are required: MODEL", "--help"),
    ],
)
def test_models_that_are_refused(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], what: str, mend: str
) -> None:
    suite, out = tmp_path / "suite.toml", tmp_path / "out"
    suite.write_text(GOOD)
    cli("audit", *arguments, "--suite", str(suite), "--out", str(out)).refused(what, mend)
    assert not out.exists()


def test_a_folder_that_cannot_be_made(cli: Cli, tmp_path: Path) -> None:
    suite, taken = tmp_path / "suite.toml", tmp_path / "taken"
    suite.write_text(GOOD)
    taken.write_text("")
    done = cli("audit", "microworld", "--suite", str(suite), "--out", str(taken / "out"))
    done.refused("cannot write to this folder", "can be made and written to")
    assert not done.out and taken.read_text() == ""
