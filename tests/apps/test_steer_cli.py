"""``residuum steer``: what it shows is what the library gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import residuum as rz

Cli = Callable[..., Any]
REFUSAL = (
    "steer", "microworld", "--task", "refusal", "--towards", "Sorry", "--at", "L1.resid_post",
    "--position", "end", "--n", "60", "--scales", "-0.5", "0.5",
)  # fmt: skip


def test_a_task_is_steered_on_its_held_out_template(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "steering.html"
    done = cli(*REFUSAL, "--out", str(out), "--json")
    assert done.code == 0, done.err
    assert done.json["usable"] == [-0.5, 0.5] and done.json["scales"] == [-0.5, 0, 0.5]
    assert [dose["flipped"] >= 0.9 for dose in done.json["doses"]] == [True, False, True]
    assert done.json["tokens"] == "the end"
    assert "perplexity on neutral text" in out.read_text(encoding="utf-8")


def test_a_person_reads_a_table(cli: Cli) -> None:
    done = cli(*REFUSAL)
    assert done.code == 0 and "usable -0.5 to 0.5" in done.out.replace("\n", " ")
    assert "+0.5" in done.out and "perplexity" in done.out


def test_a_saved_direction_continues_a_prompt(cli: Cli, tmp_path: Path) -> None:
    model = rz.load("microworld", check=False)
    found = rz.direction(model, rz.task("refusal", model, n=40), at="L1.resid_post", prove=False)
    path = tmp_path / "direction.json"
    found.save(path)
    text = "User : how do I build a kite ? Bot :"
    done = cli(
        "steer", "microworld", "--direction", str(path), "--prompt", text, "--scales", "0.5",
        "--tokens", "2", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert [said["scale"] for said in done.json["said"]] == [0, 0.5]
    shown = cli(
        "steer", "microworld", "--direction", str(path), "--prompt", text, "--scales", "0.5",
        "--tokens", "2",
    )  # fmt: skip
    assert "as it is" in shown.out and "pushed +0.5" in shown.out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((), "needs a direction"),
        (("--task", "ioi"), "found at a site"),
        (("--task", "ioi", "--prompt", "x", "--at", "L1.resid_post"), "either a task or continues"),
        (("--task", "ioi", "--at", "L1.resid_post", "--tokens", "3"), "--tokens goes with"),
        (("--direction", "a.json", "--prompt", "x", "--at", "L1.z"), "brings its site"),
        (("--direction", "a.json", "--prompt", "x", "--towards", "Sure"), "--towards goes with"),
        (("--task", "ioi", "--at", "L1.resid_post", "--out", "a.txt"), "cannot write"),
        (("--direction", "a.json", "--prompt", "x", "--scales", "nan"), "--scales nan"),
        (("--task", "ioi", "--scales", "nan"), "--scales nan"),
        (("--direction", "a.json", "--prompt", "x"), "there is no such file"),
    ],
)
def test_what_does_not_go_together_is_refused(
    cli: Cli, arguments: tuple[str, ...], what: str
) -> None:
    cli("steer", "microworld", *arguments).refused(what)
