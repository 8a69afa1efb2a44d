"""Which edges of a compiled model can matter, and which do: the ground truth for circuits.

*Structural*: the writer's output weights meet the reader's input weights. *Zero-causal*,
*resample-causal*: taking away what the reader reads of the writer, or putting what the writer adds
on another prompt of the same length in its place, moves the output on some prompt. Every prompt,
and every pair of prompts that can differ, is tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from residuum.core import Address
from residuum.organisms.compiled.bare import POSITIONS, TOKENS, Bare

_MEETS = 1e-9
_ROWS = 4096
_FIGURES = 1e9
_SAME = 1e-12


@dataclass(frozen=True)
class Edges:
    """Edges with what their sender is made of.

    Attributes:
        ends: sender and receiver of each.
        split: whether tokens and positions are two senders; otherwise ``embed`` is both.
    """

    ends: tuple[tuple[Address, Address], ...]
    split: bool

    def pieces(self, sender: Address) -> tuple[Address, ...]:
        """The senders of the written-out model that this one stands for."""
        return (TOKENS, POSITIONS) if sender == TOKENS and not self.split else (sender,)


def structural(bare: Bare, edges: Edges) -> np.ndarray:
    """Bool ``[edge]``: whether anything that the writer can write is read by the reader."""
    return np.array(
        [
            any(
                bool(((bare.reads(receiver) @ bare.writes(piece)).abs() > _MEETS).any())
                for piece in edges.pieces(sender)
            )
            for sender, receiver in edges.ends
        ]
    )


def zero_effects(bare: Bare, edges: Edges, ids: Tensor) -> np.ndarray:
    """Float64 ``[edge]``: the largest change of a logit, over prompts ``[row pos]``, without it.

    The first token's own logits do not count.
    """
    with torch.no_grad():
        whole, sent = bare.logits(ids), bare.sent(ids)
        return np.array(
            [
                _moved(whole, bare.logits(ids, receiver, -_value(sent, edges, sender)))
                for sender, receiver in edges.ends
            ]
        )


def resample_causal(bare: Bare, edges: Edges, ids: Tensor, threshold: float) -> np.ndarray:
    """Bool ``[edge]``: whether some other prompt's value moves a logit by more than a threshold.

    Args:
        ids: all prompts ``[row pos]`` of one length, of which each takes every other's value.
        threshold: in logits.
    """
    with torch.no_grad():
        whole, sent = bare.logits(ids), bare.sent(ids)
        return np.array(
            [
                _resample_moves(
                    bare, ids, whole, _value(sent, edges, sender), _stream(sent, receiver),
                    receiver, threshold,
                )
                for sender, receiver in edges.ends
            ]
        )  # fmt: skip


def _resample_moves(
    bare: Bare,
    ids: Tensor,
    whole: Tensor,
    value: Tensor,
    stream: Tensor,
    receiver: Address,
    threshold: float,
) -> bool:
    """Try every pair of prompts whose values the reader can tell apart, until one moves.

    Pairs in which the receiver's head or MLP answers as before are not run to the end.
    """
    before = bare.answer(receiver, stream, torch.zeros_like(stream))
    for rows, others in _pairs(value @ bare.reads(receiver).T):
        change = value[others] - value[rows]
        answer = bare.answer(receiver, stream[rows], change)
        new = (answer - before[rows]).abs().amax((1, 2)) > _SAME
        if bool(new.any()):
            rows, change = rows[new], change[new]
            if _moved(whole[rows], bare.logits(ids[rows], receiver, change)) > threshold:
                return True
    return False


def _pairs(seen: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and other rows, some at a time: one of each kind of value ``[row pos any]`` seen."""
    flat = (seen.flatten(1) * _FIGURES).round()
    _, kinds = torch.unique(flat, dim=0, return_inverse=True)
    first = torch.tensor(
        [int((kinds == kind).nonzero()[0]) for kind in range(int(kinds.max()) + 1)]
    )
    if len(first) == 1:
        return
    every = torch.cartesian_prod(torch.arange(len(seen)), first)
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(0))
    for some in order.split(_ROWS):
        yield every[some, 0], every[some, 1]


def _stream(sent: dict[Address, Tensor], receiver: Address) -> Tensor:
    """What the receiver reads: the sum of all that was sent before."""
    return torch.stack([sent[each] for each in sent if _comes_before(each, receiver)]).sum(0)


def _comes_before(sender: Address, receiver: Address) -> bool:
    if sender.layer is None or receiver.layer is None:
        return True
    return (sender.layer, sender.name == "mlp_out") < (receiver.layer, receiver.name == "mlp_in")  # type: ignore[operator]


def _value(sent: dict[Address, Tensor], edges: Edges, sender: Address) -> Tensor:
    return torch.stack([sent[piece] for piece in edges.pieces(sender)]).sum(0)


def _moved(before: Tensor, after: Tensor) -> float:
    return float((after - before)[:, 1:].abs().max())
