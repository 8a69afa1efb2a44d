"""Who reads which stream: receivers of a circuit with equal masks read the same one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from residuum.circuits.engine.states import States

SLOTS = ("q", "k", "v")


@dataclass(frozen=True, eq=False)
class Readers:
    """Streams that some circuits' parts read at one place.

    Attributes:
        receivers: ``[circuit stream]``, for each stream a receiver that reads it.
        streams: slot -> ``[circuit part]`` the number of its stream, -1 where its input is known.
    """

    receivers: np.ndarray
    streams: dict[str, np.ndarray]

    def alike(self, slot: str) -> list[tuple[np.ndarray, np.ndarray, list[int]]]:
        """Parts that read the same streams in the same circuits: circuits, streams, parts."""
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
    states: States,
    marks: np.ndarray | None,
    slots: Mapping[str, slice],
    before: int,
    rows: np.ndarray,
) -> Readers | None:
    """The streams to make for some receivers in some circuits; None if all inputs are known.

    Args:
        marks: bool ``[circuit receiver sender position]``, the edges that are kept; None where
            every receiver must have a stream of its own.
        slots: name -> receivers, that all read the same place.
        before: how many senders are in the stream there.
    """
    own = states.own_in[rows]
    found: list[dict[bytes, int]] = [{} for _ in rows]
    first: list[list[int]] = [[] for _ in rows]
    streams: dict[str, np.ndarray] = {}
    for slot, at in slots.items():
        numbers = np.full((len(rows), at.stop - at.start), -1)
        for row, part in np.argwhere(own[:, at]):
            receiver, circuit = at.start + int(part), int(rows[row])
            key = receiver.to_bytes(4, "little")
            if marks is not None:
                unlike = states.changed[circuit, :before, None]
                key = (marks[circuit, receiver, :before] & unlike).tobytes()
            if key not in found[row]:
                found[row][key] = len(first[row])
                first[row].append(receiver)
            numbers[row, part] = found[row][key]
        streams[slot] = numbers
    most = max(map(len, first), default=0)
    if not most:
        return None
    filler = next(iter(slots.values())).start
    padded = [each + (each or [filler])[:1] * (most - len(each)) for each in first]
    return Readers(np.array(padded), streams)
