"""Write the table of docs/howto/replay-and-transfer.md on other sizes, from benchmarks/results.

    python docs/make_sizes.py [--check]

The results are made by ``benchmarks/run_findings_sizes.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from page_table import main_of

HERE = Path(__file__).resolve().parent
PAGE = HERE / "howto" / "replay-and-transfer.md"
RESULTS = HERE.parent / "benchmarks" / "results" / "run_findings_sizes.json"
START = "<!-- sizes: begin; written by docs/make_sizes.py -->\n"
END = "<!-- sizes: end -->"
NAMES = {
    "two_heads": "two heads, half the width",
    "three_layers": "three layers",
    "seed_1": "another seed",
    "one_layer": "one layer",
    "induction_2l_nopos": "without positions",
}


def table() -> str:
    """One row for each model."""
    data = json.loads(RESULTS.read_text(encoding="utf-8"))
    rows = ["| other model | layers × heads | behaviour | a search names | regained | lost |",
            "|---|---|---|---|---|---|"]  # fmt: skip
    rows += [row(each) for each in data["models"]]
    return "\n".join(rows) + "\n"


def row(model: dict[str, Any]) -> str:
    """What came out in one."""
    named = " ".join(at.replace(".z[H", ".H").removesuffix("]") for at in model["parts"])
    cells = (
        NAMES[model["model"]],
        f"{model['layers']} × {model['heads']}",
        "there" if model["present"] else "absent",
        named or "–",
        share(model["recovered"]),
        share(model["lost"]),
    )
    return f"| {' | '.join(cells)} |"


def share(found: list[float] | None) -> str:
    """A share with its interval, in per cent."""
    if found is None:
        return "–"
    value, low, high = (round(100 * each) for each in found)
    return f"{value} % [{low}, {high}]"


if __name__ == "__main__":
    raise SystemExit(main_of(PAGE, START, END, table, __doc__))
