"""Make the pictures of docs/howto/read-features.md: ``python docs/images/dictionaries/make.py``.

Also its table, from microworld. Needs the data of the slow tests and chromium. Trains a dictionary
of 512 latents on the middle of stories260K over 1,000 TinyStories, reads it in one pass, and takes
pictures of three latents, found by the tokens of their strongest examples, and of the whole page.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
WANTED = {
    "named": "the name comes: «named»",
    "said": "somebody speaks: «said»",
    "ll": "the word all: «ll» after «a»",
}
LINES = 10
PAGE = ROOT / "docs" / "howto" / "read-features.md"
START = "<!-- table: begin; written by docs/images/dictionaries/make.py -->\n"
END = "<!-- table: end -->"
TEXTS, SAMPLES = 3000, 300_000


def main() -> None:
    """Write a picture for each latent, one of the page, and the table."""
    write_table()
    reading = read()
    for word in WANTED:
        print(word, reading[latent_of(reading, word)])
    labels = {latent_of(reading, word): label for word, label in WANTED.items()}
    with tempfile.TemporaryDirectory() as folder:
        page = reading.with_labels(labels).page(Path(folder) / "features.html")
        photograph(page, {word: latent_of(reading, word) for word in WANTED})


def write_table() -> None:
    """Put the comparison on microworld into the page."""
    head, rest = PAGE.read_text(encoding="utf-8").split(START)
    PAGE.write_text(head + START + table() + END + rest.split(END, 1)[1], encoding="utf-8")


def table() -> str:
    """Latents, neurons, the stream's dimensions and random directions of microworld."""
    from itertools import islice

    import torch

    import residuum as rz
    import residuum.dictionaries as rd
    from residuum.worlds import microworld_text

    torch.set_num_threads(1)
    model, at = rz.load("microworld", check=False), "L1.resid_post"
    texts = list(islice(microworld_text(0), TEXTS))
    training = rd.train_dictionary(
        rd.live_source(model, texts, at, seed=0),
        n_latents=512, activation=rd.TopK(8), samples=SAMPLES, batch_size=1024,
    )  # fmt: skip
    units = (
        training.dictionary, rd.Neurons(model, "L1.mlp_act"), rd.Neurons(model, at),
        rd.RandomDirections(model, at),
    )  # fmt: skip
    found = rd.compare_features(*(rd.read_features(each, model, texts) for each in units))
    tokens = found.rows[0].tokens
    lines = [
        f"On {tokens:,} tokens of microworld, a dictionary of 512 latents (TopK, 8 active); "
        "medians over units, and in brackets the 10th and 90th hundredth:\n",
        "| units | kurtosis over tokens | kurtosis across units "
        "| tokens of the ten strongest examples |",
        "|---|---|---|---|",
    ]
    for row in found.rows:
        cells = (_spread(row.kurtosis), f"{row.kurtosis_across:.3g}", _spread(row.token_count))
        lines.append(f"| {row.units} {row.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _spread(values: tuple[float, float, float]) -> str:
    middle, low, high = (f"{each:.3g}" for each in values)
    return f"{middle} ({low}–{high})"


def read() -> Any:
    """The reading of a dictionary that is trained here."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    import torch
    from data_folder import data_folder

    import residuum as rz
    from residuum.dictionaries import TopK, live_source, read_features, train_dictionary

    torch.set_num_threads(1)
    folder = data_folder(os.environ, ROOT)
    text = folder / "text" / "tinystories_1000.json"
    model = rz.load(folder / "stories260K", check=False)
    source = live_source(model, text, "L2.resid_post", seed=0)
    training = train_dictionary(
        source, n_latents=512, activation=TopK(12), samples=400_000, batch_size=1024, seed=0
    )
    print(training)
    return read_features(training.dictionary, model, text)


def latent_of(reading: Any, word: str) -> int:
    """The strongest latent whose strongest examples all stand on this token."""
    fires = [i for i in range(reading.n_latents) if _words(reading, i) == {word}]
    return max(fires, key=lambda i: reading.largest[i])


def _words(reading: Any, index: int) -> set[str]:
    return {each.token.strip() for each in reading.examples(index) if each.band == "top"}


def photograph(page: Path, latents: dict[str, int]) -> None:
    """Pictures of some latents' examples, and of the page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        browser = tools.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        shot = browser.new_page(viewport={"width": 1100, "height": 860})
        for word, latent in latents.items():
            shot.goto(f"{page.as_uri()}#{latent}")
            shot.reload()
            shot.locator(".rf[data-ready]").wait_for()
            area = shot.locator("#rf-detail").bounding_box()
            assert area is not None
            last = shot.locator(".rf-example").nth(LINES - 1).bounding_box()
            assert last is not None
            clip: Any = {**area, "height": last["y"] + last["height"] - area["y"]}
            shot.screenshot(path=HERE / f"{word}.png", clip=clip)
        shot.screenshot(path=HERE / "page.png")
        browser.close()


if __name__ == "__main__":
    main()
