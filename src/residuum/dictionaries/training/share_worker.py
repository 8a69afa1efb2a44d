"""What runs inside a worker process: its rows of every batch, losses and gradients, no more.

Started with :data:`START` by ``Crew`` as a plain Python that never imports the user's script.
Orders come in on stdin and answers go out on stdout, one line of JSON each; tensors lie in memory
that all processes map. It ends when nobody gives orders any more.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from typing import IO, Any

import torch
from torch import Tensor

from residuum.core import ResiduumError
from residuum.dictionaries.coding.batch_share import BatchShare
from residuum.dictionaries.coding.coder import SparseCoder
from residuum.dictionaries.coding.losses import SUMMED, Losses, no_backward
from residuum.dictionaries.coding.plan import CoderPlan
from residuum.dictionaries.training.shared_tensors import SharedTensors

START = (
    "import json, os, sys; out = os.dup(1); os.dup2(2, 1); "  # no print gets between the answers
    "told = json.loads(sys.stdin.buffer.readline()); sys.path[:] = told['path']; "
    "from residuum.dictionaries.training.share_worker import serve; serve(told, out)"
)


def serve(told: Mapping[str, Any], out: int) -> None:
    """Answer orders until nobody gives any.

    Args:
        told: what ``Crew`` says first: coders, places of the shared tensors, threads.
        out: file descriptor for the answers.
    """
    line = _Line(os.fdopen(out, "wb"))
    try:
        torch.set_num_threads(told["threads"])
        torch.set_float32_matmul_precision(told["precision"])
        room = SharedTensors(told["memory"], told["places"])
        parts = [_Part(i, told["worker"], each, room) for i, each in enumerate(told["coders"])]
        line.tell({"ready": True})
        while True:
            order = line.hear()
            line.tell(parts[order["coder"]].work(order, line))
    except BaseException as error:
        line.tell({"raised": _raised(error)})
    finally:
        os._exit(1)


class _Line:
    """To the process that gives orders; when that is gone, so is this one."""

    def __init__(self, answers: IO[bytes]) -> None:
        self._answers = answers

    def hear(self) -> dict[str, Any]:
        """The next order."""
        line = sys.stdin.buffer.readline()
        if not line.endswith(b"\n"):
            os._exit(1)
        return json.loads(line)

    def tell(self, answer: dict[str, Any]) -> None:
        """Answer."""
        try:
            self._answers.write(json.dumps(answer).encode() + b"\n")
            self._answers.flush()
        except OSError:
            os._exit(1)


class _Part:
    """One coder's part of the work: parameters are shared, gradients are this worker's."""

    def __init__(
        self, index: int, worker: int, told: Mapping[str, Any], room: SharedTensors
    ) -> None:
        self._values, self._dead = room["values"], room[f"{index}/dead"]
        self._reads, self._writes = told["reads"], told["writes"]
        own = f"{index}/{worker}/"
        self._gradients, self._own = room.below(f"{own}gradient/"), room.below(own)
        self._coder = SparseCoder(CoderPlan.from_json(told["plan"]), dtype=self._values.dtype)
        self._coder.lie_in(room.below(f"{index}/parameter/"), self._gradients)

    def work(self, order: Mapping[str, Any], line: _Line) -> dict[str, Any]:
        """Losses of the rows that an order names; gradients are put where they are awaited."""

        def cut(largest: Tensor) -> int:
            self._own["largest"][: len(largest)].copy_(largest)
            line.tell({"largest": len(largest)})
            return line.hear()["kept"]

        values = self._values[slice(*order["rows"])]
        inputs = values[:, self._reads]
        targets = inputs if self._reads == self._writes else values[:, self._writes]
        coder, parameters = self._coder, self._coder.parameters()
        for each in parameters.values():
            each.grad = None
        coder.scale = order["scale"]
        losses = coder.losses(
            inputs, targets, weights={"penalty": order["penalty"]}, dead=self._dead,
            share=BatchShare(order["whole"], cut),
        )  # fmt: skip
        losses.backward()
        for name, each in parameters.items():
            if each.grad is not None and each.grad is not self._gradients[name]:
                self._gradients[name].copy_(each.grad)
        self._own["fired"].copy_(losses.fired)
        self._own["target_sum"].copy_(losses.target_sum)
        return told_losses(losses)


def told_losses(losses: Losses) -> dict[str, Any]:
    """The numbers of losses as plain data."""
    return {
        **{name: float(getattr(losses, name)) for name in SUMMED},
        "n": losses.n,
        "least": losses.least,
    }


def losses_from(told: Mapping[str, Any], fired: Tensor, target_sum: Tensor) -> Losses:
    """What :func:`told_losses` told, with the tensors that lie in shared memory."""
    return Losses(
        **{name: torch.tensor(told[name], dtype=torch.float64) for name in SUMMED},
        fired=fired.clone(),
        n=told["n"],
        target_sum=target_sum.clone(),
        least=told["least"],
        run_backward=no_backward,
    )


def _raised(error: BaseException) -> dict[str, str]:
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, ResiduumError):
        own = {"what": error.what, "mend": error.mend, "where": error.where}
        return {"kind": type(error).__name__, "trace": trace, **own}
    return {"kind": "", "what": f"{type(error).__name__}: {error}", "trace": trace}
