"""Ctrl-C while the commands are still being imported."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "residuum.apps.cli.main":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
import residuum.apps.cli
"""


def test_ctrl_c_during_imports_is_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert done.stderr == "residuum: interrupted\n"
