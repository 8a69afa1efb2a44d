"""Each command does what its help says, on the embedded model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from residuum.core import content_hash

Cli = Callable[..., Any]
PROMPT = "When Mary and John went to the store , John gave a coin to"


def test_run_shows_tokens_next_words_edits_and_captures(cli: Cli) -> None:
    done = cli(
        "run", "microworld", PROMPT, "--edit", "zero L0.z[H1]",
        "--edit", '{"kind": "scale", "at": "L1.mlp_out", "factor": 0.5}',
        "--capture", "L0.pattern", "--generate", "3",
    )  # fmt: skip
    assert done.code == 0 and not done.err
    for part in (
        "15 tokens",
        "<s>",
        "put in front",
        "without edits",
        "zero",
        "L1.mlp_out",
        "8 head",
    ):
        assert part in done.out
    assert "continues" in done.out


def test_run_as_json_is_one_document(cli: Cli) -> None:
    done = cli("run", "microworld", PROMPT, "--json", "--top", "3", "--capture", "L*.z[H0]@-1")
    assert done.json["ids"][0] == 1 and len(done.json["top"]) == 3
    assert {row["site"] for row in done.json["captured"]} >= {"L0.z[H0]@-1"}
    again = cli("run", "microworld", " ".join(map(str, done.json["ids"])), "--ids", "--json")
    assert again.json["hash"] == done.json["hash"]


def test_lens(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "lens.html"
    done = cli("lens", "microworld", PROMPT, "--track", "Mary", "John", "--out", str(out))
    assert done.code == 0 and "embed" in done.out and "Mary (%)" in done.out
    assert "<html" in out.read_text()
    assert max(map(len, done.out.splitlines())) <= 100 + len(str(out))


@pytest.mark.parametrize("suffix", ["html", "csv", "json"])
def test_patch(cli: Cli, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"heads.{suffix}"
    done = cli("patch", "microworld", "--task", "ioi", "--n", "8", "--out", str(out))
    assert done.code == 0 and "Largest effects" in done.out and out.stat().st_size > 100


def test_patch_by_layer(cli: Cli) -> None:
    done = cli("patch", "microworld", "--task", "facts", "--n", "8", "--site", "mlp_out", "--json")
    assert done.json["dims"] == ["layer"] and len(done.json["effects"]) == 4


def test_tasks(cli: Cli) -> None:
    assert "docstring" in cli("tasks").out
    assert {row["task"] for row in cli("tasks", "microworld", "--json").json} >= {"ioi", "refusal"}
    shown = cli("tasks", "show", "ioi", "--n", "8")
    assert "wrong answer" in shown.out and "8 pairs" in shown.out


def test_a_task_from_a_file(cli: Cli, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    rows = cli("tasks", "microworld", "--json").json
    keys = ("clean", "corrupt", "answers", "wrong")
    row = {key: rows[1][key] for key in keys}
    pairs.write_text(json.dumps(row) + "\n")
    done = cli("patch", "microworld", "--task", str(pairs), "--json")
    assert done.code == 0 and len(done.json["clean"]) == 1


def test_models(cli: Cli) -> None:
    listed = cli("models", "--json").json
    assert listed["inside"][0]["name"] == "microworld" and "llama" in listed["families"]
    assert {"mistral", "qwen2", "gemma"} <= set(listed["model_types"]["llama"])
    assert {"induction_2l", "handmade_induction"} <= set(listed["organisms"])
    text = " ".join(cli("models").out.split())
    assert "llama (also mistral, ministral, qwen2, gemma)" in text
    assert "induction_2l" in text and "residuum organisms" in text
    shown = cli("models", "show", "microworld")
    assert "put in front" in shown.out and "every site proven" in shown.out


def test_microworld_has_its_ten_behaviours(cli: Cli) -> None:
    done = cli("models", "show", "microworld", "--check", "--n", "40")
    assert done.code == 0 and done.out.count(" ok") == 10


def test_doctor(cli: Cli) -> None:
    done = cli("doctor", "microworld")
    assert done.code == 0 and "FAILED" not in done.out and "layer seam" in done.out
    data = cli("doctor", "microworld", "--json", "--thorough").json
    assert data["passed"] and data["seam_proven"] and "z" in data["sites"]


def test_investigate_leaves_a_report(report: Path, cli: Cli) -> None:
    assert (report / "finding.json").is_file()
    assert "Supported" in (report / "report.html").read_text()
    asked = ("--model", "microworld", "--task", "ioi", "--stages", "none")
    done = cli("investigate", *asked, "--out", str(report))
    assert done.code == 0 and done.out.startswith("SUPPORTED: On 32 held-out ioi prompts")
    assert re.search(r"L\d\.H\d +\d+ ", done.out) and "residuum replay" in done.out


def test_replay(report: Path, cli: Cli) -> None:
    done = cli("replay", str(report / "finding.json"))
    assert done.code == 0 and "numbers compared, 0 values differ" in done.out


def test_replay_finds_a_changed_number(report: Path, cli: Cli, tmp_path: Path) -> None:
    data = json.loads((report / "finding.json").read_text())
    data["finding"]["behaviour"]["accuracy"]["value"] = 0.25
    data["hash"] = content_hash(data["finding"])
    (tmp_path / "finding.json").write_text(json.dumps(data))
    done = cli("replay", str(tmp_path / "finding.json"), "--json")
    assert done.code == 1 and not done.json["agrees"]
    assert done.json["differences"][0]["where"] == "behaviour.accuracy.value"
    assert len(done.err.splitlines()) == 2
