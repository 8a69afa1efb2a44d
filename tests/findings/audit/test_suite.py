"""A suite is closed: what it does not know it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from residuum.core import LoadError, OptionError
from residuum.findings.audit.options import KINDS, MonitorOptions, TwinsOptions
from residuum.findings.audit.suite import Suite, shipped_suites, suite_from_plain
from residuum.findings.record.plain import to_plain

HEAD = 'schema = "residuum.suite/1"\nname = "own"\n'
ONE = HEAD + '[[question]]\nname = "a"\nkind = "{kind}"\nasks = "?"\n[question.options]\n{options}'


def read(folder: Path, text: str) -> Suite:
    path = folder / "suite.toml"
    path.write_text(text, encoding="utf-8")
    return Suite.load(path)


@pytest.mark.parametrize("name", ["microworld", "chat"])
def test_shipped_suites_ask_every_kind_and_read_back(name: str) -> None:
    suite = Suite.load(name)
    assert {each.kind for each in suite.questions} == set(KINDS)
    assert suite_from_plain(to_plain(suite)) == suite


def test_both_ship() -> None:
    assert shipped_suites() == ("chat", "microworld")


def test_options_take_defaults_and_nested_records(tmp_path: Path) -> None:
    options = 'statements = "chat"\nvariants = [{ name = "x", replace = [["a", "b"]] }]'
    (question,) = read(tmp_path, ONE.format(kind="monitor", options=options)).questions
    assert isinstance(question.options, MonitorOptions)
    assert question.options.variants[0].replace == (("a", "b"),)
    (question,) = read(tmp_path, ONE.format(kind="twins", options="held = 4")).questions
    assert question.options == TwinsOptions(held=4)


@pytest.mark.parametrize(
    ("text", "what", "mend"),
    [
        (HEAD + "buget = 1\nquestion = []", "unknown key 'buget'", "schema, name, about, budget"),
        (ONE.format(kind="bypass", options='tsk = "a"'), "unknown key 'tsk', no 'task'", "task"),
        (ONE.format(kind="nose", options=""), "no kind of question 'nose'", "heads, bypass"),
        (ONE.format(kind="twins", options='held = "4"'), "must be a whole number", "of that type"),
        (HEAD + "question = []", "no question", "a name of its own"),
        (HEAD + "seeds = [-1]\nquestion = []", "seeds = [-1]", "whole numbers from 0"),
        (HEAD + 'budget = "much"\nquestion = []', "no budget 'much'", "quick, standard, thorough"),
        (HEAD.replace("suite/1", "suite/9") + "question = []", "suite/9", "residuum.suite/1"),
        (HEAD + "question = 3", "question is int", "a list"),
        (
            ONE.format(kind="monitor", options='statements = "a"\nvariants = [{ nme = "x" }]'),
            "unknown key 'nme', no 'name'",
            "name, replace, prefix",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, what: str, mend: str) -> None:
    with pytest.raises(OptionError) as caught:
        read(tmp_path, text)
    assert what in caught.value.what and mend in caught.value.mend


def test_two_questions_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="two questions are named a"):
        read(tmp_path, ONE.format(kind="twins", options="") + ONE.format(
            kind="twins", options="").removeprefix(HEAD).join(["\n", ""]))  # fmt: skip


def test_no_file_and_no_toml(tmp_path: Path) -> None:
    with pytest.raises(LoadError) as caught:
        Suite.load("nowhere.toml")
    assert "chat, microworld" in caught.value.mend
    with pytest.raises(LoadError, match="not TOML"):
        read(tmp_path, "x =")
