"""Write the table of docs/howto/use-features.md: latents that move microworld's behaviours.

Run it from the repository: ``python docs/make_features.py`` (20 seconds of one core's time).
``--check`` only compares; figures may then differ by 5 % or one in the last digit. The edits are
found on training templates by the rule of ``find_handle``, and measured once on held-out ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from page_table import main_of

PAGE = Path(__file__).resolve().parent / "howto" / "use-features.md"
START = "<!-- table: begin; written by docs/make_features.py -->\n"
END = "<!-- table: end -->"
SIDES = ("clean answers lost", "corrupt prompts get the clean answer")


def main() -> int:
    """Write or compare the page."""
    return main_of(PAGE, START, END, table, __doc__)


def table() -> str:
    """The table in Markdown, and how many behaviours changed as predicted."""
    import torch

    import residuum as rz
    from residuum.dictionaries.formats.load import load_dictionary
    from residuum.dictionaries.microworld.behaviours import find_handle, measure_handle
    from residuum.dictionaries.microworld.tasks import all_halves

    torch.set_num_threads(1)
    model = rz.load("microworld")
    sae: Any = load_dictionary("microworld-sae")
    rows = [
        "| behaviour | edit | predicted | on training templates "
        "| held out, share of the gap [95 %] | clean answer said: before, after "
        "| pairs, templates "
        "| matched latents: mean, largest | p | as predicted |",
        "|" + "---|" * 10,
    ]
    right = 0
    for name, (train, held) in all_halves(model).items():
        handle, share = find_handle(model, sae, train)
        found = measure_handle(model, sae, held, handle)
        right += found.as_predicted
        rows.append(row(name, share, found))
        print(rows[-1], flush=True)
    return "\n".join([*rows, "", f"As predicted: {right} of {len(rows) - 2}."]) + "\n"


def row(name: str, share: float, found: Any) -> str:
    """One behaviour."""
    cells = (
        name,
        str(found.handle),
        SIDES[found.handle.side],
        f"{share:.2f}",
        f"{found.gap_frac:.2f} [{found.low:.2f}, {found.high:.2f}]",
        f"{found.said_before:.2f}, {found.said:.2f}",
        f"{found.n_pairs}, {found.n_templates}",
        f"{found.control_mean:.2f}, {found.control_high:.2f}",
        f"{found.p:.3f}",
        "yes" if found.as_predicted else "no",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    raise SystemExit(main())
