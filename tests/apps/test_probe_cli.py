"""``residuum probe``: a table, plain data, files, and errors in two lines."""

from __future__ import annotations

import json

import pytest

from residuum.apps.cli import main


def test_a_task_is_probed_and_written(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    out, kept = tmp_path / "probes.svg", tmp_path / "direction.json"
    command = ["probe", "microworld", "refusal", "--n", "40", "--layers", "1", "2", "--json"]
    assert main([*command, "--out", str(out), "--direction", str(kept)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [score["layer"] for score in found["scores"]] == [1, 2]
    assert found["decodable"] and out.stat().st_size > 500
    assert json.loads(kept.read_text())["method"].startswith("FromProbe")


def test_a_file_without_templates_says_what_to_do(tmp_path, capsys) -> None:
    path = tmp_path / "data.csv"
    path.write_text("text,label\nThe farm is,a\nThe soup is,b\n")
    assert main(["probe", "microworld", str(path)]) == 2
    said = capsys.readouterr().err
    assert "--split-by example" in said and "column group" in said and 'by="' not in said


def test_what_is_used_stands_beside_what_can_be_read(tmp_path, capsys) -> None:
    out = tmp_path / "causal.html"
    command = [
        "probe", "microworld", "sycophancy", "--n", "120", "--layers", "1", "2", "--causal",
        "--method", "mass-mean",
    ]  # fmt: skip
    assert main([*command, "--json", "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)["causal"]["places"]
    assert found[0]["effect_frac"] > 0.9 > 0.25 > found[1]["effect_frac"]
    assert "What can be read, and what is used" in out.read_text(encoding="utf-8")
    assert main(command) == 0
    assert "share of the gap that a swap closes" in capsys.readouterr().out


def test_a_file_has_no_pairs_to_prove_on(tmp_path, capsys) -> None:
    assert main(["probe", "microworld", str(tmp_path / "a.csv"), "--causal"]) == 2
    assert "needs contrast pairs" in capsys.readouterr().err
