"""Who reads which stream: receivers of a circuit with equal masks read the same one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residuum.circuits.engine.order import Order
from residuum.circuits.engine.states import States

SLOTS = ("q", "k", "v")


@dataclass(frozen=True, eq=False)
class Readers:
    """Streams that some circuits' heads read in one layer.

    Attributes:
        receivers: ``[circuit stream]``, for each stream a receiver that reads it.
        streams: slot -> ``[circuit head]`` the number of its stream, -1 where its input is known.
    """

    receivers: np.ndarray
    streams: dict[str, np.ndarray]

    def alike(self, slot: str) -> list[tuple[np.ndarray, np.ndarray, list[int]]]:
        """Heads that read the same streams in the same circuits: circuits, streams, heads."""
        numbers = self.streams[slot]
        found: dict[bytes, list[int]] = {}
        for head in range(numbers.shape[1]):
            if (numbers[:, head] >= 0).any():
                found.setdefault(numbers[:, head].tobytes(), []).append(head)
        made = []
        for heads in found.values():
            mine = numbers[:, heads[0]]
            circuits = np.flatnonzero(mine >= 0)
            made.append((circuits, mine[circuits], heads))
        return made


def readers_of(
    order: Order, states: States, marks: np.ndarray | None, layer: int, rows: np.ndarray
) -> Readers | None:
    """The streams to make for a layer's heads in some circuits; None if all inputs are known.

    Args:
        marks: bool ``[circuit receiver sender position]``, the edges that are kept; None where
            every receiver must have a stream of its own.
    """
    before = order.before_attention(layer)
    own = states.own_in[rows]
    found: list[dict[bytes, int]] = [{} for _ in rows]
    first: list[list[int]] = [[] for _ in rows]
    streams: dict[str, np.ndarray] = {}
    for slot in SLOTS:
        at = order.reading(layer, slot)
        numbers = np.full((len(rows), at.stop - at.start), -1)
        for row, head in np.argwhere(own[:, at]):
            receiver, circuit = at.start + int(head), int(rows[row])
            key = receiver.to_bytes(4, "little")
            if marks is not None:
                unlike = states.changed[circuit, :before, None]
                key = (marks[circuit, receiver, :before] & unlike).tobytes()
            if key not in found[row]:
                found[row][key] = len(first[row])
                first[row].append(receiver)
            numbers[row, head] = found[row][key]
        streams[slot] = numbers
    most = max(map(len, first))
    if not most:
        return None
    filler = order.reading(layer, "q").start
    padded = [each + (each or [filler])[:1] * (most - len(each)) for each in first]
    return Readers(np.array(padded), streams)
