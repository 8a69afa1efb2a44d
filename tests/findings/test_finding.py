"""A finding on microworld: what it says, how it is written, and that it is closed on reading."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import residuum as rz
from residuum.core import CheckFailed, LoadError, OptionError, StoreError, TaskError, content_hash
from residuum.findings import Finding
from residuum.runs import Model


def test_microworld_shows_ioi_and_the_heads_are_named(finding: Finding) -> None:
    assert finding.status == "supported", finding.claim
    assert finding.components and finding.parts is not None
    for at in finding.components:
        assert at.replace(".z[H", ".H").removesuffix("]") in finding.claim
    assert "32 held-out ioi prompts" in finding.claim
    assert all(rule.outcome == "holds" for rule in finding.rules)
    assert len(finding.parts.named[0].patch_values) == 32
    assert [head.at for head in finding.parts.named] == list(finding.components)


def test_effects_equal_a_sweep_by_hand(finding: Finding, model: Model) -> None:
    """The numbers on the measuring half are rz.patch's own on those pairs."""
    task = rz.Task.from_json(finding.task)[1::2]
    sweep = rz.patch(model, task, "z", ("layer", "head"))
    assert finding.where is not None
    recorded = finding.where.heads.effects
    for layer, row in enumerate(recorded):
        assert list(row) == pytest.approx(sweep.effects.values[layer].tolist(), abs=1e-3)


def test_absent_behaviour_is_said_and_nothing_is_named(random_model: Model) -> None:
    finding = rz.investigate(random_model, "ioi")
    assert finding.status == "not supported"
    assert "does not show the behaviour" in finding.claim
    assert finding.components == () and finding.parts is None and finding.where is None
    assert finding.to_dataframe().empty and finding.figure().describe()


def test_round_trip(finding: Finding, folder: Path) -> None:
    assert Finding.load(folder) == finding
    assert Finding.load(folder / "finding.json").hash == finding.hash
    assert len(finding.to_dataframe()) == len(finding.components)


def test_no_time_in_what_is_hashed(finding: Finding, model: Model) -> None:
    again = rz.investigate(model, rz.Task.from_json(finding.task), stages=())
    assert again.provenance == finding.provenance
    assert not re.search(r"20\d\d-\d\d-\d\d", json.dumps(finding.to_json()))


def rewritten(folder: Path, change: object) -> dict:
    data = json.loads((folder / "finding.json").read_text())
    change(data)  # type: ignore[operator]
    data["hash"] = content_hash(data["finding"])
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["finding"].update(mood="good"), "finding cannot be read: unknown 'mood'"),
        (lambda d: d["finding"].pop("limits"), "finding cannot be read: no 'limits'"),
        (lambda d: d["finding"]["budget"].update(extra=1), "finding.budget cannot be read"),
        (lambda d: d["finding"].update(status="proven"), "finding.status must be one of"),
        (lambda d: d["finding"]["behaviour"]["accuracy"].update(n="x"), "must be a whole number"),
        (lambda d: d.update(schema="residuum.finding/9"), "of schema 'residuum.finding/9'"),
        (lambda d: d.update(schema="residuum.finding/1"), "of schema 'residuum.finding/1'"),
        (lambda d: d.update(schema="residuum.finding/2"), "of schema 'residuum.finding/2'"),
        (lambda d: d.update(more=1), "not a finding"),
    ],
)
def test_closed_on_reading(folder: Path, change: object, message: str) -> None:
    with pytest.raises(StoreError) as caught:
        Finding.from_json(rewritten(folder, change))
    assert message in caught.value.what and caught.value.mend


def test_changed_by_hand(folder: Path) -> None:
    data = json.loads((folder / "finding.json").read_text())
    data["finding"]["claim"] = "It is certain."
    with pytest.raises(CheckFailed, match="changed after it was written"):
        Finding.from_json(data)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="cannot read a finding"):
        Finding.load(tmp_path / "none.json")


def test_bad_input(model: Model) -> None:
    with pytest.raises(OptionError, match="no budget 'huge'"):
        rz.investigate(model, "ioi", budget="huge")
    with pytest.raises(TaskError, match="no task 'io'"):
        rz.investigate(model, "io")
    with pytest.raises(TaskError, match="4 pairs are too few"):
        rz.investigate(model, rz.task("ioi", model, n=4))


def test_report_needs_nothing_from_outside(folder: Path, finding: Finding) -> None:
    page = (folder / "report.html").read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", page)
    assert "@import" not in page and not re.search(r"url\((?!['\"]?data:)", page)
    for part in ("Supported", "Does not show", "residuum replay", finding.provenance.weight_hash):
        assert part in page


def test_report_of_an_absent_behaviour(random_model: Model, tmp_path: Path) -> None:
    path = rz.investigate(random_model, "ioi").save(tmp_path)
    page = path.with_name("report.html").read_text()
    assert "Not supported" in page and "Which heads?" not in page
