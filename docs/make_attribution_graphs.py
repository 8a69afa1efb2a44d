"""Write the table of docs/howto/attribution-graphs.md: runs examples/attribution_graph.py --full.

Run it from the repository: ``python docs/make_attribution_graphs.py``; it takes some minutes.
``--check`` only compares; figures may then differ by 5 % or one in the last digit.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from page_table import main_of

HERE = Path(__file__).resolve().parent
PAGE = HERE / "howto" / "attribution-graphs.md"
START = "<!-- table: begin; written by docs/make_attribution_graphs.py -->\n"
END = "<!-- table: end -->"
EXAMPLE = HERE.parent / "examples" / "attribution_graph.py"
ROW = re.compile(
    r"^(ioi|agreement) +(.+?) +([\d.]+) +([\d.]+) +(\d+)% +(-?[\d.]+) \(([+-][\d.]+)\)"
    r" +([\d.]+) +(-?[\d.]+) +([\d.]+)$",
    re.MULTILINE,
)


def main() -> int:
    """Write or compare the page."""
    return main_of(PAGE, START, END, table, __doc__)


def table() -> str:
    """The table in Markdown, one row for each task and kind of transcoders."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(EXAMPLE), "--full"],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
    return rows(done.stdout)


def rows(printed: str) -> str:
    """What the example printed, in Markdown."""
    lines = [
        "| task | transcoders | replacement | completeness | unexplained | rank correlation,"
        " features (null) | error | logits (p) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for found in ROW.finditer(printed):
        task, kind, replaced, complete, left, features, null, error, logits, p = found.groups()
        correlation = f"{features} ({float(null) + 0:.2f})"
        cells = (f"`{task}`", kind, replaced, complete, f"{int(left):,} %", correlation, error)
        lines.append(f"| {' | '.join(cells)} | {logits} ({p}) |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
