"""Write the table of docs/howto/replay-and-transfer.md: one induction finding on six models.

    python docs/make_transfer.py --run     transfers, and writes benchmarks/results (ten minutes)
    python docs/make_transfer.py           writes the table from those results
    python docs/make_transfer.py --check   compares the page with them

The pairs and the small Llama are those of the tests: ``tests/support/induction_pairs.py`` and the
folder ``stories260K`` in RESIDUUM_TEST_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from page_table import put

HERE = Path(__file__).resolve().parent
PAGE = HERE / "howto" / "replay-and-transfer.md"
RESULTS = HERE.parent / "benchmarks" / "results" / "run_findings_transfers.json"
START = "<!-- table: begin; written by docs/make_transfer.py -->\n"
END = "<!-- table: end -->"
DATA = Path(os.environ.get("RESIDUUM_TEST_DATA", HERE.parents[1] / "shared" / "data"))
SEEDS, STEPS, EARLY = (1, 2), 1000, (50, 100)


def main() -> int:
    """Run, write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", action="store_true", help="transfer anew; writes the results")
    parser.add_argument("--check", action="store_true", help="compare the page with the results")
    asked = parser.parse_args()
    if asked.run:
        RESULTS.write_text(json.dumps(results(), indent=1, ensure_ascii=False) + "\n")
    made = table(json.loads(RESULTS.read_text()))
    return put(PAGE, START, END, made, asked.check, exact=True)


def results() -> dict[str, Any]:
    """The finding, and what came of it on every model."""
    import torch

    import residuum as rz

    sys.path[:0] = [str(HERE.parent / each) for each in ("tests/support", "benchmarks")]
    import peers
    from induction_pairs import exchanged_repeats

    torch.set_num_threads(1)
    first = rz.investigate(rz.load("induction_2l"), exchanged_repeats(), stages=("composition",))
    rows = []
    for label, load in models().items():
        rows.append({"model": label, **transferred(first, load())})
        print(rows[-1], file=sys.stderr, flush=True)
    return {"machine": peers.machine(), "origin": told(first), "steps": STEPS, "rows": rows}


def models() -> dict[str, Callable[[], Any]]:
    """What it is tried on, each loaded (or trained) when its turn comes."""
    import residuum as rz
    from residuum.organisms import weights_at

    found: dict[str, Callable[[], Any]] = {
        f"seed {seed}": lambda seed=seed: trained(seed) for seed in SEEDS
    }
    found["`induction_2l_nopos`"] = lambda: rz.load("induction_2l_nopos")
    for step in EARLY:
        found[f"seed 0 at step {step}"] = lambda step=step: rz.load(
            weights_at("induction_2l", step)
        )
    found["stories260K"] = lambda: rz.load(DATA / "stories260K")
    return found


def trained(seed: int) -> Any:
    """``induction_2l`` from another seed."""
    from dataclasses import replace

    import residuum as rz
    from residuum.organisms.attention_only.finishing import train_attention_only
    from residuum.organisms.attention_only.recipe import ATTENTION_RECIPES

    with TemporaryDirectory() as folder:
        recipe = replace(ATTENTION_RECIPES["induction_2l"], seed=seed, steps=STEPS)
        train_attention_only(recipe, Path(folder))
        return rz.load(folder)


def transferred(first: Any, model: Any) -> dict[str, Any]:
    """The new finding, its verdict, and the rules behind it."""
    import residuum as rz

    there = rz.transfer(first, model)
    rules = [rule for rule in there.rules if rule.asks == "transfer"]
    return {
        **told(there),
        "verdict": there.transfer.verdict,
        "present": there.transfer.present,
        "rules": [{"name": each.name, "outcome": each.outcome, "found": each.found}
                  for each in rules],
    }  # fmt: skip


def told(finding: Any) -> dict[str, Any]:
    """Status, accuracy and named parts of a finding."""
    return {
        "status": finding.status,
        "accuracy": finding.behaviour.accuracy.value,
        "pairs": len(finding.task["clean"]) // 2,
        "components": [str(at) for at in finding.components],
    }


def table(found: dict[str, Any]) -> str:
    """The rows in Markdown."""
    rows = [
        ["tried on", "accuracy", "named there", "there", "verdict", "why"],
        ["---"] * 6,
        ["seed 0, the origin", *_shown(found["origin"]), "", ""],
    ]
    rows += [
        [row["model"], *_shown(row), row["verdict"], _why(row)] for row in found["rows"]
    ]  # fmt: skip
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _shown(row: dict[str, Any]) -> list[str]:
    named = " ".join(
        at.replace(".z[", ".").replace("]", "").replace(".mlp_out", ".MLP")
        for at in row["components"]
    )
    return [f"{100 * row['accuracy']:.0f} %", named or "none", row["status"]]


def _why(row: dict[str, Any]) -> str:
    """The rules that failed, or that all hold."""
    if not row["present"]:
        return "the behaviour is absent"
    broken = [f"{each['name']}: {each['found']}" for each in row["rules"]
              if each["outcome"] == "fails"]  # fmt: skip
    unclear = [f"{each['name']} (unclear): {each['found']}" for each in row["rules"]
               if each["outcome"] == "unclear"]  # fmt: skip
    holds = [each["found"] for each in row["rules"][1:] if each["outcome"] == "holds"]
    return "; ".join(broken or unclear or holds)


if __name__ == "__main__":
    raise SystemExit(main())
