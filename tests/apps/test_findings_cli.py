"""``residuum findings`` and ``residuum replay --transfer``: what they print, keep and refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import residuum as rz
from residuum.findings import Finding

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("found")
    rz.investigate(rz.load("microworld"), "ioi", stages=()).save(folder)
    return folder


@pytest.fixture(scope="module")
def stated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stated")
    rz.examine(rz.load("microworld"), "ioi", ["L0.z[H7]"], stages=()).save(folder)
    return folder


def test_a_claim_worded_by_hand_keeps_its_mark(cli: Cli, found: Path, tmp_path: Path) -> None:
    finding = Finding.load(found)
    finding.with_claim("This model is safe.").save(tmp_path / "worded")
    kept = str(tmp_path / "kept")
    added = cli("findings", "add", kept, str(tmp_path / "worded"))
    assert "supported*" in added.out and "worded by hand" in added.out
    (entry,) = cli("findings", "list", kept, "--text", "safe", "--json").json["findings"]
    assert entry["claim"] == "This model is safe." and entry["claim_built"] == finding.claim
    shown = cli("findings", "show", kept, entry["hash"][:8]).out
    assert "worded by hand" in shown and finding.claim[:30] in shown


def test_add_list_show_compare_contradictions(
    cli: Cli, found: Path, stated: Path, tmp_path: Path
) -> None:
    kept = str(tmp_path / "kept")
    first, second = Finding.load(found), Finding.load(stated)
    done = cli("findings", "add", kept, str(found), str(stated / "finding.json"))
    assert done.code == 0 and "holds 2 now" in done.out and first.hash[:8] in done.out
    listed = cli("findings", "list", kept)
    assert "supported" in listed.out and "L0.H7" in listed.out and "2 findings" in listed.out
    one = cli("findings", "list", kept, "--status", "not supported", "--json").json
    assert [each["hash"] for each in one["findings"]] == [second.hash] and one["damaged"] == []
    shown = cli("findings", "show", kept, first.hash[:10], "--out", str(tmp_path / "out"))
    assert first.claim.split()[0] in shown.out and "Refuted if" in shown.out
    assert Finding.load(tmp_path / "out") == first
    both = cli("findings", "compare", kept, first.hash[:10], second.hash[:10])
    assert "differ" in both.out and "parts in one alone" in both.out
    clear = cli("findings", "contradictions", kept, "--check")
    assert clear.code == 0 and "No two of 2 findings contradict" in clear.out
    damaged = tmp_path / "kept" / "findings" / "x.json"
    damaged.write_text("no")
    assert "x.json: not JSON" in cli("findings", "list", kept).out
    cli("findings", "contradictions", kept, "--check").refused("1 damaged", "compare", code=1)


@pytest.mark.parametrize(
    ("asked", "what", "mend"),
    [
        (("list", "nowhere"), "no registry of findings here", "residuum findings add"),
        (("add", "kept", "gone.json"), "cannot read a finding", "finding.json"),
        (("show", "nowhere", "1234"), "no registry of findings here", "residuum findings add"),
        (("ad", "kept"), "no verb 'ad'", "add"),
    ],
)
def test_refused(
    cli: Cli, asked: tuple[str, ...], what: str, mend: str, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    cli("findings", *asked).refused(what, mend)
    assert not list(tmp_path.iterdir())


def test_transfer_leaves_a_new_finding(cli: Cli, found: Path, tmp_path: Path) -> None:
    out = tmp_path / "there"
    done = cli(
        "replay", str(found), "--transfer", "microworld-trigger", "--same-components",
        "--out", str(out),
    )  # fmt: skip
    assert done.code == 0 and done.out.startswith("HOLDS: ") and "Supported there" in done.out
    there = Finding.load(out)
    assert there.transfer is not None and there.transfer.origin.hash == Finding.load(found).hash
    assert there.provenance.model_id == "microworld-trigger"


def test_transfer_refuses_what_it_cannot_do(
    cli: Cli, found: Path, stated: Path, tmp_path: Path
) -> None:
    out, here = str(tmp_path / "out"), str(found)
    other = ("--transfer", "induction_2l", "--out", out)
    cli("replay", here, *other).refused("has no tokenizer", "--task")
    cli("replay", here, "--transfer", "gone", "--out", out).refused("gone", "")
    cli("replay", here, "--out", out).refused("--out goes with --transfer", "--transfer MODEL")
    cli("replay", here, "--model", "m", *other).refused("--model is for", "one of the two")
    cli("replay", str(stated), *other).refused("claims nothing", "supported finding")
    data = json.loads((found / "finding.json").read_text())
    data["finding"]["claim"] = "Surely."
    (tmp_path / "finding.json").write_text(json.dumps(data))
    edited = str(tmp_path / "finding.json")
    cli("replay", edited, *other).refused("changed after it was written", "", code=1)
    cli("replay", edited).refused("changed after it was written", "", code=1)
    assert not (tmp_path / "out").exists()
