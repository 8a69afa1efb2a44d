"""A registry of findings: by content, never by the index alone, and safe to add to."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

import residuum as rz
from residuum.core import CheckFailed, LoadError, OptionError, StoreError
from residuum.findings import Finding, Registry
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.rules import decide
from residuum.findings.record.ruling import rules_of
from residuum.findings.record.transfer_evidence import TransferEvidence
from residuum.findings.registry.index import INDEX
from residuum.findings.replaying.portrait import origin_of, portrait
from residuum.runs import Model

OTHERS = ("L3.z[H7]", "L3.z[H6]")


@pytest.fixture
def kept(tmp_path: Path, finding: Finding) -> Registry:
    kept = rz.registry(tmp_path / "kept")
    kept.add(finding)
    return kept


def following(finding: Finding, **changes: Any) -> Finding:
    """The finding with other evidence, and with the rules and the status that follow from it."""
    changed = replace(finding, **changes)
    rules = rules_of(changed)
    return replace(changed, rules=rules, status=decide(rules))


def naming(finding: Finding, components: tuple[str, ...]) -> Finding:
    """As if these parts had been measured, one with each of the numbers that are there."""
    assert finding.parts is not None
    found = cycle(finding.parts.named)
    named = tuple(replace(next(found), at=at) for at in components)
    return following(finding, components=components, parts=replace(finding.parts, named=named))


def with_joint(finding: Finding, **changes: Estimate) -> Finding:
    """With other shares for the named parts together."""
    assert finding.parts is not None
    joint = replace(finding.parts.together, **changes)
    return following(finding, parts=replace(finding.parts, together=joint))


def little(finding: Finding) -> Finding:
    """Not supported: the named parts are not enough."""
    found = with_joint(finding, recovered=Estimate(0.1, 0.05, 0.15, 32))
    assert found.status == "not supported"
    return found


def undecided(finding: Finding) -> Finding:
    """Enough, and not needed."""
    found = with_joint(finding, swap_drop=Estimate(0.1, 0.05, 0.15, 32))
    assert found.status == "undecided"
    return found


def absent(finding: Finding) -> Finding:
    """Clean and corrupt prompts are answered alike."""
    contrast = replace(finding.behaviour.contrast, value=-0.1, low=-0.2, high=0.1)
    found = following(finding, behaviour=replace(finding.behaviour, contrast=contrast))
    assert found.status == "not supported"
    return found


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
    with pytest.raises(CheckFailed, match="changed after it was written") as refused:
        kept.add(finding, changed)
    assert refused.value.where == str(changed)
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


def test_an_index_of_another_schema_is_not_believed(kept: Registry, finding: Finding) -> None:
    """What was remembered of files that this version cannot read any more."""
    index = kept.folder / INDEX
    assert len(kept) == 1
    data = json.loads(index.read_text())
    data["schema"] = data["schema"].replace("residuum.finding/", "residuum.finding/0")
    index.write_text(json.dumps(data))
    assert len(kept) == 1 and json.loads(index.read_text()) != data


def test_what_does_not_follow_is_not_added(
    tmp_path: Path, kept: Registry, finding: Finding
) -> None:
    with pytest.raises(CheckFailed, match="status does not follow from its evidence"):
        rz.registry(tmp_path / "new").add(finding, replace(finding, status="undecided"))
    assert not (tmp_path / "new").exists()
    data = replace(finding, status="undecided").to_json()
    (kept.folder / "findings" / f"{data['hash']}.json").write_text(json.dumps(data))
    assert len(kept) == 1 and "does not follow" in kept.damaged[0].why


def test_names_that_do_not_fit(kept: Registry, finding: Finding) -> None:
    for name in ("", "abc", "0" * 64):
        with pytest.raises(OptionError, match="no finding") as caught:
            kept.get(name)
        assert finding.hash[:8] in caught.value.mend


def test_compared_with_itself_and_with_another(kept: Registry, finding: Finding) -> None:
    same = kept.compare(finding.hash[:12], finding.hash)
    assert not same.differing and same.overlap == 1 and same.shared == finding.components
    other = little(naming(elsewhere(finding), (finding.components[0], *OTHERS)))
    kept.add(other)
    result = kept.compare(finding.hash, other.hash)
    differing = {row.what for row in result.differing}
    assert differing == {
        "model", "weights", "status", "parts in one alone", "regained with it alone",
        "mechanism: Enough", "mechanism: More than chance",
    }  # fmt: skip
    assert result.shared == finding.components[:1]
    assert result.overlap == pytest.approx(1 / (len(finding.components) + 2))
    table = result.figure()
    assert len(table.rows) == len(result.rows) and "differ" in table.caption
    assert json.dumps(result.to_json())


def clashes(kept: Registry) -> list[tuple[str, str]]:
    return [(each.rule, each.same) for each in kept.contradictions().found]


def test_findings_that_agree_do_not_contradict(kept: Registry, finding: Finding) -> None:
    kept.add(naming(finding, (finding.components[0], *OTHERS)))
    kept.add(undecided(finding))
    kept.add(elsewhere(replace(little(finding), claim="Elsewhere.")))
    kept.add(replace(little(naming(finding, OTHERS)), origin="given"))
    found = kept.contradictions()
    assert not found.found and not found.other_parts and found.among == 5
    assert found.figure().caption.startswith("0 among 5")


def test_one_supported_and_one_not(kept: Registry, finding: Finding) -> None:
    other = little(finding)
    kept.add(other)
    (clash,) = kept.contradictions().found
    assert (clash.rule, clash.same, clash.same_pairs) == ("status", "weights", True)
    assert (clash.first, clash.second) == (finding.hash, other.hash)


def test_the_same_parts_and_more_stated_elsewhere(kept: Registry, finding: Finding) -> None:
    """Not a piece of them: it may be too little by itself."""
    given = replace(finding, origin="given")
    piece = little(naming(given, finding.components[:2]))
    kept.add(piece)
    assert clashes(kept) == []
    same, more = little(given), little(naming(given, (*finding.components, *OTHERS)))
    kept.add(same, more)
    assert clashes(kept) == [("status", "weights")] * 2
    assert {each.second for each in kept.contradictions().found} == {same.hash, more.hash}


def test_a_behaviour_that_is_absent_elsewhere(kept: Registry, finding: Finding) -> None:
    """Whatever mechanism was stated there."""
    kept.add(replace(absent(naming(finding, OTHERS)), origin="given"))
    assert clashes(kept) == [("status", "weights")]


def test_another_measure_is_another_question(kept: Registry, finding: Finding) -> None:
    kept.add(replace(little(finding), metric="prob"))
    assert clashes(kept) == []


def test_the_same_name_with_other_weights_is_said(kept: Registry, finding: Finding) -> None:
    name = finding.provenance.model_id
    kept.add(little(elsewhere(finding, name=name)))
    assert clashes(kept) == [("status", "name")]


def test_other_parts_are_no_contradiction(kept: Registry, finding: Finding) -> None:
    """Two links of one path are both needed, and both are found by whoever looks for one."""
    other = naming(finding, OTHERS)
    kept.add(other)
    found = kept.contradictions()
    assert not found.found and len(found) == 0
    (pair,) = found.other_parts
    assert {pair.first, pair.second} == {finding.hash, other.hash}
    assert "L3.H7" in pair.why and pair.same == "weights" and pair.same_pairs
    assert "No contradiction, but other parts" in found.figure().caption
    assert found.to_json()["other_parts"] and "part" in found.to_json()["rules"]


def test_two_links_of_one_path_in_the_models_own_refusal(tmp_path: Path, model: Model) -> None:
    kept = rz.registry(tmp_path)
    for parts in (["L0.z[H2]"], ["L0.mlp_out"]):
        kept.add(rz.examine(model, "refusal", parts, stages=()))
    assert [each.status for each in kept] == ["supported", "supported"]
    found = kept.contradictions()
    assert not found.found and len(found.other_parts) == 1


def test_a_part_that_does_nothing_elsewhere(kept: Registry, finding: Finding) -> None:
    """Shown by itself here, and idle there, with intervals apart; whatever the other's status."""
    assert finding.parts is not None
    first, nothing = finding.components[0], Estimate(0.0, -0.01, 0.01, 32)
    named = tuple(
        replace(
            part,
            recovered=nothing,
            lost=nothing,
            more_recovered=nothing,
            more_lost=nothing,
            does=nothing,
        )
        if part.at == first
        else part
        for part in finding.parts.named
    )
    idle = following(finding, parts=replace(finding.parts, named=named))
    assert idle.status == "undecided"
    kept.add(idle)
    (clash,) = kept.contradictions().found
    assert (clash.rule, clash.first, clash.second) == ("part", finding.hash, idle.hash)
    assert "L0.H1" in clash.why and "or else -1 to 1 %" in clash.why


def test_a_part_that_another_sweep_does_not_show(kept: Registry, finding: Finding) -> None:
    assert finding.where is not None
    first = finding.components[0]
    layer, head, grid = finding.where.cell(first)
    assert grid.verdict[layer][head] == "shown"

    def instead(cells: Any, value: Any) -> Any:
        rows = [list(row) for row in cells]
        rows[layer][head] = value
        return tuple(map(tuple, rows))

    for high, count in ((0.01, 1), (0.9, 0)):
        end = high * finding.behaviour.contrast.value
        swept = replace(
            grid,
            verdict=instead(grid.verdict, "not shown"),
            low=instead(grid.low, -0.1),
            high=instead(grid.high, end),
        )
        where = replace(finding.where, heads=swept)
        other = naming(following(finding, where=where), (finding.components[1], *OTHERS))
        alone = rz.registry(kept.folder.parent / f"{high}")
        alone.add(finding, other)
        assert [each.rule for each in alone.contradictions().found] == ["part"] * count


@pytest.mark.parametrize("verdict", ["holds", "does not hold", "cannot be said"])
def test_a_transfer_that_fails(kept: Registry, finding: Finding, verdict: str) -> None:
    """As the rules have it: not supported there, undecided, or supported by the same parts."""
    made = {"does not hold": little, "cannot be said": undecided, "holds": lambda same: same}
    there = made[verdict](elsewhere(finding))
    tried = TransferEvidence(
        origin_of(finding), True, "the same pairs", there.status, True, portrait(there), verdict  # type: ignore[arg-type]
    )  # fmt: skip
    there = following(there, transfer=tried)
    kept.add(there)
    fails = verdict == "does not hold"
    assert clashes(kept) == ([("transfer", "other model")] if fails else [])
    assert any(verdict in row for row in kept.figure().rows)
    alone = rz.registry(kept.folder.parent / "alone")
    alone.add(there)
    assert len(alone.contradictions()) == int(fails)
