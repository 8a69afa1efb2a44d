"""What a finding says must follow from its own evidence, whatever its hash says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

import residuum as rz
from residuum.core import CheckFailed
from residuum.findings import Finding
from residuum.findings.chain.further import FURTHER
from residuum.findings.record.rules import Rule
from residuum.findings.record.ruling import FOLLOWS, check_ruling, rules_of
from residuum.runs import Model


def outcome(finding: Finding, name: str, value: str) -> Finding:
    rules = tuple(
        replace(rule, outcome=value) if rule.name == name else rule  # type: ignore[arg-type]
        for rule in finding.rules
    )
    return replace(finding, rules=rules)


MORE = Rule("Looks right", "", "", "holds", "mechanism", decides=True)
FORGED: tuple[tuple[str, Callable[[Finding], Finding]], ...] = (
    ("its status does not follow from its evidence: 'undecided' in the file, 'supported' by the "
     "rules", lambda f: replace(f, status="undecided")),
    ("its rule 'Enough' does not follow from its evidence: 'fails' in the file, 'holds' by the "
     "evidence", lambda f: outcome(f, "Enough", "fails")),
    ("its rule 'Looks right' does not follow", lambda f: replace(f, rules=(*f.rules, MORE))),
    ("its rule 'Needed' does not follow", lambda f: replace(f, rules=tuple(
        replace(rule, decides=False) if rule.name == "Needed" else rule for rule in f.rules))),
    ("it leaves out what follows from its evidence: Needed", lambda f: replace(
        f, rules=tuple(rule for rule in f.rules if rule.name != "Needed"))),
    ("their order", lambda f: replace(f, rules=f.rules[::-1])),
    ("the same rule twice", lambda f: replace(f, rules=(*f.rules, f.rules[-1]))),
    ("the parts that it names are not those that were measured",
     lambda f: replace(f, components=f.components[:2])),
    ("its rule 'Enough' does not follow", lambda f: replace(f, parts=None)),
)  # fmt: skip


def test_a_finding_follows_from_its_evidence(finding: Finding, folder: Path) -> None:
    assert rules_of(finding) == finding.rules
    check_ruling(finding)
    assert rules_of(Finding.load(folder)) == finding.rules


@pytest.mark.parametrize(("what", "forge"), FORGED)
def test_what_does_not_follow_is_refused_on_reading_and_writing(
    finding: Finding, tmp_path: Path, what: str, forge: Callable[[Finding], Finding]
) -> None:
    """Its hash fits: it is no signature."""
    forged = forge(finding)
    data = json.loads(json.dumps(forged.to_json()))
    assert data["hash"] == forged.hash != finding.hash
    for refused in (lambda: Finding.from_json(data), lambda: forged.save(tmp_path / "out")):
        with pytest.raises(CheckFailed) as caught:
            refused()
        assert what in caught.value.what and "\n" not in caught.value.what
        assert caught.value.mend == "take the file as it was written, or investigate again"
    assert not (tmp_path / "out").exists()
    assert Finding.from_json(data, verify=False) == forged


def test_a_claim_worded_by_hand_is_kept(finding: Finding, tmp_path: Path) -> None:
    worded = finding.with_claim("Four early heads tell who received it.")
    assert Finding.load(worded.save(tmp_path)) == worded


def test_an_absent_behaviour_and_a_circuit_follow_too(random_model: Model, model: Model) -> None:
    absent = rz.investigate(random_model, "ioi", stages=())
    check_ruling(absent)
    with pytest.raises(CheckFailed, match="'supported' in the file, 'not supported' by the rules"):
        check_ruling(replace(absent, status="supported"))
    with pytest.raises(CheckFailed, match="status does not follow"):
        rz.transfer(replace(absent, status="supported"), model)
    task = rz.task("refusal", model, n=16)
    direction = rz.direction(model, task, at="L2.resid_post@-1", prove=False)
    stated = rz.examine(model, "refusal", direction, stages=())
    assert stated.whole is not None and rules_of(stated) == stated.rules
    check_ruling(stated)
    with pytest.raises(CheckFailed, match="a mechanism of another kind than was measured"):
        check_ruling(replace(stated, kind="circuit"))


def test_a_transfer_follows_too(finding: Finding) -> None:
    there = rz.transfer(finding, rz.load("microworld-trigger"), same_components=True)
    assert there.transfer is not None and rules_of(there) == there.rules
    check_ruling(there)
    for change in ({"verdict": "does not hold"}, {"present": False}):
        tried = replace(there.transfer, **change)  # type: ignore[arg-type]
        with pytest.raises(CheckFailed, match="says of the transfer does not follow"):
            check_ruling(replace(there, transfer=tried))


def test_every_further_stage_has_its_rules() -> None:
    names = {each.name for each in FURTHER}
    assert names < set(FOLLOWS) <= {each.name for each in fields(Finding)}
