"""The page of the command line lists every rule that decides a status."""

from __future__ import annotations

from pathlib import Path

import residuum as rz
from residuum.runs import Model


def test_every_deciding_rule_has_its_row(model: Model, root: Path) -> None:
    page = (root / "docs" / "cli.md").read_text()
    rows = {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")}
    found = rz.examine(
        model, "refusal", ["L0.z[H2]", "L3.z[H7]"], stages=("controls", "specificity")
    )
    deciding = {rule.name.lower() for rule in found.rules if rule.decides}
    assert len(deciding) >= 10 and deciding <= rows, deciding - rows
    others = {rule.name.lower() for rule in found.rules if not rule.decides}
    assert others and not others & rows
