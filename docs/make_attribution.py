"""Write the table of docs/howto/attribution-patching.md: every cell predicted and patched exactly.

Run it from the repository: ``python docs/make_attribution.py``. ``--check`` only compares; figures
may then differ by 5 % or one in the last digit, as machines round differently.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE / "howto" / "attribution-patching.md"
START = "<!-- table: begin; written by docs/make_attribution.py -->\n"
END = "<!-- table: end -->"
PAIRS = 32
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def main() -> int:
    """Write or compare the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(START)
    old, tail = rest.split(END, 1)
    new = table()
    if options.check:
        same = alike(old, new)
        if not same:
            print(f"{PAGE} is out of date: run python docs/make_attribution.py\n{new}")
        return int(not same)
    PAGE.write_text(head + START + new + END + tail, encoding="utf-8")
    return 0


def alike(old: str, new: str) -> bool:
    """Whether two tables say the same, their figures up to rounding."""
    if NUMBER.sub("#", old) != NUMBER.sub("#", new):
        return False
    pairs = zip(NUMBER.findall(old), NUMBER.findall(new), strict=True)
    return all(abs(float(a) - float(b)) <= max(0.05 * abs(float(a)), last(a)) for a, b in pairs)


def last(figure: str) -> float:
    """One in the last digit of a figure."""
    return 10.0 ** -len(figure.partition(".")[2])


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
