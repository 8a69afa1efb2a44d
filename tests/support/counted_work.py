"""A small Work whose blocks are known, for tests of executors; importable in worker processes."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from residuum.core import OptionError
from residuum.runs import Done, Model


@dataclass(frozen=True)
class CountedWork:
    """Block i runs one prompt of ids and returns its last logits, i in front.

    Attributes:
        journal: a folder; each block that is begun leaves a line in it, with its process.
        refuse: a block that raises an OptionError.
        fall: a block that raises an error that cannot be sent.
        kill: a block that kills its own process, as often as ``kills`` says.
        seconds: each block sleeps.
    """

    n_blocks: int
    journal: str = ""
    refuse: int = -1
    fall: int = -1
    kill: int = -1
    kills: int = 1
    seconds: float = 0.0
    name: str = "counting"

    def key(self) -> dict[str, Any]:
        return {"counted": self.n_blocks}

    def begin(self, model: Model) -> CountedWorker:
        base = model.run(torch.arange(4)[None]).last.double().numpy()
        return CountedWorker(self, model, base)

    def begun(self) -> list[tuple[int, int]]:
        """Blocks that were begun, in order, with the process that ran each."""
        path = Path(self.journal) / "begun"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(line.split()[0]), int(line.split()[1])) for line in lines]


class SecretError(Exception):
    """An error that cannot be made again from its arguments."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


@dataclass
class CountedWorker:
    work: CountedWork
    model: Model
    base: np.ndarray

    def block(self, index: int) -> Done:
        work = self.work
        if work.journal:
            with (Path(work.journal) / "begun").open("a") as file:
                file.write(f"{index} {os.getpid()}\n")
        time.sleep(work.seconds)
        if index == work.refuse:
            raise OptionError("block refused", mend="ask for another", where=f"block {index}")
        if index == work.fall:
            raise SecretError("quite", "broken")
        if index == work.kill and sum(i == index for i, _ in work.begun()) <= work.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        ids = torch.arange(index, index + 6)[None] % self.model.d_vocab
        values = self.model.run(ids).last.double().numpy() - self.base
        return Done(np.concatenate([[[float(index)]], values], axis=1), passes=1.0)
