"""Make the pictures of the documentation from real runs: ``python docs/images/make.py``."""

from __future__ import annotations

from pathlib import Path

import residuum as rz
from residuum.heads import detect_heads

HERE = Path(__file__).resolve().parent
DPI = 110


def main() -> None:
    """Write heads.png, lens.png and heads-microworld.png beside this file."""
    model = rz.load("microworld")
    task = rz.task("ioi", model, n=32, seed=0)
    sweep = rz.patch(model, task, sites="z", by=("layer", "head"))
    heads = sweep.figure("Who receives the drink? Every head of microworld, patched")
    (HERE / "heads.png").write_bytes(heads.png(dpi=DPI))
    reading = rz.logit_lens(model, "The capital of France is")
    (HERE / "lens.png").write_bytes(reading.figure().png(dpi=DPI))
    table = detect_heads(model, task=rz.task("ioi", model, n=50))
    (HERE / "heads-microworld.png").write_bytes(table.figure().png(dpi=DPI))


if __name__ == "__main__":
    main()
