"""Write a table of docs/howto/judge-a-dictionary.md: known classes in a dictionary of microworld.

Run it from the repository: ``python docs/make_known_classes.py`` (a minute of one core's time).
``--check`` only compares; figures may then differ by 5 % or one in the last digit, as machines
round differently.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from page_table import main_of

HERE = Path(__file__).resolve().parent
PAGE = HERE / "howto" / "judge-a-dictionary.md"
START = "<!-- classes: begin; written by docs/make_known_classes.py -->\n"
END = "<!-- classes: end -->"
AT, LATENTS, ACTIVE, SEED = "L1.resid_post", 256, 8, 10
TRAIN_TEXTS, TRAIN_SAMPLES, BATCH, RATE = 6000, 800_000, 512, 3e-3
TEST_TEXTS, TEST_SEED, PER_WORD = 1500, 101, 60
KEPT = (
    ("latents", 1), ("latents", 5), ("random directions", 1), ("random directions", 5),
    ("all numbers", 128),
)  # fmt: skip


def main() -> int:
    """Write or compare the page."""
    return main_of(PAGE, START, END, table, __doc__)


def table() -> str:
    """Both tables in Markdown: probing (mean of the classes), and absorption by class."""
    import torch

    import residuum as rz
    from residuum.dictionaries import (
        Adam,
        TopK,
        feature_absorption,
        harvest,
        sparse_probing,
        train_dictionary,
    )  # fmt: skip
    from residuum.worlds import microworld_text

    torch.set_num_threads(1)
    model = rz.load("microworld")
    stream = harvest(model, list(islice(microworld_text(1), TRAIN_TEXTS)), AT)
    dictionary = train_dictionary(
        stream.source(seed=SEED), n_latents=LATENTS, activation=TopK(ACTIVE), seed=SEED,
        optimiser=Adam(RATE), samples=TRAIN_SAMPLES, batch_size=BATCH,
    ).dictionary  # fmt: skip
    text = list(islice(microworld_text(TEST_SEED), TEST_TEXTS))
    given = {"k": (1, 5), "per_word": PER_WORD}
    probing = sparse_probing(dictionary, model, text, classes(), **given)
    absorption = feature_absorption(dictionary, model, text, classes(), per_word=PER_WORD)
    return "\n".join([*probing_rows(probing), "", *absorption_rows(absorption)]) + "\n"


def classes() -> dict[str, Any]:
    """Words of microworld's language."""
    from residuum.worlds import words

    return {
        "names": words.NAMES, "places": words.PLACES,
        "countries": [row[0] for row in words.COUNTRIES], "containers": words.CONTAINERS,
        "good": words.GOOD, "bad": words.BAD,
    }  # fmt: skip


def probing_rows(probing: Any) -> list[str]:
    """Means over the classes."""
    means = {(e.basis, e.k): e for e in probing.rows if e.name == "mean of the classes"}
    lines = [
        "| basis | k | balanced accuracy | words dealt at random | difference |",
        "|---" * 5 + "|",
    ]
    for basis, k in KEPT:
        row = means[basis, k]
        cells = (basis, str(k), *map(str, (row.accuracy, row.control, row.selectivity)))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def absorption_rows(absorption: Any) -> list[str]:
    """A row a class."""
    lines = [
        "| class | tokens | main latents | missed | absorbed | words dealt at random "
        "| words absorbed |",
        "|---" * 7 + "|",
    ]
    for each in absorption.classes:
        figures = map(str, (each.missed, each.absorbed, each.control))
        main = ", ".join(map(str, each.main)) or "—"
        cells = (each.name, str(each.n_tokens), main, *figures, ", ".join(each.words) or "—")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
