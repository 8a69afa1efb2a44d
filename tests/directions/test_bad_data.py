"""Bad data at every public verb: refused with what and a mend. A new verb must join the table."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import torch

import residuum as rz
from residuum import directions

KINDS = ("one class", "constant", "duplicates", "NaN", "other model", "other site")
PLACE = "L1.resid_post"

LESS_THAN_A_VERB = {"by_template", "oriented", "template_halves"}  # rearrange pairs, run nothing
READY_MADE = {"microworld_beliefs", "microworld_facts"}
ELSEWHERE = {"trace_fact", "edit_facts", "fact_capacity"}  # tests/directions/test_facts*.py
ANY_DATA = "describes what it is given, and claims nothing of classes"


@functools.cache
def model() -> rz.Model:
    return rz.load("microworld", check=False)


@functools.cache
def other_model() -> rz.Model:
    return rz.load("microworld-trigger", check=False)


@functools.cache
def broken_model() -> rz.Model:
    """Microworld with NaN in its last layer norm."""
    broken = rz.load("microworld", check=False)
    with torch.no_grad():
        for name, weight in broken.hf.named_parameters():
            if ".1." in name and name.endswith("bias"):
                weight.fill_(torch.nan)
    return broken


@functools.cache
def task(n: int = 40) -> rz.Task:
    return rz.oriented(rz.task("refusal", model(), n=n), model(), ["Sorry"])


@functools.cache
def examples() -> rz.Examples:
    return rz.Examples.from_task(task())


@functools.cache
def found(at: str = PLACE) -> rz.Direction:
    held = rz.by_template(task(), "teach")[0]
    return rz.direction(model(), rz.Examples.from_task(held), at=at, prove=False)


@functools.cache
def probed() -> rz.Probes:
    return rz.probe(model(), examples(), layers=[1], method=rz.MassMean())


def seen() -> rz.Task:
    """Pairs of the templates that the probes were fitted on or chosen by."""
    own = probed().direction().origin.groups
    return task().subset([i for i, each in enumerate(task().templates) if each in own])


def held() -> rz.Task:
    return rz.by_template(task(), "teach")[1]


def one_class() -> rz.Examples:
    return examples().subset((examples().labels == 1).nonzero().flatten())


def constant() -> rz.Examples:
    return replace(examples(), positions=torch.zeros_like(examples().positions))


def duplicates() -> rz.Examples:
    again = replace(examples(), groups=tuple(f"{each} again" for each in examples().groups))
    return rz.Examples.joined([examples(), again])


def foreign() -> rz.Examples:
    return replace(examples(), tokenizer_hash="0" * 64)


@functools.cache
def beliefs() -> rz.Statements:
    return rz.microworld_beliefs().subset(range(0, 768, 3))


def honest() -> rz.Statements:
    rows = [row for row, asks in enumerate(beliefs().asks_truth) if asks]
    return beliefs().subset(rows)


def same_text() -> rz.Statements:
    return replace(beliefs(), texts=(beliefs().texts[0],) * len(beliefs()))


def for_broken() -> rz.Direction:
    return replace(found(), weight_hash=broken_model().adapted.weight_hash)


def steer(*given: Any, **options: Any) -> Any:
    return rz.steer(*given, scales=[0.5], n_random=0, **options)


Case = tuple[Callable[[], Any], type[rz.ResiduumError], str] | str
TABLE: dict[str, dict[str, Case]] = {
    "probe": {
        "one class": (lambda: rz.probe(model(), one_class()), rz.TaskError, "one class"),
        "constant": (lambda: rz.probe(model(), constant()), rz.ShapeError, "same in every"),
        "duplicates": (lambda: rz.probe(model(), duplicates()), rz.TaskError, "same example"),
        "NaN": (lambda: rz.probe(broken_model(), examples(), layers=[2]), rz.ShapeError, "NaN"),
        "other model": (lambda: rz.probe(model(), foreign()), rz.TaskError, "another tokenizer"),
        "other site": (lambda: rz.probe(model(), examples(), "rest"), rz.AddressError, "'rest'"),
    },
    "direction": {
        "one class": (
            lambda: rz.direction(model(), one_class(), at=PLACE, prove=False),
            rz.TaskError,
            "two classes",
        ),
        "constant": (
            lambda: rz.direction(model(), constant(), at=PLACE, prove=False),
            rz.ShapeError,
            "same in every",
        ),
        "duplicates": (
            lambda: rz.direction(model(), duplicates(), prove=False), rz.TaskError, "same example",
        ),
        "NaN": (
            lambda: rz.direction(broken_model(), examples(), at="L2.resid_post", prove=False),
            rz.ShapeError,
            "NaN",
        ),
        "other model": (
            lambda: rz.direction(model(), foreign(), at=PLACE, prove=False),
            rz.TaskError,
            "another tokenizer",
        ),
        "other site": (
            lambda: rz.direction(model(), examples(), at="L9.resid_post", prove=False),
            rz.AddressError,
            "out of range",
        ),
    },
    "erase": {
        "one class": (lambda: rz.erase(model(), one_class(), PLACE), rz.OptionError, "one class"),
        "constant": (lambda: rz.erase(model(), constant(), PLACE), rz.OptionError, "all the same"),
        "duplicates": (
            lambda: rz.erase(model(), duplicates(), PLACE), rz.TaskError, "same example",
        ),
        "NaN": (
            lambda: rz.erase(broken_model(), examples(), "L2.resid_post"), rz.ShapeError, "NaN",
        ),
        "other model": (
            lambda: rz.erase(model(), foreign(), PLACE), rz.TaskError, "another tokenizer",
        ),
        "other site": (
            lambda: rz.erase(model(), examples(), "resid_post"), rz.AddressError, "no one site",
        ),
    },
    "prove": {
        "one class": "takes pairs, which have both sides",
        "constant": (
            lambda: rz.prove(found("L1.resid_post@0"), model(), held()), rz.ShapeError, "same",
        ),
        "duplicates": (
            lambda: rz.prove(found(), model(), rz.by_template(task(), "teach")[0]),
            rz.TaskError,
            "was found on",
        ),
        "NaN": (lambda: rz.prove(for_broken(), broken_model(), held()), rz.TaskError, "NaN"),
        "other model": (
            lambda: rz.prove(found(), other_model(), held()), rz.LoadError, "was found on",
        ),
        "other site": (
            lambda: rz.prove(replace(found(), at="L9.resid_post"), model(), held()),  # type: ignore[arg-type]
            rz.AddressError,
            "out of range",
        ),
    },
    "prove_layers": {
        "one class": "takes what rz.probe gave, which refuses it",
        "constant": "takes what rz.probe gave, which leaves such places out",
        "duplicates": (
            lambda: rz.prove_layers(probed(), model(), seen()), rz.TaskError, "was found on",
        ),
        "NaN": "takes what rz.probe gave, which refuses NaN",
        "other model": (
            lambda: rz.prove_layers(probed(), other_model(), task()), rz.LoadError, "was found on",
        ),
        "other site": (
            lambda: rz.prove_layers(found(), model(), task()),  # type: ignore[arg-type]
            rz.OptionError,
            "probes=",
        ),
    },
    "steer": {
        "one class": "takes pairs or texts, and no labels",
        "constant": "needs no differences: it pushes",
        "duplicates": "fits nothing",
        "NaN": (
            lambda: steer(broken_model(), for_broken(), ["Mary went"]), rz.ResiduumError, "NaN",
        ),
        "other model": (
            lambda: steer(other_model(), found(), held()), rz.LoadError, "was found on",
        ),
        "other site": (
            lambda: steer(model(), found(), held(), when=rz.When(found("L3.resid_post"))),
            rz.OptionError,
            "behind",
        ),
    },
    "monitor": {
        "one class": (lambda: rz.monitor(model(), honest()), rz.TaskError, "one class"),
        "constant": (lambda: rz.monitor(model(), same_text()), rz.TaskError, "under two labels"),
        "duplicates": (
            lambda: rz.monitor(model(), replace(beliefs(), groups=("one",) * len(beliefs()))),
            rz.OptionError,
            "1 wordings",
        ),
        "NaN": (lambda: rz.monitor(broken_model(), beliefs()), rz.ShapeError, "NaN"),
        "other model": (
            lambda: rz.TruthMonitor(found()).flags(other_model(), beliefs().texts),
            rz.LoadError,
            "was found on",
        ),
        "other site": (
            lambda: rz.monitor(model(), beliefs(), at="L9.resid_post"), rz.AddressError, "layer 9",
        ),
    },
    "probe_map": {
        "one class": (
            lambda: rz.probe_map(model(), beliefs(), [True] * len(beliefs())),
            rz.OptionError,
            "all 256 labels are the same",
        ),
        "constant": "a place without differences scores 0.5, which is what the map is to show",
        "duplicates": "wordings and entities are held out whole",
        "NaN": (
            lambda: rz.probe_map(broken_model(), beliefs(), beliefs().asks_truth),
            rz.OptionError,
            "NaN",
        ),
        "other model": "statements are texts, for any model that reads them",
        "other site": (
            lambda: rz.probe_map(
                model(), replace(beliefs(), positions={}), beliefs().asks_truth
            ),
            rz.OptionError,
            "0 named positions",
        ),
    },
    "harvest_examples": {
        "one class": ANY_DATA,
        "constant": ANY_DATA,
        "duplicates": ANY_DATA,
        "NaN": (
            lambda: rz.harvest_examples(broken_model(), examples(), "L2.resid_post"),
            rz.ShapeError, "NaN",
        ),
        "other model": (
            lambda: rz.harvest_examples(model(), foreign()), rz.TaskError, "another tokenizer",
        ),
        "other site": (
            lambda: rz.harvest_examples(model(), examples(), "rest"), rz.AddressError, "'rest'",
        ),
    },
    "align": {
        "one class": "takes pairs, which have both sides",
        "constant": "exchanges nothing there, and its accuracy says so",
        "duplicates": "halves the task by templates",
        "NaN": (
            lambda: rz.align(broken_model(), task(), "L2.resid_post@-1"), rz.TaskError, "NaN",
        ),
        "other model": "takes a task, which runs refuse by its tokenizer",
        "other site": (
            lambda: rz.align(model(), task(), "L9.resid_post@-1"), rz.AddressError, "out of range",
        ),
    },
}  # fmt: skip
CASES = [
    pytest.param(case, id=f"{verb}: {kind}")
    for verb, row in TABLE.items()
    for kind, case in row.items()
    if not isinstance(case, str)
]


@pytest.mark.parametrize("case", CASES)
def test_bad_data_is_refused_with_what_and_a_mend(case: Case) -> None:
    assert not isinstance(case, str)
    call, error, text = case
    with pytest.raises(error) as caught:
        call()
    assert text in caught.value.what and len(caught.value.mend or "") > 10


def test_every_verb_has_its_row_and_every_row_its_kinds() -> None:
    verbs = {n for n in directions.__all__ if isinstance(getattr(directions, n), FunctionType)}
    assert verbs - LESS_THAN_A_VERB - READY_MADE - ELSEWHERE == set(TABLE)
    assert [verb for verb, row in TABLE.items() if tuple(row) != KINDS] == []


def test_a_kept_direction_is_refused_elsewhere(tmp_path: Path) -> None:
    found().save(tmp_path / "direction.json")
    with pytest.raises(rz.LoadError, match="found on microworld") as caught:
        rz.Direction.load(tmp_path / "direction.json", other_model())
    assert "find it again" in (caught.value.mend or "")
    for text in ("[1]", "{", '{"format": 2}'):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(rz.StoreError) as wrong:
            rz.Direction.load(tmp_path / "other.json")
        assert "direction.save" in (wrong.value.mend or "")
