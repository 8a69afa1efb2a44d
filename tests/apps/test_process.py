"""The command line as a process of its own: fast help, quiet, exit codes, Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "residuum", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


def test_help_names_every_command() -> None:
    done = start("--help")
    assert done.returncode == 0 and not done.stderr
    for name in ("investigate", "replay", "run", "lens", "patch", "tasks", "models", "doctor"):
        assert name in done.stdout


def test_help_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, time; began = time.perf_counter(); from residuum.apps.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "took = time.perf_counter() - began\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pandas', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert took < 0.6, took\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["run", "doctor", "investigate", "tasks", "models"])
def test_help_of_a_command(command: str) -> None:
    done = start(command, "--help")
    assert done.returncode == 0 and "--json" in done.stdout and not done.stderr


def test_bad_input_in_a_process() -> None:
    done = start("run", "microworld", "Mary", "--edit", "zero L9.z")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.splitlines()[0].startswith("residuum: layer 9 is out of range")
    assert len(done.stderr.splitlines()) == 2


def test_json_alone_on_standard_output_and_nothing_beside_it() -> None:
    done = start("run", "microworld", "Mary went to the store", "--json")
    assert done.returncode == 0 and done.stdout.startswith("{") and not done.stderr


# A test run started in the background has SIGINT ignored, and its children inherit that.
LONG_WORK = """
import signal, sys, time
import residuum.findings
signal.signal(signal.SIGINT, signal.default_int_handler)

def investigate(*args, **options):
    print("at work", file=sys.stderr, flush=True)
    time.sleep(60)

residuum.findings.investigate = investigate
from residuum.apps.cli import main
raise SystemExit(main(["investigate", "--model", "microworld", "--task", "ioi"]))
"""


def test_ctrl_c_is_one_line() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LONG_WORK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "at work\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "residuum: interrupted" and "Traceback" not in err
