"""The two halves of the sweep over heads are told apart."""

from __future__ import annotations

from residuum.core import SILENT
from residuum.findings.chain import where_stage


def test_a_sweep_says_what_it_is_for() -> None:
    heard: list[str] = []

    class Listener:
        def start(self, stage: str, total: int) -> None:
            heard.append(stage)

        def advance(self, steps: int = 1) -> None:
            SILENT.advance(steps)

        def finish(self) -> None:
            SILENT.finish()

    for purpose in ("choosing heads", "measuring heads"):
        where_stage._Named(Listener(), purpose).start("patching z", 3)
    assert heard == ["choosing heads, patching z", "measuring heads, patching z"]
