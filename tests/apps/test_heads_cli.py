"""``residuum heads``: a table that fits, JSON, files, and refusals in two lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


def test_the_table_fits_80_columns(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("heads", "microworld", "--task", "ioi", "--n", "24")
    assert done.code == 0 and not done.err
    assert max(map(len, done.out.splitlines())) <= 80
    rows = [line.split() for line in done.out.splitlines()]
    assert ["L2H7", "induction"] in [row[:2] for row in rows]
    assert "On the task ioi" in done.out and "positive where the model needs" in done.out


def test_json_is_one_document(cli: Cli) -> None:
    done = cli("heads", "microworld", "--n", "12", "--json", "--seed", "3")
    assert len(done.json["heads"]) == 32 and not done.err
    assert {"induction", "direct", "entropy"} <= set(done.json["scores"])
    assert done.json["costs"]["repeats"]["unit"] == "nats"
    assert done.json["provenance"]["seed"] == 3


@pytest.mark.parametrize("suffix", ["html", "svg", "png", "json", "csv"])
def test_files(cli: Cli, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"heads.{suffix}"
    done = cli("heads", "microworld", "--n", "8", "--removal", "none", "--out", str(out))
    assert done.code == 0 and f"written: {out}" in done.out and out.stat().st_size > 500


def test_without_removal_it_says_untested(cli: Cli) -> None:
    done = cli("heads", "microworld", "--n", "8", "--removal", "none")
    assert "induction (untested)" in done.out and "cost (nats)" not in done.out


def test_all_heads(cli: Cli) -> None:
    done = cli("heads", "microworld", "--n", "8", "--removal", "none", "--all")
    assert all(f"L{layer}H{head}" in done.out for layer in range(4) for head in range(8))


def test_own_texts(cli: Cli, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    lines = ("Mary and John went to the store and Mary gave a coin to John .",
             "John and Mary went to the park and John gave a book to Mary .")  # fmt: skip
    texts.write_text("\n".join(lines * 3))
    done = cli("heads", "microworld", "--text", str(texts), "--n", "6", "--json")
    assert done.code == 0 and "text.induction" in done.json["scores"]
    assert set(done.json["costs"]) == {"repeats", "text"}


def test_bad_input(cli: Cli, tmp_path: Path) -> None:
    cli("heads", "microworld", "--text", str(tmp_path / "no.txt")).refused("no file", "text file")
    cli("heads", "microworld", "--out", "heads.doc").refused("cannot write", ".html")
    cli("heads", "microworld", "--length", "5000").refused("longer than", "at most")
    cli("heads", "microworld", "--task", "love").refused("love")
    cli("heads", "microworld", "--removal", "hope").refused("hope", "mean")
