"""Train an organism from its recipe: ``python -m residuum.apps.train microworld``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from residuum.core.errors import ResiduumError
from residuum.organisms.building import steps_in, train_organism
from residuum.organisms.recipe import RECIPES, recipe
from residuum.worlds.microworld import MICROWORLD_TASKS


class Ticker:
    """Draws one line of progress with a time estimate on standard error."""

    def start(self, stage: str, total: int) -> None:
        """A stage begins."""
        self._stage, self._total, self._done = stage, total, 0
        self._began = perf_counter()

    def advance(self, steps: int = 1) -> None:
        """Steps are finished."""
        self._done += steps
        if self._done % 20 and self._done != self._total:
            return
        rate = self._done / (perf_counter() - self._began)
        left = (self._total - self._done) / rate
        line = f"{self._stage}: {self._done}/{self._total}, {rate:.1f} steps/s, {left:.0f} s left"
        sys.stderr.write(f"\r{line:<78}")
        sys.stderr.flush()

    def finish(self) -> None:
        """The stage is over."""
        sys.stderr.write("\n")


def show(entry: dict[str, Any]) -> None:
    """Print one log entry."""
    shares = " ".join(f"{task} {100 * entry['clean'][task]:.0f}" for task in MICROWORLD_TASKS)
    print(
        f"\nstep {entry['step']}: loss {entry['loss_nats']:.3f} nats, "
        f"{entry['tokens_per_second']} tokens/s, {entry['eta_seconds']} s left\n  {shares}",
        flush=True,
    )


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="residuum.apps.train", description=__doc__)
    parser.add_argument("organism", choices=sorted(RECIPES))
    parser.add_argument("--out", type=Path, help="folder to write (default: trained/ORGANISM)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="as many steps as fit into this time here")
    length.add_argument("--steps", type=int, help="number of steps (default: the recipe's)")
    parser.add_argument("--seed", type=int, default=0, help="weights and text (default: 0)")
    parser.add_argument("--base", type=Path, help="folder that a fine-tuned organism starts from")
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Train as the command line says; returns 2 on bad input."""
    asked = arguments(argv)
    out = asked.out or Path("trained") / asked.organism
    try:
        chosen = recipe(asked.organism).with_seed(asked.seed)
        if asked.minutes:
            chosen = chosen.with_steps(steps_in(chosen, asked.minutes, asked.base))
        elif asked.steps:
            chosen = chosen.with_steps(asked.steps)
        train_organism(
            chosen, out, resume=asked.resume, base=asked.base, report=show, progress=Ticker()
        )
    except ResiduumError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"written: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
