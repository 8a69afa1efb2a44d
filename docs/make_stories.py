"""Write the table on real stories in docs/howto/directions.md.

Run it from the repository, where the data of the slow tests are: ``python docs/make_stories.py``.
``--check`` only compares; figures may then differ by 5 % or one in the last digit.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from page_table import main_of

HERE = Path(__file__).resolve().parent
PAGE = HERE / "howto" / "directions.md"
START = "<!-- stories: begin; written by docs/make_stories.py -->\n"
END = "<!-- stories: end -->"
LAYERS = {"she or he": (2, 3, 4), "were or was": (0, 2, 4)}
PAIRS, DRAWS = 192, 199
KINDS = ("add", "erase", "swap")


def main() -> int:
    """Write or compare the page."""
    return main_of(PAGE, START, END, table, __doc__)


def table() -> str:
    """The table in Markdown, some layers of each contrast; the chosen one is marked."""
    sys.path.insert(0, str(HERE.parent / "tests" / "support"))
    import torch
    from data_folder import data_folder
    from stories_pairs import she_or_he, story_task, were_or_was

    import residuum as rz

    torch.set_num_threads(1)
    folder = data_folder(os.environ, HERE.parent)
    model = rz.load(folder / "stories260K", check=False)
    lines = [
        "| contrast | stories found / proven on | stream after block | read rightly | adding "
        "| erasing | swapping | largest adjusted p |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, make in (("she or he", she_or_he), ("were or was", were_or_was)):
        task = story_task(model, folder / "text" / "tinystories_1000.json", name, make, PAIRS)
        fit, held = rz.template_halves(task)
        best = rz.direction(model, fit, prove=False).at.layer
        for layer in LAYERS[name]:
            lines.append(row(model, name, fit, held, layer, layer == best))
            print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def row(model: Any, name: str, fit: Any, held: Any, layer: int, best: bool) -> str:
    """One layer's direction, proven on the other stories."""
    import residuum as rz

    found = rz.direction(model, fit, at=f"L{layer}.resid_post@-1", prove=False)
    proof = rz.prove(found, model, held, n_random=DRAWS)
    tests = {test.kind: test for test in proof.tests}
    closed = " | ".join(f"{tests[kind].recovered_frac:.2f}" for kind in KINDS)
    p = max(tests[kind].p_adjusted for kind in KINDS)
    place = f"**{layer}** (chosen)" if best else str(layer)
    return (
        f"| {name} | {len(fit)} / {len(held)} | {place} | {proof.decodability.accuracy:.2f} "
        f"| {closed} | {p:.3f} |"
    )


if __name__ == "__main__":
    raise SystemExit(main())
