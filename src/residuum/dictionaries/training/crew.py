"""Worker processes that share every batch of a training with this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from residuum.dictionaries.coding.batch_share import BatchShare, counts_among_largest, row_ranges
from residuum.dictionaries.coding.coder import SparseCoder
from residuum.dictionaries.coding.losses import Losses, added
from residuum.dictionaries.record.activations import BatchTopK
from residuum.dictionaries.training.share_worker import losses_from
from residuum.dictionaries.training.shared_tensors import (
    SharedTensors,
    open_memory,
    shared_places,
)
from residuum.dictionaries.training.state import TrainingState
from residuum.dictionaries.training.worker_processes import WorkerProcess


class Crew:
    """``n`` processes that share a batch: this one, the first, and the workers it starts.

    This process reads the stream, does all that needs the whole batch (start, cut, optimiser,
    resampling) and keeps; the workers make losses and gradients of their rows with the same
    parameters, which all map. Gradients are added up in the order of the workers, so that a
    training with as many processes and threads has the same bits each time.

    Args:
        states: the trainings; their parameters are moved into shared memory.
        batch_size: rows of a batch.
        n: processes, this one included.
    """

    def __init__(self, states: Sequence[TrainingState], batch_size: int, n: int) -> None:
        self._states, self._n = states, n
        self._threads = max(1, torch.get_num_threads() // n)
        self._places = shared_places(_wanted(states, batch_size, n))
        self._hands: list[WorkerProcess] = []

    def __enter__(self) -> Crew:
        memory = open_memory(self._places)
        try:
            self._room = SharedTensors(memory, self._places)
            self._move_in()
            told = self._told(memory)
            for worker in range(1, self._n):
                hand = WorkerProcess(worker, self._n)
                self._hands.append(hand)  # before it starts, so that an interrupt leaves none
                hand.start(told | {"worker": worker}, memory, self._threads)
            for hand in self._hands:
                hand.hear()
        except BaseException:
            self.stop()
            raise
        finally:
            os.close(memory)
        for index, state in enumerate(self._states):
            state.losses_by = partial(self._losses, index)
        return self

    def __exit__(self, *_: object) -> None:
        for state in self._states:
            state.losses_by = None
        self.stop()

    def stop(self) -> None:
        """End every worker."""
        while self._hands:
            self._hands.pop().stop()

    def hand_out(self, values: Tensor) -> None:
        """Put a batch ``[n site d]`` where the workers find it."""
        self._room["values"].copy_(values)

    def _move_in(self) -> None:
        for index, state in enumerate(self._states):
            places = self._room.below(f"{index}/parameter/")
            for name, each in state.coder.parameters().items():
                places[name].copy_(each.detach())
            state.coder.lie_in(places, {})

    def _told(self, memory: int) -> dict[str, Any]:
        coders = [
            {"plan": each.coder.plan.to_json(), "reads": each.reads, "writes": each.writes}
            for each in self._states
        ]
        return {
            "path": [str(each) for each in sys.path], "memory": memory, "places": self._places,
            "threads": self._threads, "precision": torch.get_float32_matmul_precision(),
            "coders": coders,
        }  # fmt: skip

    def _losses(
        self,
        index: int,
        coder: SparseCoder,
        inputs: Tensor,
        targets: Tensor,
        weights: Mapping[str, float],
    ) -> Losses:
        """Losses of the whole batch; its gradients are in the coder's parameters."""
        n = len(inputs)
        first, *others = row_ranges(n, self._n)
        self._room[f"{index}/dead"].copy_(coder.dead)
        order = {"coder": index, "whole": n, "scale": coder.scale, **weights}
        for hand, rows in zip(self._hands, others, strict=True):
            hand.order(order | {"rows": [rows.start, rows.stop]})
        mine = inputs[first]
        with _threads(self._threads):
            losses = coder.losses(
                mine, mine if targets is inputs else targets[first], weights=weights,
                share=BatchShare(n, partial(self._cut, index, n)),
            )  # fmt: skip
            losses.backward()
        parts = [losses]
        for hand in self._hands:
            own = self._room.below(f"{index}/{hand.worker}/")
            parts.append(losses_from(hand.hear(), own["fired"], own["target_sum"]))
            for name, each in coder.parameters().items():
                if each.grad is not None:
                    each.grad.add_(own[f"gradient/{name}"])
        return added(parts)

    def _cut(self, index: int, n: int, largest: Tensor) -> int:
        """How many of this process's entries are among the largest of all; workers are told."""
        activation = self._states[index].coder.plan.activation
        assert isinstance(activation, BatchTopK)
        parts = [largest]
        for hand in self._hands:
            there = self._room[f"{index}/{hand.worker}/largest"]
            parts.append(there[: hand.hear()["largest"]])
        own, *others = counts_among_largest(parts, activation.k * n)
        for hand, kept in zip(self._hands, others, strict=True):
            hand.order({"kept": kept})
        return own


def _wanted(
    states: Sequence[TrainingState], batch_size: int, n: int
) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Dtype and shape of everything that processes show each other."""
    wanted: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {}
    for index, state in enumerate(states):
        plan, own = state.coder.plan, state.coder.parameters()
        assert plan.writes is not None and plan.out_width is not None
        dtype = own["b_dec"].dtype
        wanted["values"] = (dtype, (batch_size, state.n_sites, plan.width))
        wanted[f"{index}/dead"] = (torch.bool, (plan.n_latents,))
        for name, each in own.items():
            wanted[f"{index}/parameter/{name}"] = (dtype, tuple(each.shape))
        for worker in range(1, n):
            place = f"{index}/{worker}/"
            wanted[f"{place}fired"] = (torch.bool, (plan.n_latents,))
            wanted[f"{place}target_sum"] = (dtype, (len(plan.writes), plan.out_width))
            if isinstance(plan.activation, BatchTopK):
                wanted[f"{place}largest"] = (dtype, (plan.activation.k * batch_size,))
            for name, each in own.items():
                wanted[f"{place}gradient/{name}"] = (dtype, tuple(each.shape))
    return wanted


@contextmanager
def _threads(n: int) -> Generator[None, None, None]:
    """So many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
