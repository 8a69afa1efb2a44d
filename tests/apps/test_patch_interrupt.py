"""Ctrl-C in the middle of a sweep: one line, and the same command goes on from there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

ARGUMENTS = [
    "patch", "microworld", "--task", "ioi", "--n", "8", "--site", "mlp_act",
    "--by", "layer,neuron", "--only", "layer=0,1", "--engine", "naive", "--json",
]  # fmt: skip

# The naive engine makes a run a cell. After 150 of them the model waits to be interrupted.
WAITING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from residuum.runs import Model

plain, done = Model.run, []

def run(self, *arguments, **options):
    if len(done) == 150:
        print("at work", file=sys.stderr, flush=True)
        time.sleep(60)
    done.append(1)
    return plain(self, *arguments, **options)

Model.run = run
from residuum.apps.cli import main
raise SystemExit(main(sys.argv[1:]))
"""

COUNTING = """
import sys
from residuum.runs import Model

plain, done = Model.run, []

def run(self, *arguments, **options):
    done.append(1)
    return plain(self, *arguments, **options)

Model.run = run
from residuum.apps.cli import main
code = main(sys.argv[1:])
print(len(done), file=sys.stderr)
raise SystemExit(code)
"""


def counted(*more: str) -> tuple[dict, int]:
    done = subprocess.run(
        [sys.executable, "-c", COUNTING, *ARGUMENTS, *more],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), int(done.stderr.splitlines()[-1])


def test_ctrl_c_keeps_what_was_finished(tmp_path: Path) -> None:
    keep = ("--keep", str(tmp_path / "kept"))
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, *ARGUMENTS, *keep],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any(line == "at work\n" for line in process.stderr)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and not out and "Traceback" not in err
    assert f"what was finished is in {keep[1]}" in err
    assert err.splitlines()[-1] == "residuum: interrupted"
    whole, runs = counted()
    resumed, rest = counted(*keep)
    assert runs > 1000 and runs - 150 <= rest <= runs - 140
    assert resumed["per_example"] == whole["per_example"]
    again, none = counted(*keep)
    assert none < 10 and again["per_example"] == whole["per_example"]
