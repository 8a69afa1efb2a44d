"""Write the table of docs/howto/attribution-patching.md: every cell predicted and patched exactly.

Run it from the repository: ``python docs/make_attribution.py``. ``--check`` only compares; figures
may then differ by 5 % or one in the last digit, as machines round differently.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from page_table import main_of

HERE = Path(__file__).resolve().parent
PAGE = HERE / "howto" / "attribution-patching.md"
START = "<!-- table: begin; written by docs/make_attribution.py -->\n"
END = "<!-- table: end -->"
PAIRS = 32


def main() -> int:
    """Write or compare the page."""
    return main_of(PAGE, START, END, table, __doc__)


def table() -> str:
    """The table in Markdown, one row for each site and method."""
    import torch

    import residuum as rz
    from residuum.patching.gradients.attribution import AttributionPatching, NodeIG

    torch.set_num_threads(1)
    model = rz.load("microworld")
    task = rz.task("ioi", model, n=PAIRS, seed=0)
    every = 10**6
    plain = AttributionPatching(qk_correction=False, check=every)
    lines = [
        "| site | method | passes | mean error | largest error | of the largest effect | ρ |",
        "|---|---|---|---|---|---|---|",
        *rows(model, task, "z", [plain, NodeIG(check=every)]),
        *rows(model, task, "q", [plain, AttributionPatching(check=every), NodeIG(check=every)]),
        *rows(model, task, "k", [plain, AttributionPatching(check=every), NodeIG(check=every)]),
    ]
    return "\n".join(lines) + "\n"


def rows(model: Any, task: Any, site: str, methods: list[Any]) -> list[str]:
    """One line for each method at a site, swept by layer and head."""
    from residuum.models import Batch
    from residuum.patching.gradients.attribution import approximate
    from residuum.runs import metric_named
    from residuum.runs.sweeping.grid import make_grid

    grid = make_grid(model, task, site, ("layer", "head"))
    clean, corrupt = (Batch(ids, task.attention_mask) for ids in (task.clean, task.corrupt))
    lines = []
    for method in methods:
        found = approximate(model, task, grid, clean, corrupt, metric_named(task.metric), method)
        record = found.approximation
        cells = (
            f"`{site}`",
            record.method,
            f"{found.outcome.passes - len(record.checked):.0f}",
            f"{record.mean_error:.3f}",
            f"{record.largest_error:.2f}",
            f"{100 * (record.relative_error or 0):.0f} % of {record.largest_effect:.2f}",
            f"{record.rank_correlation:.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
