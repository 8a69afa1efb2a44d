"""The figures of the how-to are those that the code gives."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_table_of_the_page_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    monkeypatch.setattr(sys, "argv", ["make_attribution.py", "--check"])
    import make_attribution

    assert make_attribution.main() == 0


def test_figures_may_differ_by_rounding_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    from page_table import alike

    row = "| `z` | 5 | 0.301 | 44 % of 7.83 | -0.99 |"
    assert alike(row, "| `z` | 5 | 0.309 | 43 % of 7.84 | -1.00 |")
    assert not alike(row, "| `z` | 5 | 0.350 | 44 % of 7.83 | -0.99 |")
    assert not alike(row, "| `q` | 5 | 0.301 | 44 % of 7.83 | -0.99 |")
    assert not alike(row, "| `z` | 5 | 0.301 | 44 % of 7.83 |")
