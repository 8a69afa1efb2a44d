"""Write the tables of docs/howto/prove-a-direction.md: directions of microworld's tasks, proven.

Run it from the repository: ``python docs/make_directions.py``. ``--check`` only compares; figures
may then differ by 5 % or one in the last digit, as machines round differently.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from make_attribution import alike

HERE = Path(__file__).resolve().parent
PAGE = HERE / "howto" / "prove-a-direction.md"
START = "<!-- table: begin; written by docs/make_directions.py -->\n"
END = "<!-- table: end -->"
TASKS = {
    "sentiment": "sentiment",
    "negation": "negation",
    "refusal": "refusal",
    "sycophancy": "truth",
    "agreement": "agreement",
}
PAIRS, OTHERS = 96, 24
KINDS = ("add", "erase", "swap")
SAID = {True: "yes", False: "no", None: "—"}


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
            print(f"{PAGE} is out of date: run python docs/make_directions.py\n{new}")
        return int(not same)
    PAGE.write_text(head + START + new + END + tail, encoding="utf-8")
    return 0


def table() -> str:
    """The table in Markdown, one row for each task."""
    import torch

    import residuum as rz

    torch.set_num_threads(1)
    model = rz.load("microworld")
    lines = [
        "| task | site | accuracy | adding | erasing | swapping | largest adjusted p "
        "| moved most elsewhere | decodable | causal | specific |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, concept in TASKS.items():
        lines.append(row(concept, proven(model, name)))
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def proven(model: Any, name: str) -> Any:
    """The proof, on held-out templates, of the direction that validation chose."""
    from residuum.directions.proving import prove

    fit, held = halves(model, name)
    direction = chosen(model, fit, others(model, name, 16, seed=1))
    return prove(direction, model, held, off_target=others(model, name, OTHERS, seed=0))


def halves(model: Any, name: str) -> tuple[Any, Any]:
    """The task's pairs, one concept on the clean side, in two parts without a common template."""
    import residuum as rz
    from residuum.core import TaskError
    from residuum.directions.alignment import template_halves
    from residuum.directions.orientation import oriented

    task = rz.task(name, model, n=PAIRS, seed=0)
    with suppress(TaskError):  # where answers differ in kind, the clean side is one concept already
        task = oriented(task)
    return template_halves(task)


def others(model: Any, name: str, n: int, seed: int) -> list[Any]:
    """The off-target tasks."""
    import residuum as rz

    names = [*TASKS, "ioi", "facts"]
    return [rz.task(each, model, n=n, seed=seed) for each in names if each != name]


def chosen(model: Any, fit: Any, off_target: list[Any]) -> Any:
    """The difference of means at the site that serves best on validation pairs.

    Fitted on two thirds of the pairs; the score on the last third is the share of the gap that
    the weakest of the three edits closes, less the largest share by which one moves another task.
    """
    import residuum as rz
    from residuum.core import Address

    cut = 2 * len(fit) // 3
    train, validation = fit[:cut], fit[cut:]
    found = []
    for layer in range(model.n_layers):
        for pos in (None, -1):
            at = Address("resid_post", layer, pos=pos)
            direction = rz.direction(model, train, at=replace(at, pos=-1), prove=False)
            direction = replace(direction, at=at)
            found.append((score(model, direction, validation, off_target), direction))
    return max(found, key=lambda each: each[0])[1]


def score(model: Any, direction: Any, task: Any, off_target: list[Any]) -> float:
    """On validation: what the weakest of the three edits closes, less the largest side effect."""
    from residuum.directions.interventions import effects, read_pairs
    from residuum.directions.proving import as_given
    from residuum.directions.specificity import moved

    pairs = read_pairs(model, direction.at, task)
    own = as_given(pairs, direction.vector)
    subspace = own.basis, own.shift
    closed = [float(effects(model, pairs, kind, *[[x] for x in subspace]).mean()) for kind in KINDS]
    aside = [
        float(share.mean())
        for each in off_target
        for share in moved(model, read_pairs(model, direction.at, each), *subspace).values()
    ]
    return min(closed) / pairs.gap - max(aside)


def row(concept: str, proof: Any) -> str:
    """One line."""
    verdict = proof.verdict
    worst = max(proof.off_target, key=lambda each: each.ratio)
    cells = (
        concept if concept == proof.task else f"{concept} (`{proof.task}`)",
        f"`{proof.at}`",
        f"{proof.decodability.accuracy:.2f}",
        *(f"{proof[kind].recovered_frac:.2f} ({high(proof, kind):.2f})" for kind in KINDS),
        f"{max(test.p_adjusted for test in proof.tests):.2f}",
        f"{worst.task}, {worst.ratio:.2f}",
        *(SAID[verdict[name]] for name in ("decodable", "causal", "specific")),
    )
    return f"| {' | '.join(cells)} |"


def high(proof: Any, kind: str) -> float:
    """95th percentile of random directions, as a share of the gap."""
    return proof[kind].random_high / (proof.clean - proof.corrupt)


if __name__ == "__main__":
    raise SystemExit(main())
