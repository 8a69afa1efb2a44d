"""docs/finding.schema.json is what the records say, and real findings keep to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

import residuum as rz
from residuum.findings import Finding
from residuum.runs import Model

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return json.loads((DOCS / "finding.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def schema(published: dict[str, Any]) -> Any:
    return jsonschema_rs.Draft202012Validator(published)


def test_the_schema_is_that_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    monkeypatch.setattr(sys, "argv", ["make_finding_schema.py", "--check"])
    import make_finding_schema

    assert make_finding_schema.main() == 0, "run python docs/make_finding_schema.py"


def test_it_is_a_schema_and_says_what_fields_mean(published: dict[str, Any]) -> None:
    jsonschema_rs.meta.validate(published)
    properties = published["$defs"]["Finding"]["properties"]
    assert properties["status"]["enum"] == ["supported", "not supported", "undecided"]
    assert [name for name, said in properties.items() if "description" not in said] == []


def test_a_finding_keeps_to_it(finding: Finding, schema: Any) -> None:
    assert finding.parts is not None and finding.roles is not None
    schema.validate(finding.to_json())


@pytest.mark.slow
def test_a_finding_with_every_stage_keeps_to_it(model: Model, schema: Any) -> None:
    found = rz.investigate(model, "refusal")
    assert found.circuit is not None and found.controls is not None
    schema.validate(found.to_json())


def test_a_finding_without_a_mechanism_keeps_to_it(random_model: Model, schema: Any) -> None:
    found = rz.investigate(random_model, "ioi", stages=())
    assert found.parts is None
    schema.validate(found.to_json())


def drop(data: dict[str, Any]) -> None:
    del data["finding"]["falsifier"]


def cut(data: dict[str, Any]) -> None:
    data["hash"] = data["hash"][:-1]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(schema="residuum.finding/1"),
        lambda d: d.update(more=1),
        lambda d: d["finding"].update(status="proven"),
        lambda d: d["finding"].update(mood="good"),
        lambda d: d["finding"]["behaviour"]["accuracy"].update(n="many"),
        lambda d: d["finding"]["behaviour"]["accuracy"].update(value=True),
        lambda d: d["finding"]["rules"][0].update(outcome="maybe"),
        lambda d: d["finding"]["parts"]["named"][0].pop("p"),
        lambda d: d["finding"].update(components="L0.z[H0]"),
        drop,
        cut,
    ],
)
def test_a_changed_one_does_not(
    finding: Finding, schema: Any, change: Callable[[dict[str, Any]], object]
) -> None:
    data = json.loads(json.dumps(finding.to_json()))
    assert schema.is_valid(data)
    change(data)
    assert not schema.is_valid(data)


def test_numbers_that_are_not_known_are_null(finding: Finding, schema: Any) -> None:
    data = json.loads(json.dumps(finding.to_json()))
    data["finding"]["behaviour"]["accuracy"]["low"] = None
    assert schema.is_valid(data)
