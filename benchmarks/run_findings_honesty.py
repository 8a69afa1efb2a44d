"""How often a finding says "supported" where it should not, and where it should.

Three counts, each by kind, each run with pairs, models and draws of its own seed:

* **absent**: the behaviour is not there, and the chain searches for a mechanism: microworld with
  permuted and with fresh weights, microworld and ``induction_2l`` with the answers of other pairs,
  and a task that ``induction_2l`` cannot do (the token two after the earlier one). None may come
  out supported.
* **wrong**: the behaviour is there, and a mechanism is stated that is not its own: random heads of
  the size of what a search names, none of those (``head_sets``); what a search names for another
  task (``other_task``); random connected circuits (``circuits``); directions of random
  orientation, and those of another task, as long as the behaviour's own (``directions``). At most 3
  of 160 may come out supported. Some of microworld's tasks share heads: what another task names
  may then be right in part. Such runs are wrong all the same, and listed as ``sharing``; only those
  that hold every part which the task's own search names are left out, with their number.
* **known**: the mechanism is known, or is the model's own: hand-set weights, compiled programs (as
  parts and as edges), the trained two-head model where its file is at hand, what searches name in
  ``induction_2l`` and in microworld's ten behaviours. At least 95 % must come out supported.

A run takes the core of the chain; where that says supported, it is done again with the stages whose
rules decide as well (``controls``), so a wrong mechanism is not saved by leaving a test out. Known
mechanisms are always judged with them. Absent behaviours that the rules call present by chance are
counted beside.

    python benchmarks/run_findings_honesty.py [--only KIND ...] [--scale 1.0] [--json FILE]

What the file holds of other kinds is kept, so that they can be run apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import peers
import run_trial_calibration as calibration
import torch

import residuum as rz
from residuum.findings import Finding
from residuum.models.handset import INDUCTION, PREVIOUS
from residuum.organisms import compile_program

RESULTS = Path(__file__).parent / "results" / "run_findings_honesty.json"
INDHEAD = Path(__file__).resolve().parents[2] / "shared" / "data" / "gbmi_indhead"
DECIDING = ("controls",)
MOST_WRONG, OF_WRONG, LEAST_KNOWN = 3, 160, 0.95
N = 64
"""Pairs of a run: half of them choose, half measure."""
BLOCK = 8
"""Tokens that are repeated before ``induction_2l``."""
PROGRAMS = (
    "hist", "reverse", "shift", "sort_unique", "frac_prevs", "detect_pattern", "dyck",
)  # fmt: skip
"""Compiled programs that have contrast pairs."""


@dataclass(frozen=True)
class Case:
    """One run: what it is called, and the finding that it makes with some stages."""

    label: str
    make: Callable[[tuple[str, ...]], Finding]
    shared: int = 0
    all_right: bool = False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = [name for kinds in COUNTS.values() for name in kinds]
    parser.add_argument("--only", nargs="+", default=every, choices=every)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of runs")
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.only:
        start = time.process_time()
        found = []
        for case in KINDS[name](options.scale):
            found.append(judged(case, known=name in COUNTS["known"]))
            print(f"  {name}: {case.label}: {found[-1]['status']}", file=sys.stderr, flush=True)
            kept(options.json, name, {"seconds_cpu": time.process_time() - start, "runs": found})
        print(name, Counter(run["status"] for run in found), flush=True)
    return report(options.json)


def judged(case: Case, *, known: bool) -> dict[str, Any]:
    """The status of a run; of one that the core supports, with all rules that decide."""
    finding = case.make(DECIDING if known else ())
    core = finding.status
    if core == "supported" and not known:
        finding = case.make(DECIDING)
    behaviour = [rule.outcome for rule in finding.rules if rule.asks == "behaviour"]
    broken = [rule.name for rule in finding.rules if rule.decides and rule.outcome != "holds"]
    return {
        "label": case.label,
        "status": finding.status,
        "core": core,
        "present": all(outcome == "holds" for outcome in behaviour),
        "named": list(finding.components),
        "shared_parts": case.shared,
        "all_right": case.all_right,
        "broken": broken,
    }


# -- models and pairs --------------------------------------------------------------------------


@cache
def model(name: str) -> rz.Model:
    return rz.load(name)


@cache
def tasks() -> tuple[str, ...]:
    return rz.task_names(model("microworld"))


@cache
def named(task: str) -> tuple[str, ...]:
    """What a search on microworld names for a task."""
    found = rz.investigate(model("microworld"), task, stages=())
    return found.components


@cache
def induction_parts(seed: int) -> tuple[str, ...]:
    """What a search on ``induction_2l`` names."""
    return rz.investigate(model("induction_2l"), repeats(seed), stages=()).components


@cache
def repeats(seed: int) -> rz.Task:
    """``0``, a block of eight tokens, and the block again up to its last token, to be foretold.

    The corrupt prompt ends in another token of the block, which another one follows.
    """
    draw = np.random.default_rng(seed)
    rows: dict[str, list[Any]] = {"clean": [], "corrupt": [], "answers": [], "wrong": []}
    for _ in range(N):
        block = (1 + draw.permutation(model("induction_2l").d_vocab - 1)[:BLOCK]).tolist()
        other = int(draw.integers(0, BLOCK - 2))
        clean = [0, *block, *block[:-1]]
        for name, value in (
            ("clean", clean), ("corrupt", [*clean[:-1], block[other]]),
            ("answers", block[-1]), ("wrong", block[other + 1]),
        ):  # fmt: skip
            rows[name].append(value)
    return rz.Task.from_pairs(**rows)


def relabelled(task: rz.Task, seed: int) -> rz.Task:
    """Right and wrong answers of other pairs, and in half of them exchanged."""
    draw = np.random.default_rng(seed)
    order, flip = draw.permutation(len(task)), torch.from_numpy(draw.random(len(task)) < 0.5)
    width = max(task.answers.shape[1], task.wrong.shape[1])
    right, wrong = (wide(each, width)[order] for each in (task.answers, task.wrong))
    return replace(
        task,
        answers=torch.where(flip[:, None], wrong, right),
        wrong=torch.where(flip[:, None], right, wrong),
        source="",
    )


def wide(ids: torch.Tensor, width: int) -> torch.Tensor:
    return torch.nn.functional.pad(ids, (0, width - ids.shape[1]), value=-1)


def two_later(seed: int) -> rz.Task:
    """The token two after the earlier one: a repeat of which the model knows the next alone."""
    task = calibration.prompts(model("induction_2l"), 4 * N, seed)
    rows, right, wrong = [], [], []
    for row, (clean, answer, other) in enumerate(
        zip(task.clean.tolist(), task.answers[:, 0].tolist(), task.wrong[:, 0].tolist(),
            strict=True)
    ):  # fmt: skip
        after = [clean.index(each) + 1 for each in (answer, other)]
        if max(after) < len(clean) - 1:
            rows.append(row)
            right.append(clean[after[0]])
            wrong.append(clean[after[1]])
    return rz.Task.from_pairs(
        clean=task.clean[rows][:N], corrupt=task.corrupt[rows][:N], answers=right[:N],
        wrong=wrong[:N],
    )  # fmt: skip


def searched(of: rz.Model, task: Any, seed: int = 0) -> Callable[[tuple[str, ...]], Finding]:
    return lambda stages: rz.investigate(of, task, seed=seed, stages=stages)


def stated(
    of: rz.Model, task: Any, mechanism: Any, seed: int = 0
) -> Callable[[tuple[str, ...]], Finding]:
    return lambda stages: rz.examine(of, task, mechanism, seed=seed, stages=stages)


def times(count: int, scale: float) -> range:
    return range(max(1, round(count * scale)))


# -- the behaviour is absent -------------------------------------------------------------------


def permuted(scale: float) -> Iterator[Case]:
    for seed in times(3, scale):
        null = rz.permuted_weights(model("microworld"), seed)
        for name in tasks():
            yield Case(f"{name}, permuted {seed}", searched(null, name, seed))


def fresh(scale: float) -> Iterator[Case]:
    for seed in times(3, scale):
        torch.manual_seed(seed)
        source = model("microworld")
        null = rz.load(type(source.hf)(source.hf.config).eval(), tokenizer=source.tokenizer)
        for name in tasks():
            yield Case(f"{name}, fresh {seed}", searched(null, name, seed))


def labels(scale: float) -> Iterator[Case]:
    for seed in times(2, scale):
        for name in tasks():
            task = relabelled(rz.task(name, model("microworld"), n=N, seed=seed), seed)
            yield Case(f"{name}, labels {seed}", searched(model("microworld"), task, seed))
    for seed in times(20, scale):
        task = relabelled(repeats(seed), seed)
        yield Case(f"repeats {seed}, labels", searched(model("induction_2l"), task, seed))


def cannot(scale: float) -> Iterator[Case]:
    for seed in times(20, scale):
        yield Case(f"two later {seed}", searched(model("induction_2l"), two_later(seed), seed))


# -- the behaviour is there, the mechanism wrong -----------------------------------------------


def head_sets(scale: float) -> Iterator[Case]:
    draw = np.random.default_rng(0)
    for name in tasks():
        for seed in times(2, scale):
            parts = others(model("microworld"), named(name), draw)
            case = stated(model("microworld"), name, parts)
            yield Case(f"{name}, random heads {seed}", case)
    for seed in times(30, scale):
        right = induction_parts(seed)
        wrong = others(model("induction_2l"), right, draw)
        case = stated(model("induction_2l"), repeats(seed), wrong, seed)
        yield Case(f"repeats {seed}, random heads", case)


def others(of: rz.Model, right: tuple[str, ...], draw: np.random.Generator) -> list[str]:
    """As many heads as are named (as many as there are, where that is fewer), none of these."""
    heads = [f"L{layer}.z[H{head}]" for layer in range(of.n_layers) for head in range(of.n_heads)]
    left = [at for at in heads if at not in right]
    return sorted(draw.choice(left, size=min(len(right), len(left)), replace=False).tolist())


def other_task(scale: float) -> Iterator[Case]:
    draw = np.random.default_rng(1)
    for name in tasks():
        rest = [each for each in tasks() if each != name]
        for other in draw.choice(rest, size=len(times(3, scale)), replace=False):
            own, theirs = {*named(name)}, {*named(str(other))}
            case = stated(model("microworld"), name, named(str(other)))
            yield Case(f"{name} by the parts of {other}", case, len(own & theirs), own <= theirs)


def circuits(scale: float) -> Iterator[Case]:
    of = model("induction_2l")
    graph = rz.graph_of(of)
    for seed in times(70, scale):
        edges = (6, 12, 20)[seed % 3]
        kept_edges = rz.random_circuits(graph, edges, 1, seed=10**6 + seed)[0]
        circuit = rz.Circuit(graph, kept_edges, provenance=of.provenance())
        yield Case(f"repeats {seed}, {edges} edges", stated(of, repeats(seed), circuit, seed))


def directions(scale: float) -> Iterator[Case]:
    """Of random orientation, and of another task; as long as the task's own."""
    of, draw = model("microworld"), torch.Generator().manual_seed(2)
    sites = [f"L{layer}.resid_post@-1" for layer in range(of.n_layers - 1)]
    for number, name in enumerate(tasks()):
        for seed in times(3, scale):
            at = sites[(number + seed) % len(sites)]
            own = rz.direction(of, elsewhere(name), at=at, prove=False)
            if (number + seed) % 2:
                rest = [each for each in tasks() if each != name]
                other = rest[(3 * number + seed) % len(rest)]
                vector = rz.direction(of, elsewhere(other), at=at, prove=False).vector
                label = f"{name} by a direction of {other} at {at}"
            else:
                vector = torch.randn(own.width, generator=draw, dtype=torch.float64)
                label = f"{name} by a random direction at {at}"
            wrong = replace(own, vector=vector.to(own.vector) / vector.norm() * own.norm)
            yield Case(label, stated(of, rz.task(name, of, n=N), wrong))


@cache
def elsewhere(name: str) -> rz.Task:
    """Pairs of a task that runs do not use, the training split's, and no prompt on both sides."""
    task = rz.task(name, model("microworld"), n=N, seed=77, split="train")
    rows: list[int] = []
    sides: dict[str, set[tuple[int, ...]]] = {"clean": set(), "corrupt": set()}
    for row in range(len(task)):
        clean, corrupt = (tuple(each[row].tolist()) for each in (task.clean, task.corrupt))
        if clean not in sides["corrupt"] and corrupt not in sides["clean"]:
            rows.append(row)
            sides["clean"].add(clean)
            sides["corrupt"].add(corrupt)
    return task.subset(rows)


# -- the mechanism is known --------------------------------------------------------------------


def hand_set(scale: float) -> Iterator[Case]:
    of = model("handmade_induction")
    parts = [f"L0.z[H{PREVIOUS}]", f"L1.z[H{INDUCTION}]"]
    circuit = rz.circuit_from_edges(rz.graph_of(of), calibration.KNOWN, provenance=of.provenance())
    for seed in times(10, scale):
        task = calibration.prompts(of, N, seed)
        yield Case(f"hand-set heads {seed}", stated(of, task, parts, seed))
        yield Case(f"hand-set edges {seed}", stated(of, task, circuit, seed))


def compiled(scale: float) -> Iterator[Case]:
    for name in PROGRAMS:
        made = compile_program(name)
        graph = made.graph
        ends = [(graph.senders[a], graph.receivers[b]) for a, b in graph.edges]
        causal = [f"{a} -> {b}" for (a, b), kept_edge in
                  zip(ends, made.edges_of("resample"), strict=True) if kept_edge]  # fmt: skip
        circuit = rz.circuit_from_edges(graph, causal, provenance=made.model.provenance())
        nodes = [str(node).replace(".head_out[", ".z[") for node in circuit.nodes]
        parts = [at for at in nodes if ".z[H" in at or at.endswith(".mlp_out")]
        for seed in times(2, scale):
            task = made.task(N, seed=seed)
            yield Case(f"{name}, parts {seed}", stated(made.model, task, parts, seed))
            yield Case(f"{name}, edges {seed}", stated(made.model, task, circuit, seed))


def trained(scale: float) -> Iterator[Case]:
    """Two heads that are all there is; and what searches name in ``induction_2l``."""
    if INDHEAD.is_dir():
        of = rz.load(INDHEAD)
        for seed in times(20, scale):
            case = stated(of, letters(seed), ["L0.z[H0]", "L1.z[H0]"], seed)
            yield Case(f"gbmi_indhead {seed}", case)
    for seed in times(20, scale):
        yield Case(f"repeats {seed}", searched(model("induction_2l"), repeats(seed), seed))


def letters(seed: int) -> rz.Task:
    """Seven letters and one of the first six again, against the same in another order."""
    draw = torch.Generator().manual_seed(seed)
    rows = 4 * N
    clean = torch.rand(rows, 26, generator=draw).argsort(dim=1)[:, :7]
    at = torch.randint(0, 6, (rows,), generator=draw)
    last = clean[torch.arange(rows), at]
    order = torch.rand(rows, 7, generator=draw).argsort(dim=1)
    corrupt = clean.gather(1, order)
    place = (corrupt == last[:, None]).int().argmax(dim=1)
    right = clean[torch.arange(rows), at + 1]
    wrong = corrupt[torch.arange(rows), (place + 1).clamp(max=6)]
    fits = ((place < 6) & (right != wrong)).nonzero().flatten()[:N]
    clean, corrupt = (torch.cat([each, last[:, None]], dim=1) for each in (clean, corrupt))
    return rz.Task.from_pairs(
        clean=clean[fits], corrupt=corrupt[fits], answers=right[fits], wrong=wrong[fits]
    )


def microworld(scale: float) -> Iterator[Case]:
    for name in tasks():
        for seed in times(1, scale):
            yield Case(f"{name} {seed}", searched(model("microworld"), name, seed))


KINDS: dict[str, Callable[[float], Iterator[Case]]] = {
    each.__name__: each
    for each in (
        permuted, fresh, labels, cannot, head_sets, other_task, circuits, directions, hand_set,
        compiled, trained, microworld,
    )
}  # fmt: skip
COUNTS = {
    "absent": ("permuted", "fresh", "labels", "cannot"),
    "wrong": ("head_sets", "other_task", "circuits", "directions"),
    "known": ("hand_set", "compiled", "trained", "microworld"),
}


# -- what came out -----------------------------------------------------------------------------


def kept(path: Path, name: str, found: dict[str, Any]) -> None:
    """Write a kind's runs beside those of other kinds."""
    data = json.loads(path.read_text()) if path.exists() else {}
    data["machine"] = peers.machine()
    data["kinds"] = data.get("kinds", {}) | {name: found}
    data["counts"] = counted(data["kinds"])
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n")


def counted(kinds: dict[str, Any]) -> dict[str, Any]:
    """The three counts, each by kind and in all, and whether they are met."""
    found = {}
    for count, names in COUNTS.items():
        by_kind = {name: of_runs(kinds[name]["runs"], count) for name in names if name in kinds}
        runs = sum(each["runs"] for each in by_kind.values())
        supported = sum(each["supported"] for each in by_kind.values())
        met = {
            "absent": supported == 0,
            "wrong": supported <= max(1, MOST_WRONG * runs // OF_WRONG),
            "known": supported >= LEAST_KNOWN * runs,
        }[count]
        whole = set(by_kind) == set(names) and (count != "wrong" or runs >= OF_WRONG)
        found[count] = {"runs": runs, "supported": supported, "met": met and whole} | by_kind
    return found


def of_runs(runs: list[dict[str, Any]], count: str) -> dict[str, Any]:
    """How many came out how.

    Of wrong mechanisms only runs count whose behaviour is there, and that do not name every right
    part.
    """
    counts = [run for run in runs if count != "wrong" or is_wrong(run)]
    sharing = [run for run in counts if count == "wrong" and run.get("shared_parts")]
    status = Counter(run["status"] for run in counts)
    return {
        "runs": len(counts),
        "supported": status["supported"],
        "undecided": status["undecided"],
        "not_supported": status["not supported"],
        "supported_by_the_core_alone": sum(run["core"] == "supported" for run in counts),
        "behaviour_called_present": sum(run["present"] for run in counts),
        "not_counted": len(runs) - len(counts),
        "sharing": len(sharing),
        "sharing_supported": [run["label"] for run in sharing if run["status"] == "supported"],
        "odd": [
            run["label"] for run in counts if (run["status"] == "supported") != (count == "known")
        ],
    }


def is_wrong(run: dict[str, Any]) -> bool:
    """Whether the behaviour is there, and not all is named that is right."""
    return run["present"] and not run.get("all_right")


def report(path: Path) -> int:
    """Print the three counts."""
    counts = json.loads(path.read_text())["counts"]
    wanted = {
        "absent": "none",
        "wrong": f"at most {MOST_WRONG} of {OF_WRONG}",
        "known": f"at least {LEAST_KNOWN:.0%}",
    }
    for count, found in counts.items():
        verdict = "met" if found["met"] else "NOT met, or not all run"
        many = f"{found['supported']} of {found['runs']} supported"
        print(f"{count}: {many} ({wanted[count]}): {verdict}")
        for name, each in found.items():
            if isinstance(each, dict):
                odd = f"; {', '.join(each['odd'])}" if each["odd"] else ""
                print(f"  {name}: {each['supported']} of {each['runs']}{odd}")
                if each["sharing"]:
                    also = each["sharing_supported"]
                    part = f"{len(also)} of {each['sharing']}; {', '.join(also)}"
                    print(f"    of these, right in part: {part}")
    return 0 if all(found["met"] for found in counts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
