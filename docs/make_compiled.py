"""Write the tables of docs/howto/compiled-programs.md: edges, methods' scores, training scores.

Run it from the repository: ``python docs/make_compiled.py`` (half a minute of one core's time).
``--check`` only compares. The trained models are scored, not trained again.
"""

from __future__ import annotations

import argparse
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from page_table import put

PAGE = Path(__file__).resolve().parent / "howto" / "compiled-programs.md"
START = "<!-- {}: begin; written by docs/make_compiled.py -->\n"
END = "<!-- {}: end -->"
PAIRS = 64
RESIDUE = 1e-9
"""Scores this far below the largest are left over by a softmax; they count as equal."""


def main() -> int:
    """Write or compare the tables of the page."""
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    tables = {"edges": edges(), "methods": methods(), "training": trained()}
    wrong = [
        put(PAGE, START.format(name), END.format(name), "\n".join(rows) + "\n", check)
        for name, rows in tables.items()
    ]
    return max(wrong)


def edges() -> list[str]:
    """A row for each program of the library, at its default vocabulary and length."""
    from residuum.organisms.compiled import PROGRAMS, compile_program

    kinds = "edges | structural | zero-causal | resample-causal"
    split = " | ".join(f"{kind}, split" for kind in kinds.split(" | "))
    rows = [f"| program | prompts | layers, heads | {kinds} | {split} |", "|" + "---|" * 11]
    for name, known in PROGRAMS.items():
        made = compile_program(name)
        prompts = f"{len(known.vocabulary)} tokens, {known.length} places"
        shape = f"{made.model.n_layers}, {made.model.n_heads}"
        found = [*astuple(made.counts()), *astuple(made.counts(split=True))]
        rows.append(f"| `{name}` | {prompts} | {shape} | " + " | ".join(map(str, found)) + " |")
    return rows


def methods() -> list[str]:
    """A row for each model and each set of its edges: how far methods tell them from the others."""
    from residuum.circuits import EAP, EAPIG, AtPStar, ExactEdges, InformationFlow
    from residuum.organisms.compiled import PROGRAMS, compile_program
    from residuum.organisms.compiled.interchange import INTERCHANGE_RECIPES, interchange_trained

    asked = {
        "EAP()": EAP(),
        "EAPIG(5)": EAPIG(5),
        "EAPIG(50)": EAPIG(50),
        'EAPIG(5, "activations")': EAPIG(5, "activations"),
        "AtPStar()": AtPStar(),
        "ExactEdges()": ExactEdges(),
        "InformationFlow()": InformationFlow(),
    }
    rows = [
        "| model | edges to be found | of all | "
        + " | ".join(f"`{name}`" for name in asked)
        + " |",
        "|" + "---|" * (3 + len(asked)),
    ]
    for name in PROGRAMS:
        if name != "length":  # it has no contrast pairs
            rows += _scored(name, compile_program(name), {"resample": "causal"}, asked)
    kinds = {"program": "of the program", "nodes": "between its parts"}
    for name in INTERCHANGE_RECIPES:
        rows += _scored(name, interchange_trained(name), kinds, asked)
    return rows


def _scored(name: str, made: Any, kinds: dict[str, str], asked: dict[str, Any]) -> list[str]:
    """Rows of one model."""
    from residuum.circuits import discover

    task, found = made.task(PAIRS), []
    for method in asked.values():
        scores = discover(made.model, task, method, n_edges=1).scores
        assert scores is not None
        found.append(scores.values)
    rows = []
    for kind, label in kinds.items():
        truth = made.edges_of(kind)
        cells = [f"{_auroc(values, truth):.2f}" for values in found]
        count = f"{truth.sum()} of {len(truth)}"
        rows.append(f"| `{name}` | {label} | {count} | " + " | ".join(cells) + " |")
    return rows


def _auroc(values: np.ndarray, truth: np.ndarray) -> float:
    """How likely a true edge has the larger |score| of it and another one; equal counts half."""
    sizes = np.abs(values)
    sizes = np.where(sizes > RESIDUE * sizes.max(), sizes, 0)
    gaps = sizes[truth][:, None] - sizes[~truth]
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)


def trained() -> list[str]:
    """A row for each model inside the package that was trained by interchange interventions."""
    from residuum.organisms.compiled.interchange import INTERCHANGE_RECIPES, interchange_trained

    rows = [
        "| model | program | prompts never seen | right answers | interchange accuracy "
        "| of the answers that change | other parts exchanged, least | a logit moves, circuit "
        "| other parts |",
        "|" + "---|" * 9,
    ]
    for name, recipe in INTERCHANGE_RECIPES.items():
        scores = interchange_trained(name).scores
        new = sum(scores.inside_changed.values()) / len(scores.inside_changed)
        shares = (scores.accuracy, scores.interchange_accuracy, new, min(scores.outside.values()))
        cells = " | ".join(f"{share:.2%}" for share in shares)
        moves = " | ".join(
            f"{min(inside):.2f} to {max(inside):.2f}"
            for inside in (
                [scores.moves[node] for node in side] for side in (scores.inside, scores.outside)
            )
        )
        rows.append(f"| `{name}` | `{recipe.program}` | {scores.prompts} | {cells} | {moves} |")
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
