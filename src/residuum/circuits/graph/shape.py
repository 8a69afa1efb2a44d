"""The shape of a model as far as it decides which edges there are, and what a graph leaves out.

>>> shape = GraphShape(n_layers=2, n_heads=4, n_kv_heads=2, without_mlp=(1,))
>>> [str(each) for each in shape.senders if each.name == "mlp_out"]
['L0.mlp_out']
>>> str(shape)
'2 layers x 4 heads (2 key/value heads), no MLP in layer 1'
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from residuum.circuits.graph.nodes import HEAD_RECEIVERS, KEYS_VALUES, inputs_of, reaches
from residuum.core import Address, OptionError, StoreError

_LATE = ("logits", "q_in", "mlp_in", "mlp_pre")
_COUNTS = ("n_layers", "n_heads", "n_kv_heads")
_LISTS = ("parallel", "without_mlp")


@dataclass(frozen=True)
class GraphShape:
    """What of a model decides which edges there are.

    Attributes:
        n_layers, n_heads, n_kv_heads: layers, and query and key/value heads of each.
        parallel: layers whose MLP reads the same stream as their attention.
        without_mlp: layers that have none.

    Raises:
        OptionError: numbers that no model has.
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    parallel: tuple[int, ...] = ()
    without_mlp: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        whole = all(type(getattr(self, name)) is int for name in _COUNTS)
        if not whole or self.n_layers < 1 or not 1 <= self.n_kv_heads <= self.n_heads:
            raise OptionError(f"no model has {asdict(self)}", mend="make it by graph_of(model)")
        for name in _LISTS:
            object.__setattr__(self, name, tuple(sorted(map(int, getattr(self, name)))))

    @property
    def group(self) -> int:
        """Query heads that share a key/value head."""
        return self.n_heads // self.n_kv_heads

    @cached_property
    def senders(self) -> tuple[Address, ...]:
        """Every head and MLP as a sender, in forward order."""
        found = [Address("embed")]
        for layer in range(self.n_layers):
            found += [Address("head_out", layer, head) for head in range(self.n_heads)]
            found += [Address("mlp_out", layer)] * (layer not in self.without_mlp)
        return tuple(found)

    @cached_property
    def receivers(self) -> tuple[Address, ...]:
        """Every head's inputs, every MLP, the logits."""
        found = []
        for layer in range(self.n_layers):
            for name in HEAD_RECEIVERS:
                heads = self.n_kv_heads if name in KEYS_VALUES else self.n_heads
                found += [Address(name, layer, head) for head in range(heads)]
            found += [Address("mlp_in", layer)] * (layer not in self.without_mlp)
        return (*found, Address("logits"))

    def reads_late(self, receiver: Address) -> bool:
        """Whether only what a receiver reads at the answer's token can matter."""
        return receiver.name in _LATE and receiver.layer in (None, self.n_layers - 1)

    def missing_node(self, senders: Iterable[Address], receivers: Iterable[Address]) -> str:
        """The first of these that no model of this shape has; empty if all are there."""
        for given, known in ((senders, set(self.senders)), (receivers, set(self.receivers))):
            for each in given:
                if (_whole(each) if is_finer(each) else each) not in known:
                    return str(each)
        return ""

    def left_out(
        self,
        senders: tuple[Address, ...],
        receivers: tuple[Address, ...],
        edges: np.ndarray,
        positions: tuple[str, ...],
    ) -> tuple[str, ...]:
        """Names of the model's edges that are not among these, in forward order.

        Args:
            senders, receivers: of a graph; its single neurons and latents count as the model's.
            edges: ``[edge 2]``, or ``[edge 3]`` with positions.
            positions: their names.
        """
        every_sender = _with(self.senders, [each for each in senders if is_finer(each)])
        inputs = [into for each in senders if is_finer(each) for into in inputs_of(each, 1)]
        every_receiver = _with(self.receivers, inputs)
        late_mlp = np.array([each.layer in self.parallel for each in every_receiver])
        there = reaches(every_sender, every_receiver, late_mlp)[..., None]
        there = np.repeat(there, max(1, len(positions)), axis=2)
        sending = _numbers(senders, every_sender)
        reading = _numbers(receivers, every_receiver)
        given = np.zeros_like(there)
        at = edges[:, 2] if positions else 0
        given[sending[edges[:, 0]], reading[edges[:, 1]], at] = True
        for index, receiver in enumerate(every_receiver):
            if self.reads_late(receiver):  # one position of it is read: which, the task says
                some = given[:, index].any(axis=1)
                there[:, index, 1:] = False
                given[:, index, 0] = some
        ends = [(every_sender[s], every_receiver[r], p) for s, r, p in np.argwhere(there & ~given)]
        ends.sort(key=lambda edge: reading_order(edge[1]))
        return tuple(
            f"{s} -> {r}" + (f" @{positions[p]}" if positions and not self.reads_late(r) else "")
            for s, r, p in ends
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @staticmethod
    def from_json(data: Any) -> GraphShape:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: keys missing or unknown, or values of another kind.
        """
        try:
            if not isinstance(data, Mapping) or set(data) != {*_COUNTS, *_LISTS}:
                raise ValueError("its keys")
            counts, lists = ([data[name] for name in names] for names in (_COUNTS, _LISTS))
            return GraphShape(*counts, *(tuple(each) for each in lists))
        except (TypeError, ValueError, OptionError) as error:
            raise StoreError(
                "the shape of a graph's model does not hold",
                mend="give what a graph's to_json() wrote",
            ) from error

    def __str__(self) -> str:
        shared = f" ({self.n_kv_heads} key/value heads)" * (self.group > 1)
        told = f"{self.n_layers} layers x {self.n_heads} heads{shared}"
        for layers, what in ((self.parallel, "parallel"), (self.without_mlp, "no MLP")):
            if len(layers) == self.n_layers:
                told += f", {what}"
            elif layers:
                word = "layer" if len(layers) == 1 else "layers"
                told += f", {what} in {word} {', '.join(map(str, layers))}"
        return told


def is_finer(node: Address) -> bool:
    """Whether a node is a single neuron or a dictionary's latent."""
    return node.dictionary is not None or node.name in ("mlp_act", "mlp_pre")


def reading_order(receiver: Address) -> tuple[float, str]:
    """Sorts receivers by layer."""
    return (receiver.layer if isinstance(receiver.layer, int) else np.inf, "")


def _whole(node: Address) -> Address:
    """The MLP that a neuron or latent is of, as a sender or receiver."""
    sends = node.name in ("mlp_act", "mlp_out")
    return Address("mlp_out" if sends else "mlp_in", node.layer)


def _with(these: tuple[Address, ...], more: Iterable[Address]) -> tuple[Address, ...]:
    return tuple(dict.fromkeys((*these, *more)))


def _numbers(some: tuple[Address, ...], every: tuple[Address, ...]) -> np.ndarray:
    at = {each: number for number, each in enumerate(every)}
    return np.array([at[each] for each in some], dtype=np.int64)
