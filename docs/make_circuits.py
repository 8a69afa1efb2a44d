"""Write the tables of docs/howto/microworld-circuits.md: circuits of four tasks, found and judged.

Run it from the repository: ``python docs/make_circuits.py`` (an hour of one core's time, most of it
for the circuits found again on samples). What was found and measured is kept in docs/circuits, task
by task and stage by stage, and a run goes on where the last one stopped; remove a task's files to
find its circuit again. ``--only ioi`` does one task and leaves the page alone, ``--samples 100``
finds the circuits again on more samples. ``--check`` measures the circuits that are kept again on
the prompts held out, and compares; finding them again is not part of it.

The size was chosen on the prompts that a circuit was found on: the smallest of ``SIZES`` at which
faithfulness is within ``CLOSE`` of 1 under both references, or else the nearest to that.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from page_table import put

HERE = Path(__file__).resolve().parent
PAGE, KEPT = HERE / "howto" / "microworld-circuits.md", HERE / "circuits"
START = "<!-- {}: begin; written by docs/make_circuits.py -->\n"
END = "<!-- {}: end -->"
TASKS = ("ioi", "greater_than", "induction", "retrieval")
PAIRS, SEED = 96, 0
SHARE, STEPS, ROWS = 0.08, 300, 16
SIZES = (0.04, 0.06, 0.08, 0.1, 0.12, 0.149)
CLOSE = 0.075
UNDER = ("counterfactual", "mean")
BESIDE = ("zero",)
RANDOM, SAMPLES, RESAMPLES = 100, 10, 100
TEXTS, TOKENS, TEXT_SEED = 400, 200, 101


def main() -> int:
    """Find, measure, and write or compare the page."""
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--only", choices=TASKS, help="one task, and not the page")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="circuits found again")
    asked = parser.parse_args()
    KEPT.mkdir(exist_ok=True)
    records = {name: record_of(name, asked) for name in ([asked.only] if asked.only else TASKS)}
    if asked.only:
        return 0
    tables = {
        "judged": judged(records),
        "again": again(records),
        "tried": tried(records),
        **kept_matrices(asked.check),
    }
    wrong = [
        put(PAGE, START.format(name), END.format(name), "\n".join(rows) + "\n", asked.check)
        for name, rows in tables.items()
    ]
    return max(wrong)


def record_of(name: str, asked: Any) -> dict[str, Any]:
    """What is known of a task's circuit, its stages done where they were not."""
    import residuum as rz

    model = rz.load("microworld")
    found, held = halves(rz.task(name, model, n=PAIRS, seed=SEED))
    file = KEPT / f"{name}.json"
    record = json.loads(file.read_text()) if file.exists() else {}
    if "sizes" not in record:
        record["sizes"] = discovered(model, found, name)
    circuit = rz.load_circuit(KEPT / f"{name}.circuit.json", model)
    stages = {
        "held": lambda: held_out(circuit, model, held),
        "random": lambda: random_ones(circuit, model, held),
        "eapig": lambda: drawn_again(circuit, model, found, held),
        "rivals": lambda: rivals_of(circuit, model, held),
        "trial": lambda: trial_of(circuit, model, held, found),
    }
    for stage, measure in stages.items():
        if stage not in record or (asked.check and stage == "held"):
            record[stage] = measure()
            if not asked.check:
                file.write_text(written(record))
                print(name, stage, json.dumps(record[stage])[:300], flush=True)
    while not asked.check and len(record.setdefault("samples", [])) < asked.samples:
        record["samples"].append(sample(circuit, model, found, len(record["samples"])))
        file.write_text(written(record))
        print(name, "sample", len(record["samples"]), flush=True)
    return record | {"circuit": circuit, "pairs": (len(found), len(held))}


def written(record: dict[str, Any]) -> str:
    """JSON with a sample's edges on one line."""
    text = json.dumps(record, indent=1)
    return re.sub(r"\[[\d,\s]+\]", lambda found: " ".join(found[0].split()), text)


def halves(task: Any) -> tuple[Any, Any]:
    """Pairs to find on and to judge on: other templates, or, of one template, other lengths."""
    import residuum as rz

    if len(set(task.templates)) > 1:
        return rz.template_halves(task)
    lengths = task.lengths.tolist()
    out = sorted(set(lengths))[1::2]
    sides: list[list[int]] = [[], []]
    for row, each in enumerate(lengths):
        sides[each in out].append(row)
    return task.subset(sides[0]), task.subset(sides[1])


def method() -> Any:
    """How the circuits are found."""
    from residuum.circuits import JointMask

    return JointMask(share=SHARE, references=("mean", "counterfactual"), steps=STEPS, rows=ROWS)


def discovered(model: Any, task: Any, name: str) -> list[dict[str, Any]]:
    """Find a circuit, choose its size on the same prompts, and keep it; what each size scores."""
    import residuum as rz
    from residuum.circuits import MaskedRuns, discover

    file = KEPT / f"{name}.circuit.json"
    if file.exists():
        found = rz.load_circuit(file, model)
    else:
        found = discover(model, task, method(), reference="mean", seed=SEED)
    sized = [found.resized(share=each, how="top", by="signed") for each in SIZES]
    masks = np.stack([np.ones_like(found.kept), np.zeros_like(found.kept)])
    masks = np.concatenate([masks, [each.kept for each in sized]])
    rows: list[dict[str, Any]] = [{"n_edges": each.n_edges} for each in sized]
    for reference in UNDER:
        values = MaskedRuns(model, found.graph, task, reference).metric(masks).mean(axis=1)
        for row, value in zip(rows, values[2:], strict=True):
            row[reference] = float((value - values[1]) / (values[0] - values[1]))
    worst = np.array([max(abs(row[reference] - 1) for reference in UNDER) for row in rows])
    best = int(np.argmax(worst <= CLOSE) if (worst <= CLOSE).any() else np.argmin(worst))
    rows[best]["chosen"] = True
    sized[best].save(file)
    return rows


def held_out(circuit: Any, model: Any, task: Any) -> dict[str, Any]:
    """Faithfulness and damage on prompts held out, each with its interval."""
    from residuum.circuits import evaluate

    scores = evaluate(circuit, model, task, references=(*UNDER, *BESIDE), subsets=0, sizes=())
    return {
        reference: {
            "faithfulness": triple(scores[reference].faithfulness()),
            "damage": triple(scores[reference].completeness()),
        }
        for reference in (*UNDER, *BESIDE)
    }


def triple(figure: Any) -> list[float]:
    """A figure with the ends of its interval."""
    return [figure.value, figure.low, figure.high]


def random_ones(circuit: Any, model: Any, task: Any) -> dict[str, Any]:
    """Damage by random circuits of the size: of the whole graph, and outside the circuit."""
    from residuum.circuits import MaskedRuns, random_circuits

    graph, kept = circuit.graph, circuit.kept
    rng = np.random.default_rng(SEED)
    loose = np.zeros((RANDOM, graph.n_edges), dtype=bool)
    for row in loose:
        row[rng.choice(np.flatnonzero(~kept), circuit.n_edges, replace=False)] = True
    drawn = {
        "connected": random_circuits(graph, circuit.n_edges, RANDOM, seed=SEED),
        "outside": random_circuits(graph, circuit.n_edges, RANDOM, seed=SEED, among=~kept),
        "loose": loose,
    }
    found: dict[str, Any] = {}
    for reference in UNDER:
        runs = MaskedRuns(model, graph, task, reference)
        full, empty, own = runs.metric(np.stack([kept | True, kept & False, ~kept])).mean(axis=1)
        found[reference] = {"circuit": (full - own) / (full - empty)}
        for kind, masks in drawn.items():
            damage = (full - runs.metric(~masks).mean(axis=1)) / (full - empty)
            found[reference][kind] = [float(np.median(damage)), float(damage.max())]
    return found


def drawn_again(circuit: Any, model: Any, task: Any, held: Any) -> dict[str, Any]:
    """EAP-IG's circuit of the size: found again from scores drawn again, judged held out."""
    from residuum.circuits import EAPIG, MaskedRuns, circuit_stability, discover

    found = discover(model, task, EAPIG(steps=5), n_edges=circuit.n_edges, seed=SEED)
    again = circuit_stability(found, model, task, n_boot=RESAMPLES)
    record = {"edges": again.prompts.edges.mean, "nodes": again.prompts.nodes.mean}
    masks = np.stack([found.kept | True, found.kept & False, found.kept])
    for reference in UNDER:
        full, empty, alone = MaskedRuns(model, found.graph, held, reference).metric(masks)
        record[reference] = float((alone - empty).mean() / (full - empty).mean())
    return record


def rivals_of(circuit: Any, model: Any, task: Any) -> dict[str, Any]:
    """Circuits of the size from penalised gates, judged on the prompts held out."""
    from residuum.circuits import rival_circuits

    found = rival_circuits(circuit, model, task, references=UNDER, seed=SEED)
    faithful = [each for each in found.candidates if found.as_faithful(each)]
    least = min(faithful, key=lambda each: each.edges, default=None)
    return {
        "candidates": len(found.candidates),
        "rivals": len(found.rivals),
        "least_shared": None if least is None else least.edges,
    }


def trial_of(circuit: Any, model: Any, held: Any, found: Any) -> dict[str, Any]:
    """The verdict of a trial on the prompts held out."""
    from residuum.circuits import trial

    tried = trial(circuit, model, held, references=UNDER, found_on=found, seed=SEED)
    rows = tried.to_dataframe()[["test", "reference", "p", "p_adjusted", "holds"]]
    return {"verdict": tried.verdict, "tests": json.loads(rows.to_json(orient="records"))}


def sample(circuit: Any, model: Any, task: Any, number: int) -> list[int]:
    """The edges found on one sample of the prompts."""
    from residuum.circuits.controls.resamples import resampled_rows
    from residuum.circuits.controls.stability import found_again

    rows = resampled_rows(len(task), 1000, seed=SEED)[number]
    found = found_again(circuit, model, task.subset(rows.tolist()), method(), SEED)
    return np.flatnonzero(found.kept).tolist()


def kept_matrices(check: bool) -> dict[str, list[str]]:
    """What each task and plain text lose without each circuit, removed edges at their mean."""
    file = KEPT / "damage.json"
    if file.exists() and not check:
        return json.loads(file.read_text())
    tables = damage()
    if not check:
        file.write_text(json.dumps(tables, indent=1))
    return tables


def damage() -> dict[str, list[str]]:
    """Tables for whole circuits, and for the edges that a circuit shares with no other."""
    from itertools import islice

    import residuum as rz
    from residuum.worlds import microworld_text

    model = rz.load("microworld")
    circuits = {name: rz.load_circuit(KEPT / f"{name}.circuit.json", model) for name in TASKS}
    times = np.sum([each.kept for each in circuits.values()], axis=0)
    own = {name: each.with_kept(each.kept & (times == 1)) for name, each in circuits.items()}
    tasks = {name: halves(rz.task(name, model, n=PAIRS, seed=SEED))[1] for name in TASKS}
    texts = list(islice(microworld_text(TEXT_SEED), TEXTS))
    return {
        "damage": damaged(model, circuits, tasks, texts),
        "own": damaged(model, own, tasks, texts),
    }


def damaged(model: Any, circuits: Any, tasks: Any, texts: list[str]) -> list[str]:
    """Rows of a table, and which pairs of circuits dissociate."""
    from residuum.circuits import damage_matrix

    found = damage_matrix(circuits, model, tasks, reference="mean", text=texts, n_tokens=TOKENS)
    rows = [f"| without | {' | '.join(found.tasks)} |", "|" + "---|" * (len(found.tasks) + 1)]
    for name, circuit in circuits.items():
        cells = " | ".join(ranged(triple(found[name, task].damage)) for task in found.tasks)
        rows.append(f"| `{name}`, {circuit.n_edges} edges | {cells} |")
    held = [f"`{each.first}` and `{each.second}`" for each in found.dissociations if each.holds]
    said = f"{len(held)} of {len(found.dissociations)} pairs dissociate doubly"
    return [*rows, "", said + (": " + "; ".join(held) if held else "") + "."]


def judged(records: dict[str, Any]) -> list[str]:
    """Faithfulness and damage of each circuit on the pairs held out."""
    rows = [
        "| task | pairs found on, held out | edges | faithfulness, counterfactual | mean | zero "
        "| damage, counterfactual | mean |",
        "|" + "---|" * 8,
    ]
    for name, each in records.items():
        held, circuit = each["held"], each["circuit"]
        cells = [
            f"`{name}`",
            "{}, {}".format(*each["pairs"]),
            f"{circuit.n_edges} ({circuit.share:.1%})",
            *(ranged(held[reference]["faithfulness"]) for reference in (*UNDER, *BESIDE)),
            *(ranged(held[reference]["damage"]) for reference in UNDER),
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def again(records: dict[str, Any]) -> list[str]:
    """Damage by random circuits, and how far the edges are found again."""
    kinds = ("outside", "loose", "connected")
    rows = [
        "| task | largest damage by a random circuit outside, counterfactual, mean "
        "| by edges strewn outside | by a connected circuit of the whole graph "
        "| circuit ÷ largest outside | Jaccard of edges, found again | of nodes "
        "| EAP-IG at this size, edges | nodes | its faithfulness, counterfactual, mean "
        "| rivals of candidates |",
        "|" + "---|" * 11,
    ]
    for name, each in records.items():
        random = each["random"]
        worst = [max(random[reference][kind][1] for kind in kinds[:2]) for reference in UNDER]
        ratios = [
            random[reference]["circuit"] / most if most > 0 else np.inf
            for reference, most in zip(UNDER, worst, strict=True)
        ]
        edges, nodes = jaccards(each)
        cells = [
            f"`{name}`",
            *(", ".join(f"{random[ref][kind][1]:.2f}" for ref in UNDER) for kind in kinds),
            ", ".join(f"{ratio:.1f}" for ratio in ratios),
            f"{edges:.2f} ({len(each['samples'])} samples)",
            f"{nodes:.2f}",
            f"{each['eapig']['edges']:.2f} ({RESAMPLES})",
            f"{each['eapig']['nodes']:.2f}",
            ", ".join(f"{each['eapig'][reference]:.2f}" for reference in UNDER),
            f"{each['rivals']['rivals']} of {each['rivals']['candidates']}",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def jaccards(record: dict[str, Any]) -> tuple[float, float]:
    """Mean pairwise Jaccard's index of edges and nodes of the circuits found on samples."""
    from residuum.circuits.controls.stability import compared

    circuit = record["circuit"]
    masks = np.zeros((len(record["samples"]), circuit.graph.n_edges), dtype=bool)
    for row, kept in zip(masks, record["samples"], strict=True):
        row[kept] = True
    found = compared(circuit, masks)
    return found.edges.mean, found.nodes.mean


def tried(records: dict[str, Any]) -> list[str]:
    """Each test of the trial: its adjusted p-value, and whether it holds."""
    said = {True: "holds", False: "fails", None: "undecided"}
    first = next(iter(records.values()))["trial"]["tests"]
    names = [f"{each['test']}, {each['reference']}" for each in first]
    rows = [f"| task | {' | '.join(names)} | verdict |", "|" + "---|" * (len(names) + 2)]
    for name, each in records.items():
        cells = []
        for test in each["trial"]["tests"]:
            p = test["p_adjusted"]
            cells.append(said[test["holds"]] + ("" if p is None else f", p = {p:.2g}"))
        rows.append(f"| `{name}` | {' | '.join(cells)} | {each['trial']['verdict']} |")
    return rows


def ranged(figure: list[float]) -> str:
    """A figure with its interval."""
    return "{:.2f} [{:.2f}, {:.2f}]".format(*figure)


if __name__ == "__main__":
    raise SystemExit(main())
