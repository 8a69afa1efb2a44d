"""Do findings come out again in another process: microworld's ten behaviours and a public model.

Each is investigated at ``quick`` with every stage in one process and replayed in another, by the
command ``residuum replay``. Another seed means other pairs and other draws; the investigation has
one thread, the replay as many as are asked for. ``gbmi_indhead`` is the public two-head model where
its file is at hand; its pairs are seven letters and one of them again.

    python benchmarks/run_findings_replays.py [--only NAME ...] [--seeds 0 1] [--threads 1 2]
                                              [--json FILE]

What the file holds of other runs is kept, so that they can be made apart.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import residuum as rz

RESULTS = Path(__file__).parent / "results" / "run_findings_replays.json"
INDHEAD = Path(__file__).resolve().parents[2] / "shared" / "data" / "gbmi_indhead"
BEHAVIOURS = (
    "induction", "greater_than", "retrieval", "negation", "sentiment", "sycophancy", "ioi", "facts",
    "agreement", "refusal",
)  # fmt: skip
PUBLIC = "gbmi_indhead"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [*BEHAVIOURS, *([PUBLIC] if INDHEAD.is_dir() else [])]
    parser.add_argument("--only", nargs="+", default=names, choices=names)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="of the replay")
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--investigate", nargs=3, metavar=("NAME", "SEED", "DIR"))
    options = parser.parse_args()
    if options.investigate:
        name, seed, folder = options.investigate
        investigated(name, int(seed)).save(folder)
        return 0
    for seed in options.seeds:
        for name in options.only:
            replayed(name, seed, options.threads, options.json)
    return report(options.json)


def investigated(name: str, seed: int) -> rz.findings.Finding:
    if name == PUBLIC:
        return rz.investigate(rz.load(INDHEAD), repeats(seed), seed=seed)
    return rz.investigate(rz.load("microworld"), name, seed=seed)


def repeats(seed: int, n: int = 64) -> rz.Task:
    """Seven letters, then one of them again: what followed it is the answer.

    The corrupt prompt has the same letters in another order.
    """
    draw = torch.Generator().manual_seed(seed)
    rows: list[tuple[list[int], list[int], int, int]] = []
    while len(rows) < n:
        clean = torch.randperm(26, generator=draw)[:7].tolist()
        corrupt = [clean[i] for i in torch.randperm(7, generator=draw)]
        asked = clean[int(torch.randint(6, (1,), generator=draw))]
        if corrupt[6] == asked:
            continue
        right, wrong = (each[each.index(asked) + 1] for each in (clean, corrupt))
        if right != wrong:
            rows.append(([*clean, asked], [*corrupt, asked], right, wrong))
    clean, corrupt, right, wrong = (list(each) for each in zip(*rows, strict=True))
    return rz.Task.from_pairs(
        clean=clean, corrupt=corrupt, answers=right, wrong=wrong, name="repeats"
    )


def replayed(name: str, seed: int, threads: list[int], path: Path) -> None:
    """A finding made in one process and replayed in others, one for each number of threads."""
    with tempfile.TemporaryDirectory() as folder:
        _, seconds = process([__file__, "--investigate", name, str(seed), folder], 1)
        for count in threads:
            run = again(folder, count)
            run |= {"threads": [1, count], "investigate_s": round(seconds, 1)}
            kept(path, f"{name}, seed {seed}, {count} threads", run)


def again(folder: str, threads: int) -> dict[str, Any]:
    """What came of a replay."""
    told, seconds = process(["-m", "residuum", "replay", folder, "--json"], threads)
    data = json.loads(told.stdout) if told.returncode in (0, 1) and told.stdout else {}
    return {
        "agrees": data.get("agrees", False) and told.returncode == 0,
        "exit_code": told.returncode,
        "status": data.get("status_recorded"),
        "status_again": data.get("status_found"),
        "numbers": data.get("numbers_compared"),
        "worst_share_of_tolerance": data.get("worst_share_of_tolerance"),
        "differences": data.get("differences", told.stderr.splitlines()[:2])[:5],
        "replay_s": round(seconds, 1),
    }


def process(arguments: list[str], threads: int) -> tuple[subprocess.CompletedProcess[str], float]:
    """Python in a process of its own, and its seconds."""
    count = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], env=os.environ | count, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    if done.returncode not in (0, 1):
        print(done.stderr[-2000:], file=sys.stderr)
    return done, seconds


def kept(path: Path, name: str, run: dict[str, Any]) -> None:
    print(name, run["status"], "agrees" if run["agrees"] else "DIFFERS", run["numbers"], flush=True)
    data = read(path)
    data["runs"][name] = run
    data["software"] = {"torch": torch.__version__, "residuum": rz.__version__}
    data["cores"] = os.cpu_count()
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n")


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {"runs": {}}


def report(path: Path) -> int:
    """The table of all runs; exit code 1 where one did not agree."""
    runs = read(path)["runs"]
    for name, run in runs.items():
        worst = run["worst_share_of_tolerance"]
        print(
            f"{name:32} {run['status'] or '-':14} {'agrees' if run['agrees'] else 'DIFFERS':8} "
            f"{run['numbers'] or 0:6} numbers, largest difference "
            f"{100 * worst if worst is not None else float('nan'):.2g} % of what is allowed, "
            f"threads {run['threads'][0]} and {run['threads'][1]}, {run['investigate_s']:.0f} s "
            f"and {run['replay_s']:.0f} s"
        )
    agree = sum(run["agrees"] for run in runs.values())
    print(f"{agree} of {len(runs)} agree")
    return int(agree < len(runs))


if __name__ == "__main__":
    raise SystemExit(main())
