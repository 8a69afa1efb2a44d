"""A TopK dictionary's training step, encode, decode and memory against three peers.

Each peer runs in its own environment and process (``--setup`` makes ``.peers/NAME``, see
``dictionary_formats.py``; ``--envs FOLDER`` names a folder that holds them). Both sides of a pair
get the same data, initial weights, learning rate and number of threads, and take their steps in
turn; a ratio is the median over rounds. This project takes over the peer's rules for decoder
norms, centring and clipping, so that both descend the same curve; where the curves differ, the
difference is printed.

What differs: this project's Adam is torch's fused kernel, which the peers do not switch on. With
``--fused`` they are given it too. Each side does its own bookkeeping of dead latents. No latent is
dead in so few steps, so no side's auxiliary loss runs. The epsilon of Adam is 1e-12 at each side.

On a machine that does other work too, two threads wait for each other in a loop that burns the
core the other needs: there ``OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0``, which reaches both sides,
or one thread and seconds of the processor, say more.

    python benchmarks/dictionaries_vs_peers.py [--envs FOLDER] [--rounds 9] [--threads 2]
        [--fused] [--only NAME ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import dictionary_formats
import peers
import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
REACHES = {"saelens": 4.0, "dictionary_learning": 4.0, "sparsify": 1.4}
OVER_DENSE = 2.2
SIDES = ("saelens", "saelens_sparse", "dictionary_learning", "sparsify")
TASKS = ("step", "encode", "decode")


class Side:
    """A process that does one step at a time."""

    def __init__(self, python: Path, name: str, folder: Path, threads: int, fused: bool) -> None:
        script = HERE / "dictionaries_vs_peers_side.py"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "PYTHON"))}
        quiet = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "WANDB_MODE": "disabled"}
        words = [str(python), str(script), name, str(folder), str(threads)]
        self.errors = (folder / f"{name}.log").open("w+")
        self.process = subprocess.Popen(
            [*words, "fused" if fused else "plain"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, text=True,
            env={**kept, **quiet, "OMP_NUM_THREADS": str(threads)},
        )  # fmt: skip
        self.about = self._answer()

    def ask(self, task: str) -> dict[str, Any]:
        """Have it done; seconds of the clock and of the processor, loss, memory."""
        assert self.process.stdin is not None
        self.process.stdin.write(task + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise RuntimeError(f"a side has ended:\n{self.errors.read()[-3000:]}")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        self.process.wait(60)


def prepare(folder: Path, options: argparse.Namespace) -> None:
    """Data, initial weights and plan, for all sides."""
    import residuum as rz

    d, n = options.d, options.latents
    world = rz.SparseWorld(n_features=n // 2, width=d, active=float(options.k), noise=0.02)
    batches = world.source().batches(options.batch)
    data = torch.stack([next(batches).values[:, 0] for _ in range(options.batches)])
    made = torch.Generator().manual_seed(0)
    rows = torch.randn(n, d, generator=made)
    rows = rows / rows.norm(dim=1, keepdim=True)
    weights = {"W_enc": rows, "W_dec": rows.clone(), "mean": data[0].mean(0)}
    save_file(weights, folder / "weights.safetensors")
    save_file({"data": data.contiguous()}, folder / "data.safetensors")
    names = ("d", "latents", "k", "batch", "lr")
    plan = {name: getattr(options, name) for name in names} | {"steps": 10_000}
    (folder / "plan.json").write_text(json.dumps(plan))


def pair(python: Path, name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """This project and one peer, in turn."""
    ours = Side(Path(sys.executable), f"ours_for_{name}", folder, options.threads, False)
    theirs = Side(python, name, folder, options.threads, options.fused)
    sides = {"ours": ours, "theirs": theirs}
    curves: dict[str, list[float]] = {"ours": [], "theirs": []}
    told: dict[str, dict[str, list[dict[str, Any]]]] = {}
    peaks: dict[str, float] = {}
    try:
        for task in TASKS:
            found: dict[str, list[dict[str, Any]]] = {"ours": [], "theirs": [], "dense": []}
            for index in range(options.rounds + options.warm):
                for side in ("ours", "theirs") if index % 2 else ("theirs", "ours"):
                    said = sides[side].ask(task)
                    if task == "step":
                        curves[side].append(said["loss"])
                        peaks[side] = said["peak_mb"] - said["before_mb"]
                    found[side].append(said)
                found["dense"].append(ours.ask("dense"))
            told[task] = {side: rows[options.warm :] for side, rows in found.items()}
    finally:
        for side in sides.values():
            side.close()
    tokens = options.batch
    result: dict[str, Any] = {"version": theirs.about["version"], "torch": theirs.about["torch"]}
    for task, rows in told.items():
        result[task] = {
            kind: {
                "ours_s": _median(rows["ours"], kind),
                "theirs_s": _median(rows["theirs"], kind),
                "dense_s": _median(rows["dense"], kind),
                "ratio": _ratio(rows["theirs"], rows["ours"], kind),
                "over_dense": _ratio(rows["ours"], rows["dense"], kind),
                "theirs_over_dense": _ratio(rows["theirs"], rows["dense"], kind),
            }
            for kind in ("wall", "cpu")
        }
    result["tokens_per_s"] = {
        side: tokens / result["step"]["wall"][f"{side}_s"] for side in ("ours", "theirs")
    }
    result["peak_mb"] = peaks
    result["curves"] = curves
    result["largest_relative_difference"] = max(
        abs(a - b) / abs(b) for a, b in zip(curves["ours"], curves["theirs"], strict=True)
    )
    return result


def _median(rows: list[dict[str, Any]], kind: str) -> float:
    return statistics.median(row[kind] for row in rows)


def _ratio(over: list[dict[str, Any]], under: list[dict[str, Any]], kind: str) -> float:
    return statistics.median(a[kind] / b[kind] for a, b in zip(over, under, strict=True))


def show(name: str, row: dict[str, Any]) -> None:
    """A pair in words."""
    print(f"\n{name} {row['version']} (torch {row['torch']})")
    for task in TASKS:
        for kind in ("wall", "cpu"):
            one = row[task][kind]
            print(
                f"  {task:6} {kind:4} ours {one['ours_s']:.4f} s, theirs {one['theirs_s']:.4f} s: "
                f"{one['ratio']:.2f} x; over a dense encode: ours {one['over_dense']:.2f}, "
                f"theirs {one['theirs_over_dense']:.2f}"
            )
    print(f"  memory above the start: {row['peak_mb']}")
    for side in ("ours", "theirs"):
        print(f"  loss {side:6}", " ".join(f"{each:.4f}" for each in row["curves"][side]))
    print(f"  largest relative difference {row['largest_relative_difference']:.2e}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--setup", action="store_true", help="make the environments (PyPI)")
    parser.add_argument("--envs", type=Path, default=Path(".peers"))
    parser.add_argument("--only", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--fused", action="store_true", help="give the peers torch's fused Adam")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--warm", type=int, default=2)
    parser.add_argument("--d", type=int, default=768)
    parser.add_argument("--latents", type=int, default=16_384)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.setup:
        dictionary_formats.set_up(options.envs)
    rows: dict[str, Any] = {}
    missing = []
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options)
        for name in options.only:
            python = dictionary_formats.environment(options.envs, name.removesuffix("_sparse"))
            if python is None:
                missing.append(name)
                print(f"\n{name}: no environment in {options.envs} (--setup makes it)")
                continue
            rows[name] = pair(python, name, Path(folder), options)
            show(name, rows[name])
            if options.json:
                write(options, rows)
    for name, reach in REACHES.items():
        if name in rows:
            ratio = rows[name]["step"]["wall"]["ratio"]
            print(f"{name}: {ratio:.2f} x, {'reached' if ratio >= reach else 'below'} {reach}")
    return 1 if missing else 0


def write(options: argparse.Namespace, rows: dict[str, Any]) -> None:
    """What was measured so far."""
    plain = {k: v for k, v in vars(options).items() if k not in ("json", "envs", "only", "setup")}
    data = {
        "machine": {**peers.machine(), "threads": options.threads}, "options": plain,
        "load": os.getloadavg()[0], "rows": rows, "reaches": REACHES, "over_dense": OVER_DENSE,
    }  # fmt: skip
    options.json.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
