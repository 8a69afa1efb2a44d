"""Task files with columns of other names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_foreign_columns_are_renamed_in_the_file(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("x,y\nMary,John\n")
    done = cli("patch", "microworld", "--task", str(tmp_path / "pairs.csv"))
    done.refused("no column for", "name the columns clean, corrupt, answers")
    assert "columns=" not in done.err
