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

from residuum.core import OptionError, Patch
from residuum.runs import Done, Model, Run


@dataclass(frozen=True)
class CountedWork:
    """Block i runs one prompt of ids and returns its last logits, i in front.

    Attributes:
        journal: a folder; each block that is begun leaves a line in it, with its process.
        refuse: a block that raises an OptionError; -2 refuses to begin.
        fall: a block that raises an error that cannot be sent; -2 one that can, a KeyError.
        kill: a block that kills its own process, as often as ``kills`` says; -2 kills at the start.
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
        if self.kill == -2:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.refuse == -2:
            raise OptionError("no beginning", mend="ask for another")
        print("what a model prints does no harm", flush=True)
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
        if work.fall == -2:
            raise KeyError("no such thing")
        if index == work.fall:
            raise SecretError("quite", "broken")
        if index == work.kill and sum(i == index for i, _ in work.begun()) <= work.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        ids = torch.arange(index, index + 6)[None] % self.model.d_vocab
        values = self.model.run(ids).last.double().numpy() - self.base
        return Done(np.concatenate([[[float(index)]], values], axis=1), passes=1.0)


@dataclass(frozen=True)
class PatchingWork:
    """Block i patches every head of layer i, clean into corrupt, one whole pass each."""

    clean: torch.Tensor
    corrupt: torch.Tensor
    n_blocks: int
    name: str = "patching z"

    def key(self) -> dict[str, Any]:
        return {"clean": self.clean.tolist(), "corrupt": self.corrupt.tolist()}

    def begin(self, model: Model) -> PatchingWorker:
        donor = model.run(self.clean, capture=[f"L{i}.z" for i in range(self.n_blocks)])
        return PatchingWorker(self, model, donor)


@dataclass
class PatchingWorker:
    work: PatchingWork
    model: Model
    donor: Run

    def block(self, index: int) -> Done:
        heads = [f"L{index}.z[H{head}]" for head in range(self.model.n_heads)]
        runs = [self.model.run(self.work.corrupt, edits=Patch(at, self.donor)) for at in heads]
        return Done(torch.stack([run.last for run in runs]).double().numpy(), len(runs))
