"""A registry of findings: by content, never by the index alone, and safe to add to."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

import residuum as rz
from residuum.core import CheckFailed, LoadError, OptionError, StoreError
from residuum.findings import Finding, Registry
from residuum.findings.record.transfer_evidence import TransferEvidence
from residuum.findings.registry.index import INDEX
from residuum.findings.replaying.portrait import origin_of, portrait

OTHERS = ("L3.z[H7]", "L3.z[H6]")


@pytest.fixture
def kept(tmp_path: Path, finding: Finding) -> Registry:
    kept = rz.registry(tmp_path / "kept")
    kept.add(finding)
    return kept


def elsewhere(finding: Finding, weights: str = "b" * 64, name: str = "other") -> Finding:
    """The same finding, said of another model."""
    made = replace(finding.provenance, weight_hash=weights, model_id=name)
    return replace(finding, provenance=made)


def test_added_by_content_and_read_back(kept: Registry, finding: Finding, folder: Path) -> None:
    assert kept.add(folder).hash == finding.hash == kept.add(folder / "finding.json").hash
    assert len(kept) == 1 and kept.get(finding.hash[:8]) == finding
    assert (kept.folder / "findings" / f"{finding.hash}.json").read_bytes() == (
        folder / "finding.json"
    ).read_bytes()
    (entry,) = kept
    assert entry.task == "ioi" and entry.components == finding.components
    assert list(kept.to_dataframe()["hash"]) == [finding.hash]


def test_search(kept: Registry, finding: Finding) -> None:
    kept.add(elsewhere(finding))
    for asked, count in (
        ({}, 2),
        ({"model": "micro"}, 1),
        ({"model": "bbbb"}, 1),
        ({"task": "ioi", "status": "supported"}, 2),
        ({"task": "io"}, 0),
        ({"status": "undecided"}, 0),
        ({"component": finding.components[0]}, 2),
        ({"component": finding.components[0].split(".")[0]}, 2),
        ({"component": "L9"}, 0),
        ({"text": "DEPENDS on"}, 2),
        ({"text": "never said"}, 0),
    ):
        assert len(kept.search(**asked)) == count, asked
    with pytest.raises(OptionError, match="no status 'proven'"):
        kept.search(status="proven")


def test_nothing_is_written_if_one_cannot_be_read(
    tmp_path: Path, folder: Path, finding: Finding
) -> None:
    kept = rz.registry(tmp_path / "new")
    with pytest.raises(LoadError):
        kept.add(folder, tmp_path / "gone.json")
    changed = tmp_path / "changed.json"
    data = json.loads((folder / "finding.json").read_text())
    data["finding"]["claim"] = "Surely."
    changed.write_text(json.dumps(data))
    with pytest.raises(CheckFailed, match="changed after it was written"):
        kept.add(finding, changed)
    assert not kept.folder.exists()
    with pytest.raises(OptionError, match="nothing to add"):
        kept.add()
    with pytest.raises(StoreError, match="no registry of findings here") as caught:
        len(kept)
    assert "residuum findings add" in caught.value.mend


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, finding: Finding) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot write to the registry"):
        rz.registry(tmp_path / "file").add(finding)


def test_the_index_is_never_trusted_alone(kept: Registry, finding: Finding) -> None:
    index, (entry,) = kept.folder / INDEX, kept.entries
    good = index.read_text()
    for bad in ("", "{}", "[]", good.replace('"supported"', '"undecided"'), good[:-20]):
        index.write_text(bad)
        assert kept.entries == (entry,) and index.read_text() == good
    index.unlink()
    assert kept.entries == (entry,) and index.read_text() == good
    file = kept.folder / "findings" / f"{finding.hash}.json"
    file.write_text(file.read_text().replace('"supported"', '"undecided"', 1))
    assert kept.entries == () and "changed after it was written" in kept.damaged[0].why
    file.unlink()
    assert kept.damaged == ()


def test_files_that_are_no_findings_are_said_and_left_out(kept: Registry, folder: Path) -> None:
    place = kept.folder / "findings"
    (place / "a.json").write_text("no")
    (place / "b.json").write_text("{}")
    (place / "c.json").write_bytes((folder / "finding.json").read_bytes())
    (place / "d.json").write_bytes(b"\xff\xfe")
    assert len(kept) == 1
    said = {each.name: each.why for each in kept.damaged}
    assert "not JSON" in said["a.json"] and "not a finding" in said["b.json"]
    assert "not what it says" in said["c.json"] and "d.json" in said


def test_adding_at_the_same_time_loses_nothing(tmp_path: Path, finding: Finding) -> None:
    many = [elsewhere(finding, f"{i:064x}") for i in range(8)]
    adding = [threading.Thread(target=rz.registry(tmp_path).add, args=(each,)) for each in many]
    for each in adding:
        each.start()
    for each in adding:
        each.join()
    kept = rz.registry(tmp_path)
    assert {each.hash for each in kept} == {each.hash for each in many} and not kept.damaged
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


def test_names_that_do_not_fit(kept: Registry, finding: Finding) -> None:
    for name in ("", "abc", "0" * 64):
        with pytest.raises(OptionError, match="no finding") as caught:
            kept.get(name)
        assert finding.hash[:8] in caught.value.mend


def test_compared_with_itself_and_with_another(kept: Registry, finding: Finding) -> None:
    same = kept.compare(finding.hash[:12], finding.hash)
    assert not same.differing and same.overlap == 1 and same.shared == finding.components
    assert finding.parts is not None
    far = replace(finding.parts.together.recovered, value=0.1, low=0.05, high=0.15)
    joint = replace(finding.parts.together, recovered=far)
    other = replace(
        elsewhere(finding),
        components=(finding.components[0], *OTHERS),
        status="not supported",
        parts=replace(finding.parts, together=joint),
    )
    kept.add(other)
    result = kept.compare(finding.hash, other.hash)
    differing = {row.what for row in result.differing}
    assert differing == {
        "model", "weights", "status", "parts in one alone", "regained with it alone",
    }  # fmt: skip
    assert result.shared == finding.components[:1]
    assert result.overlap == pytest.approx(1 / (len(finding.components) + 2))
    table = result.figure()
    assert len(table.rows) == len(result.rows) and "differ" in table.caption
    assert json.dumps(result.to_json())


def clashes(kept: Registry) -> list[tuple[str, str]]:
    return [(each.rule, each.same) for each in kept.contradictions().found]


def test_findings_that_agree_do_not_contradict(kept: Registry, finding: Finding) -> None:
    kept.add(replace(finding, components=(finding.components[0], *OTHERS)))
    kept.add(replace(finding, status="undecided"))
    kept.add(elsewhere(replace(finding, status="not supported", claim="Elsewhere.")))
    kept.add(replace(finding, status="not supported", origin="given", components=OTHERS))
    found = kept.contradictions()
    assert not found.found and found.among == 5
    assert found.figure().caption.startswith("0 among 5")


def test_one_supported_and_one_not(kept: Registry, finding: Finding) -> None:
    other = replace(finding, status="not supported")
    kept.add(other)
    (clash,) = kept.contradictions().found
    assert (clash.rule, clash.same, clash.same_pairs) == ("status", "weights", True)
    assert (clash.first, clash.second) == (finding.hash, other.hash)


def test_the_same_parts_stated_elsewhere(kept: Registry, finding: Finding) -> None:
    kept.add(replace(finding, status="not supported", origin="given"))
    assert clashes(kept) == [("status", "weights")]


def test_the_same_name_with_other_weights_is_said(kept: Registry, finding: Finding) -> None:
    name = finding.provenance.model_id
    kept.add(replace(elsewhere(finding, name=name), status="not supported"))
    assert clashes(kept) == [("status", "name")]


def test_two_mechanisms_without_a_part_in_common(kept: Registry, finding: Finding) -> None:
    kept.add(replace(finding, components=OTHERS))
    assert clashes(kept) == [("disjoint", "weights")]
    assert "L3.H7" in kept.contradictions().found[0].why
    assert kept.contradictions().to_json()["rules"]["disjoint"]


@pytest.mark.parametrize("verdict", ["holds", "does not hold", "cannot be said"])
def test_a_transfer_that_fails(kept: Registry, finding: Finding, verdict: str) -> None:
    tried = TransferEvidence(
        origin_of(finding), False, "the same pairs", "supported", True, portrait(finding), verdict  # type: ignore[arg-type]
    )  # fmt: skip
    there = replace(elsewhere(finding), transfer=tried)
    kept.add(there)
    fails = verdict == "does not hold"
    assert clashes(kept) == ([("transfer", "other model")] if fails else [])
    assert any(verdict in row for row in kept.figure().rows)
    alone = rz.registry(kept.folder.parent / "alone")
    alone.add(there)
    assert len(alone.contradictions()) == int(fails)
