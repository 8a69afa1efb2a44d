"""``residuum probe`` and ``steer`` on bad data: exit code 2, what in one line, the mend in one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import residuum as rz

Cli = Callable[..., Any]
WORDS = ("soup", "farm", "door", "room", "road", "shop", "coat", "bath")
GROUPED = [f"The {word} is,{label},{group}" for group, label, word in zip(
    "aabbccdd", (0, 1) * 4, WORDS, strict=True)]  # fmt: skip


def table(*rows: str) -> str:
    return "\n".join(("text,label,group", *rows)) + "\n"


@pytest.mark.parametrize(
    ("content", "options", "what", "mend"),
    [
        (table(*(row.replace(",0,", ",1,") for row in GROUPED)), (), "one class", "two classes"),
        (table(*GROUPED), ("--positions", "0"), "same in every example", "another token"),
        (table(*GROUPED, *(f"{row}{row[-1]}" for row in GROUPED)), (), "same example", "unique"),
        (table(*GROUPED, "The soup is,1,e"), (), "under two labels", "one label"),
        (table(*GROUPED), ("--site", "rest"), "no site named 'rest'", "sites are"),
        (table(*GROUPED), ("--layers", "9"), "layer 9 is out of range", "0 to 3"),
        (table(*GROUPED, "The xylophone is,1,e"), (), "not in the vocabulary", "words the model"),
        (table(*GROUPED, "The soup is,,e"), (), "", ""),
        ("text,group\nThe farm is,a\n", (), "label", ""),
        ("", (), "", ""),
    ],
    ids=["one class", "constant", "duplicates", "two labels", "site", "layer", "word", "no label",
         "no column", "empty"],
)  # fmt: skip
def test_probe_refuses(
    cli: Cli, tmp_path: Path, content: str, options: tuple[str, ...], what: str, mend: str
) -> None:
    path = tmp_path / "data.csv"
    path.write_text(content)
    done = cli("probe", "microworld", str(path), *options)
    done.refused(what, mend)
    assert not done.out


def test_steer_refuses_a_direction_of_another_model(cli: Cli, tmp_path: Path) -> None:
    model = rz.load("microworld", check=False)
    path = tmp_path / "direction.json"
    rz.direction(model, rz.task("refusal", model, n=20), at="L1.resid_post", prove=False).save(path)
    saved = ("--direction", str(path), "--prompt", "Mary went")
    cli("steer", "microworld-trigger", *saved).refused("found on microworld", "find it again")
    path.write_text("{}")
    cli("steer", "microworld", *saved).refused("not a direction", "direction.save")
    path.unlink()
    cli("steer", "microworld", *saved).refused("cannot be read as a direction", "direction.save")


@pytest.mark.parametrize(
    ("arguments", "what", "mend"),
    [
        (("--at", "L9.resid_post"), "out of range", "L0 to L3"),
        (("--at", "rest"), "'rest'", "sites are"),
        (("--at", "L1.resid_post@0"), "same in every example", "another token"),
        (("--at", "L1.resid_post", "--position", "nowhere"), "no position 'nowhere'", "end"),
        (("--at", "L1.resid_post", "--hold-out", "x"), "no template x", "teach"),
        (("--at", "L1.resid_post", "--towards", "Paris"), "none of Paris", "name the words"),
    ],
)
def test_steer_refuses(cli: Cli, arguments: tuple[str, ...], what: str, mend: str) -> None:
    cli("steer", "microworld", "--task", "refusal", "--n", "20", *arguments).refused(what, mend)
