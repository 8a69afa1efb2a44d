"""A harvest in a process of its own, to be killed: ``python harvest_child.py FOLDER``."""

from __future__ import annotations

import itertools
import sys

import residuum as rz
from residuum.dictionaries import harvest
from residuum.worlds import microworld_text


def main(folder: str) -> str:
    model = rz.load("microworld", check=False)
    texts = list(itertools.islice(microworld_text(0), 600))
    made = harvest(
        model, texts, ["L1.resid_post", "L2.mlp_out"], keep=folder, rows_per_shard=100, batch_size=4
    )
    return made.hash


if __name__ == "__main__":
    print(main(sys.argv[1]))
