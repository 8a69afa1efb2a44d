"""``residuum features``: a reading made, listed, searched, shown and written as a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from residuum.apps.cli import main

    folder = tmp_path_factory.mktemp("dictionary")
    train = [
        "sae",
        "train",
        "microworld",
        "microworld",
        "--at",
        "L2.resid_post",
        "--tokens",
        "3000",
    ]
    small = ["--latents", "64", "--k", "8", "--samples", "8192", "--batch-size", "256", "--json"]
    assert main([*train, *small, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def reading(trained: Path) -> str:
    from residuum.apps.cli import main

    folder = str(trained / "reading")
    read = ["features", "read", "microworld", str(trained), "microworld:1", "--tokens", "1500"]
    assert main([*read, "--no-check", "--out", folder, "--json"]) == 0
    return folder


def test_all_latents_are_listed_in_order(cli: Cli, reading: str, tmp_path: Path) -> None:
    out = tmp_path / "latents.csv"
    rows = cli("features", "list", reading, "--by", "density", "--json").json
    densities = [row["density"] for row in rows]
    assert len(rows) == 64 and densities == sorted(densities, reverse=True) and densities[0] > 0
    done = cli("features", "list", reading, "--top", "3", "--out", str(out))
    assert "3 of 64 rows" in done.out and len(out.read_text().splitlines()) == 65


def test_latents_are_found_by_word(cli: Cli, reading: str) -> None:
    rows = cli("features", "list", reading, "--json").json
    word = rows[0]["promoted"].split()[-1].strip("'")
    found = cli("features", "search", reading, word.upper(), "--json").json
    assert 0 in [row["latent"] for row in found] and len(found) < 64
    both = cli("features", "search", reading, word, "xylophone").out
    assert both.startswith(f"0 latents with {word} and xylophone")


def test_one_latent_is_shown_with_its_examples(cli: Cli, reading: str) -> None:
    row = cli("features", "list", reading, "--by", "density", "--json").json[0]
    shown = cli("features", "show", reading, str(row["latent"]), "--json").json
    top = shown["examples"][0]
    assert top["activations"][top["at"]] == pytest.approx(row["largest"])
    assert f"latent {row['latent']}" in cli("features", "show", reading, str(row["latent"])).out
    cli("features", "show", reading, "64").refused("no latent 64", "0 to 63")


def test_the_page_is_one_file(cli: Cli, reading: str, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    assert cli("features", "page", reading, str(out), "--title", "Mine").code == 0
    text = out.read_text(encoding="utf-8")
    assert "Mine" in text and "https://" not in text.replace("http://www.w3.org", "")
    cli("features", "page", reading, "page.pdf").refused("cannot write 'page.pdf'", ".html")


def test_effects_on_a_task(cli: Cli, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "effects.csv"
    effects = ("features", "effects", "microworld", str(trained), "--task", "ioi", "--n", "4")
    found = cli(*effects, "--no-check", "--pos", "-1", "--json", "--out", str(out)).json
    assert len(found["effects"]) == len(found["latents"]) > 3 and out.stat().st_size > 100
    done = cli(*effects, "--no-check", "--pos", "-1", "--gradient", "--top", "2")
    assert done.code == 0 and "of the gap" in done.out and "2 shown" in done.out


def test_what_is_no_reading_is_refused(cli: Cli, tmp_path: Path) -> None:
    done = cli("features", "list", str(tmp_path))
    assert done.code == 2 and "mend:" in done.err
    cli("features", "serach", "x").refused("has no verb 'serach'", "search")
