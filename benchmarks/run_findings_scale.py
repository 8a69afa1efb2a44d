"""Whether every stage of a finding scales: GPT-2 small's shape, time and memory stage by stage.

Two models of 12 layers, 12 heads, width 768 and 50,257 tokens, made from the configuration alone:
one with random weights, which shows no behaviour, so that the chain must stop and say so; and
microworld's own model widened into that shape (:mod:`widened`), on whose behaviours every stage
runs. Each is investigated at ``quick`` in a process of its own. Time is that of the processor, so
that what else the machine does counts little. Memory is resident memory: the model as loaded, and
the highest during each stage.

    python benchmarks/run_findings_scale.py [--json FILE] [--task NAME]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import peers
import torch
from widened import LAYERS, widened_microworld

import residuum as rz

CORE = ("behaviour", "lens", "where", "parts", "roles")
MOST_SHARE = 0.4
"""Share of the whole time that one stage should not exceed."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--task", default="ioi")
    parser.add_argument("--pairs", type=int, default=64, help="of which half chooses parts")
    parser.add_argument("--model", choices=("random", "widened"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.model:
        print(json.dumps(_measured(options.model, options.task, options.pairs)))
        return 0
    results: dict[str, Any] = {
        "machine": peers.machine(), "threads": torch.get_num_threads(), "runs": {}
    }  # fmt: skip
    for name in ("random", "widened"):
        command = [sys.executable, __file__, "--model", name, "--task", options.task,
                   "--pairs", str(options.pairs)]  # fmt: skip
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        results["runs"][name] = found = json.loads(done.stdout.splitlines()[-1])
        _tell(name, found)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def _tell(name: str, found: dict[str, Any]) -> None:
    print(f"{name}: {found['status']}, {found['seconds']:.0f} s, model {found['model']:.0f} MB, "
          f"peak {found['peak']:.0f} MB", flush=True)  # fmt: skip
    print(f"  {found['claim']}")
    for stage in found["stages"]:
        share = stage["cpu"] / sum(each["cpu"] for each in found["stages"])
        flag = f"  over {MOST_SHARE:.0%}" if share > MOST_SHARE else ""
        print(f"  {stage['name']:12} {stage['cpu']:7.1f} s CPU {share:5.0%} "
              f"{stage['peak']:7.0f} MB{flag}", flush=True)  # fmt: skip


class _Watch:
    """A listener of progress that notes when each stage begins, and the memory of the one before.

    The first word of what it is told is the stage's number: ``3/12 patching``.
    """

    def __init__(self, stages: tuple[str, ...]) -> None:
        self.stages, self.found, self._at = stages, [], -1
        self._began, self._spent = time.perf_counter(), time.process_time()

    def start(self, stage: str, total: int) -> None:
        at = int(stage.split("/")[0]) - 1
        if at != self._at:
            self.over()
            self._at = at

    def advance(self, steps: int = 1) -> None:
        """Steps are not counted."""

    def finish(self) -> None:
        """The end of a part of a stage is not the end of the stage."""

    def over(self) -> None:
        """The stage under way, if there is one, is over."""
        now, spent = time.perf_counter(), time.process_time()
        if self._at >= 0:
            stage = {"name": self.stages[self._at], "seconds": now - self._began,
                     "cpu": spent - self._spent, "peak": _memory("VmHWM")}  # fmt: skip
            self.found.append(stage)
            if os.environ.get("SCALE_TELL"):
                print(stage, file=sys.stderr, flush=True)
        Path("/proc/self/clear_refs").write_text("5")
        self._began, self._spent = now, spent


def _measured(name: str, task: str, pairs: int) -> dict[str, Any]:
    model = widened_microworld() if name == "widened" else _random_model()
    stages = (*CORE, *_further())
    before, start, watch = _memory("VmRSS"), time.perf_counter(), _Watch(stages)
    finding = rz.investigate(model, rz.task(task, model, n=pairs), progress=watch)
    seconds = time.perf_counter() - start
    watch.over()
    return {
        "task": task,
        "pairs": pairs,
        "weights": sum(each.numel() for each in model.hf.parameters()),
        "layers": list(LAYERS) if name == "widened" else [],
        "status": finding.status,
        "claim": finding.claim,
        "components": list(finding.components),
        "seconds": seconds,
        "model": before,
        "peak": max(each["peak"] for each in watch.found),
        "stages": watch.found,
    }


def _further() -> tuple[str, ...]:
    from residuum.findings.chain.further import FURTHER

    return tuple(each.name for each in FURTHER)


def _random_model() -> Any:
    words = rz.load("microworld").tokenizer
    model = rz.load(peers.gpt2_small_shape(), tokenizer=words)
    model.adapted.model_id = "random weights in GPT-2 small's shape"
    return model


def _memory(name: str) -> float:
    """A line of the process's status, MB."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main())
