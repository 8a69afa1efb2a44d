"""Nodes and edges of an attribution graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from residuum.core import Address, OptionError, StoreError

Kind = Literal["feature", "error", "token", "logit"]
KINDS: tuple[Kind, ...] = ("feature", "error", "token", "logit")


@dataclass(frozen=True)
class GraphNode:
    """One node.

    Attributes:
        kind: ``feature`` (an active latent), ``error`` (what the transcoders do not rebuild of an
            MLP's output), ``token`` (the stream before the first block), ``logit``.
        at: its place; of a logit ``logits`` at the last token.
        layer: of a feature or an error, else None.
        pos: its token.
        index: of the latent, or of the token in the vocabulary; None for errors.
        value: activation; length of the error or the embedding; centred logit.
        words: label of a feature, token as text.
        share: of a logit, its weight in influence; else 0.
        probability: of a logit's token; else None.
    """

    kind: Kind
    at: Address
    layer: int | None
    pos: int
    index: int | None
    value: float
    words: str = ""
    share: float = 0.0
    probability: float | None = None

    @property
    def name(self) -> str:
        """Its address, and what tells it from others there."""
        if self.kind == "feature":
            return str(self.at)
        if self.kind == "error":
            return f"error {self.at}"
        return f"{self.at} {self.words}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        own = {name: getattr(self, name) for name in _PLAIN}
        return {**own, "at": str(self.at)}

    @staticmethod
    def from_json(data: dict[str, Any]) -> GraphNode:
        """Read what :meth:`to_json` wrote.

        Raises:
            StoreError: other keys, or no such kind.
        """
        if set(data) != {*_PLAIN, "at"} or data["kind"] not in KINDS:
            raise StoreError(
                "this is no node of an attribution graph", mend="give what graph.save(...) wrote"
            )
        return GraphNode(**{**data, "at": Address.parse(data["at"])})


_PLAIN = ("kind", "layer", "pos", "index", "value", "words", "share", "probability")


@dataclass(frozen=True)
class GraphEdge:
    """One edge: what the source's presence adds, linearly, to the target.

    Attributes:
        source, target: numbers of the nodes among all nodes.
        weight: part of the target's pre-activation or centred logit, in its unit.
    """

    source: int
    target: int
    weight: float


def index_of(nodes: Sequence[GraphNode], name: str) -> int:
    """Number of the node of a name.

    Raises:
        OptionError: no node has this name.
    """
    names = [each.name for each in nodes]
    if name in names:
        return names.index(name)
    raise OptionError(
        f"no node is called {name!r:.60}",
        mend=f"names are such as {names[0]!r}; see graph.to_dataframe('nodes')",
    )
