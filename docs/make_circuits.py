"""Write the tables of docs/howto/microworld-circuits.md: circuits of four tasks, found and judged.

Run it from the repository: ``python docs/make_circuits.py`` (an hour of one core's time). What was
found and measured is kept in docs/circuits, task by task and stage by stage, and a run goes on
where the last one stopped; remove a task's files to find its circuit again. ``--only ioi`` does one
task and leaves the page alone, ``--samples 10`` finds the circuits again on more samples.
``--check`` measures the circuits that are kept again on the prompts held out, and compares; trials,
random circuits, rivals and finding them again are not part of it.

The mask's size was chosen on the prompts that it was found on: the smallest of ``SIZES`` at which
faithfulness is within ``CLOSE`` of 1 under both references, or else the nearest to that. It is then
pruned on the same prompts, to within half of the trial's margin.
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
PAIRS, SEED, HELD_SEED = 96, 0, 1
SHARE, STEPS, ROWS = 0.08, 300, 16
SIZES = (0.04, 0.06, 0.08, 0.1, 0.12, 0.149)
CLOSE, TOLERANCE = 0.075, 0.05
UNDER = ("counterfactual", "mean")
BESIDE = ("zero",)
RANDOM, SAMPLES, RESAMPLES, PERMUTED = 100, 0, 100, 3
ALONE = 1 / 3
DRAWS = ((1, 160), (2, 160), (3, 160), (5, 400))
"""Seed and number of random circuits with which a trial that was passed is held again."""
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
        "random": against(records),
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
    found, held = pairs(name, model)
    file = KEPT / f"{name}.json"
    record = json.loads(file.read_text()) if file.exists() else {}
    if "sizes" not in record:
        record["sizes"] = discovered(model, found, name)
    circuit = pruned(model, found, name)
    record["rounds"] = circuit.selection["rounds"]
    stages = {
        "held": lambda: held_out(circuit, model, held),
        "trial": lambda: trial_of(circuit, model, held, found),
        "draws": lambda: drawn_anew(circuit, model, held, found, record["trial"]),
        "random": lambda: random_ones(circuit, model, held, record["trial"]),
        "eapig": lambda: drawn_again(circuit, model, found, held),
        "rivals": lambda: rivals_of(circuit, model, held),
    }
    for stage, measure in stages.items():
        if stage not in record or (asked.check and stage == "held"):
            record[stage] = measure()
            if not asked.check:
                file.write_text(written(record))
                print(name, stage, json.dumps(record[stage])[:300], flush=True)
    samples = record.setdefault("samples", [])
    for number in range(0 if asked.check else asked.samples):
        if number == len(samples):
            samples.append({})
        if "pruned" not in samples[number]:
            mask = rz.load_circuit(KEPT / f"{name}.mask.json", model)
            samples[number] |= sample(mask, model, sampled(found, number), samples[number])
            file.write_text(written(record))
            print(name, "sample", number, flush=True)
    return record | {"circuit": circuit, "pairs": (len(found), len(held))}


def written(record: dict[str, Any]) -> str:
    """JSON with a list of numbers on one line."""
    text = json.dumps(record, indent=1)
    return re.sub(r"\[[\d,.\se-]+\]", lambda found: " ".join(found[0].split()), text)


def pairs(name: str, model: Any) -> tuple[Any, Any]:
    """Pairs to find on, and pairs of the other templates, drawn with another seed, to judge on."""
    import residuum as rz

    first, second = (rz.task(name, model, n=PAIRS, seed=seed) for seed in (SEED, HELD_SEED))
    return halves(first)[0], halves(second)[1]


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
    """How the circuits are found, before they are pruned."""
    from residuum.circuits import JointMask

    return JointMask(share=SHARE, references=("mean", "counterfactual"), steps=STEPS, rows=ROWS)


def discovered(model: Any, task: Any, name: str) -> list[dict[str, Any]]:
    """Find a mask, choose its size on the same prompts, and keep it; what each size scores."""
    import residuum as rz
    from residuum.circuits import MaskedRuns, discover

    file = KEPT / f"{name}.mask.json"
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


def pruned(model: Any, task: Any, name: str) -> Any:
    """The mask without the edges that it does not need."""
    import residuum as rz
    from residuum.circuits import prune_circuit

    file = KEPT / f"{name}.circuit.json"
    if not file.exists():
        mask = rz.load_circuit(KEPT / f"{name}.mask.json", model)
        prune_circuit(mask, model, task, references=UNDER, tolerance=TOLERANCE).save(file)
    return rz.load_circuit(file, model)


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


def trial_of(circuit: Any, model: Any, held: Any, found: Any) -> dict[str, Any]:
    """The verdict of a trial on the prompts held out, and the damage by its random circuits."""
    from residuum.circuits import trial

    tried = trial(circuit, model, held, references=UNDER, found_on=found, seed=SEED)
    rows = tried.to_dataframe()[["test", "reference", "statistic", "p", "p_adjusted", "holds"]]
    return {
        "verdict": tried.verdict,
        "tests": json.loads(rows.to_json(orient="records")),
        "damage": {
            each.reference: [round(1 - each.frac(value), 5) for value in each.random_rest]
            for each in tried.levels
        },
    }


def drawn_anew(circuit: Any, model: Any, held: Any, found: Any, tried: Any) -> list[dict[str, Any]]:
    """A trial that was passed, held again with other random circuits: verdicts and what failed."""
    from residuum.circuits import trial

    if tried["verdict"] != "passes":
        return []
    rows = []
    for seed, n in DRAWS:
        again = trial(circuit, model, held, references=UNDER, found_on=found, n_random=n, seed=seed)
        failed = [f"{each.test}, {each.reference}" for each in again.verdicts if not each.holds]
        rows.append({"seed": seed, "n": n, "verdict": again.verdict, "failed": failed})
    return rows


def random_ones(circuit: Any, model: Any, task: Any, tried: dict[str, Any]) -> dict[str, Any]:
    """Damage by random circuits outside, and by each edge of the circuit alone.

    The random circuits of the whole graph are the trial's; which of them hold an edge that alone
    does more than a third is found from their seed.
    """
    from residuum.circuits import MaskedRuns, random_circuits
    from residuum.circuits.trial.measured import drawn_for

    graph, kept = circuit.graph, circuit.kept
    n = len(tried["damage"][UNDER[0]])
    drawn = drawn_for(graph, kept, n, outside=False, seed=SEED).removed
    outside = random_circuits(graph, circuit.n_edges, RANDOM, seed=SEED, among=~kept)
    edges = np.flatnonzero(kept)
    singles = np.ones((len(edges), graph.n_edges), dtype=bool)
    singles[np.arange(len(edges)), edges] = False
    found: dict[str, Any] = {}
    for reference in UNDER:
        runs = MaskedRuns(model, graph, task, reference)
        masks = np.concatenate([np.stack([kept | True, kept & False, ~kept]), singles, ~outside])
        full, empty, own, *rest = runs.metric(masks).mean(axis=1)
        damage = (full - np.array(rest)) / (full - empty)
        alone, outer = damage[: len(edges)], damage[len(edges) :]
        large = edges[alone > ALONE]
        holds = drawn[:, large].any(axis=1)
        connected = np.array(tried["damage"][reference])
        found[reference] = {
            "circuit": float((full - own) / (full - empty)),
            "outside": five(outer),
            "connected": five(connected),
            "large_alone": {graph.name(at): float(damage[i]) for i, at in enumerate(edges)
                            if alone[i] > ALONE},
            "hold_one": int(holds.sum()),
            "least_with_one": float(connected[holds].min()) if holds.any() else None,
            "without_one": five(connected[~holds]),
            "sharing": float((drawn & kept).any(axis=1).mean()),
            "n": n,
        }  # fmt: skip
    return found


def five(values: np.ndarray) -> list[float]:
    """Median, 95th percentile and largest; none of nothing."""
    if not len(values):
        return []
    return [float(np.quantile(values, 0.5)), float(np.quantile(values, 0.95)), float(values.max())]


def drawn_again(circuit: Any, model: Any, task: Any, held: Any) -> dict[str, Any]:
    """EAP-IG's circuits: of the circuit's size and the mask's, redrawn, held out, and permuted."""
    from residuum.circuits import EAPIG, MaskedRuns, circuit_stability, discover, permuted_control

    found = discover(model, task, EAPIG(steps=5), n_edges=circuit.n_edges, seed=SEED)
    begun = int(circuit.selection["rounds"][0]["n_edges"])
    record: dict[str, Any] = {}
    for name, each in (("small", found), ("large", found.resized(begun))):
        again = circuit_stability(each, model, task, n_boot=RESAMPLES)
        record[name] = {"n_edges": each.n_edges}
        record[name] |= {"edges": again.prompts.edges.mean, "nodes": again.prompts.nodes.mean}
        masks = np.stack([each.kept | True, each.kept & False, each.kept])
        for reference in UNDER:
            full, empty, alone = MaskedRuns(model, each.graph, held, reference).metric(masks)
            record[name][reference] = float((alone - empty).mean() / (full - empty).mean())
    control = permuted_control(
        found.resized(begun),
        model,
        held,
        EAPIG(steps=5),
        n=PERMUTED,
        found_on=task,
        references=UNDER,
        seed=SEED,
    )
    record["permuted"] = [
        {
            "reference": each.reference,
            "gap": each.gap.value,
            "own_gap": own.gap.value,
            "faithfulness": each.faithfulness.value,
        }
        for at, each in enumerate(control.permuted)
        for own in [control.own[at % len(UNDER)]]
    ]
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


def sample(mask: Any, model: Any, some: Any, known: dict[str, Any]) -> dict[str, list[int]]:
    """The edges of the mask found on one sample of the prompts, and those left by pruning it."""
    from dataclasses import replace

    from residuum.circuits import prune_circuit
    from residuum.circuits.controls.stability import found_again

    edges = known.get("mask")
    if edges is None:
        edges = np.flatnonzero(found_again(mask, model, some, method(), SEED).kept).tolist()
    kept = np.isin(np.arange(mask.graph.n_edges), edges)
    record = model.provenance(task_hash=some.task_hash, strategy="sample", seed=SEED)
    again = replace(mask, kept=kept, scores=None, provenance=record)
    left = prune_circuit(again, model, some, references=UNDER, tolerance=TOLERANCE)
    return {"mask": edges, "pruned": np.flatnonzero(left.kept).tolist()}


def sampled(task: Any, number: int) -> Any:
    """The pairs of one sample, drawn with replacement."""
    from residuum.circuits.controls.resamples import resampled_rows

    return task.subset(resampled_rows(len(task), 1000, seed=SEED)[number].tolist())


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
    tasks = {name: pairs(name, model)[1] for name in TASKS}
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


def against(records: dict[str, Any]) -> list[str]:
    """Damage by the circuit and by random ones."""
    rows = [
        "| task | reference | damage by the circuit | random circuits outside it: median, largest "
        "| circuit ÷ largest | of the whole graph: median, 95 %, largest | circuit ÷ largest "
        "| edges that alone do more than ⅓ | random circuits that hold one "
        "| least damage by those | largest by the others | circuit ÷ largest |",
        "|" + "---|" * 12,
    ]
    for name, each in records.items():
        for reference in UNDER:
            found = each["random"][reference]
            own, outside, whole = (found[key] for key in ("circuit", "outside", "connected"))
            others = found["without_one"]
            cells = [
                f"`{name}`",
                reference,
                f"{own:.2f}",
                f"{outside[0]:.2f}, {outside[2]:.2f}",
                times(own, outside[2]),
                ", ".join(f"{value:.2f}" for value in whole),
                times(own, whole[2]),
                f"{len(found['large_alone'])}",
                f"{found['hold_one']} of {found['n']}",
                f"{found['least_with_one']:.2f}",
                f"{others[2]:.2f}" if others else "none",
                times(own, others[2]) if others else "none",
            ]
            rows.append("| " + " | ".join(cells) + " |")
    return rows


def times(own: float, most: float) -> str:
    """How often a damage is another, where that is any."""
    return f"{own / most:.1f}" if most > 0.001 else "over 1,000"


def again(records: dict[str, Any]) -> list[str]:
    """How far the edges are found again, by EAP-IG too; rivals; permuted weights."""
    rows = [
        "| task | mask found again: Jaccard of edges, nodes | pruned: edges, nodes "
        "| EAP-IG at the mask's size: edges, nodes | faithfulness, counterfactual, mean "
        "| EAP-IG at the circuit's size: edges, nodes | faithfulness, counterfactual, mean "
        "| rivals of candidates | full − empty of permuted weights, share of the model's |",
        "|" + "---|" * 9,
    ]
    for name, each in records.items():
        masks = [one["mask"] for one in each["samples"]]
        left = [one["pruned"] for one in each["samples"] if "pruned" in one]
        gaps = [abs(one["gap"] / one["own_gap"]) for one in each["eapig"]["permuted"]]
        cells = [f"`{name}`", jaccards(each, masks), jaccards(each, left)]
        for size in ("large", "small"):
            one = each["eapig"][size]
            cells.append(f"{one['edges']:.2f}, {one['nodes']:.2f} ({RESAMPLES})")
            cells.append(", ".join(f"{one[reference]:.2f}" for reference in UNDER))
        cells.append(f"{each['rivals']['rivals']} of {each['rivals']['candidates']}")
        cells.append(f"at most {max(gaps):.3f}")
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def jaccards(record: dict[str, Any], edges: list[list[int]]) -> str:
    """Mean pairwise Jaccard's index of edges and nodes of circuits found on samples."""
    from residuum.circuits.controls.stability import compared

    if len(edges) < 2:
        return "not measured"
    circuit = record["circuit"]
    masks = np.zeros((len(edges), circuit.graph.n_edges), dtype=bool)
    for row, kept in zip(masks, edges, strict=True):
        row[kept] = True
    found = compared(circuit, masks)
    return f"{found.edges.mean:.2f}, {found.nodes.mean:.2f} ({len(edges)})"


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
        verdict = each["trial"]["verdict"]
        if each["draws"]:
            passed = sum(one["verdict"] == "passes" for one in each["draws"])
            verdict += f"; with other draws {passed} of {len(each['draws'])} times"
        rows.append(f"| `{name}` | {' | '.join(cells)} | {verdict} |")
    return rows


def ranged(figure: list[float]) -> str:
    """A figure with its interval."""
    return "{:.2f} [{:.2f}, {:.2f}]".format(*figure)


if __name__ == "__main__":
    raise SystemExit(main())
