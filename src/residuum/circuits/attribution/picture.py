"""An attribution graph as a layered picture: tokens below, layers above them, targets on top."""

from __future__ import annotations

import numpy as np

from residuum.circuits.attribution.drawn_edges import flow_of, grown, replaced
from residuum.circuits.attribution.nodes import GraphNode
from residuum.circuits.attribution.tables import Drawn
from residuum.core import OptionError
from residuum.figures import Box, LayeredGraph, Link, Measured

MOST_LINKS = 120
"""Edges that a page holds; of more, those that the most paths take."""

MOST_SHOWN = 60
"""Edges drawn at first, and on paper: of more nothing can be seen."""

_LONGEST, _LISTED = 14, 12
_ABREAST, _FEW = 3, 6
"""Boxes side by side at a token, where there are few tokens; else two."""
_NOT_SHOWN = (
    "that the model computes by these features (graph.test tries that); why heads attend where "
    "they do."
)


def graph_picture(graph: Drawn, title: str, shown: int | None) -> LayeredGraph:
    """What pruning kept, drawn from the targets downward.

    Args:
        graph: with a kept edge or more.
        title: of the figure; empty for one that names the targets.
        shown: edges drawn at first; None for no more than can be told apart.

    Raises:
        OptionError: no edge was kept; no number of edges.
    """
    flow = flow_of(graph.strengths, graph.influence, graph.shares)
    edges = grown(flow, graph.kept_edges, np.flatnonzero(graph.shares > 0), MOST_LINKS)
    first = _first(len(edges), shown)
    nodes = sorted(np.unique(edges).tolist(), key=lambda i: _place(graph.all_nodes[i]))
    number = {node: at for at, node in enumerate(nodes)}
    tokens = graph.of_kind("token")
    score = replaced(graph.strengths, graph.shares, tokens, edges)
    boxes, rows = _boxes([graph.all_nodes[i] for i in nodes])
    return LayeredGraph(
        boxes,
        [
            Link(
                number[source], number[target],
                float(np.copysign(flow[target, source], graph.weights[target, source])),
                note=f"weight {graph.weights[target, source]:+.3g}",
            )
            for target, source in edges.tolist()
        ],
        rows,
        shown=first,
        total=int(graph.kept_edges.sum()),
        unit="share of paths",
        measured=Measured("replacement", np.arange(1.0, 1 + len(edges)), score),
        title=title or f"What leads to {_targets(graph)}",
        caption=_caption(graph, edges, first),
        does_not_show=_NOT_SHOWN,
    )  # fmt: skip


def _first(n: int, shown: int | None) -> int:
    if not n:
        raise OptionError(
            "pruning kept no edge, so there is nothing to draw",
            mend="make the graph with larger thresholds, or read graph.to_dataframe('nodes')",
        )
    if shown is not None and (type(shown) is not int or shown < 1):
        raise OptionError(f"shown={shown!r:.40} is no number of edges", mend="give 1 or more")
    return min(n, shown or MOST_SHOWN)


def _place(node: GraphNode) -> tuple[float, ...]:
    """Sort key: level, token, then latent; of targets the weightiest last, on top."""
    return _level(node), node.pos, node.share, node.index or 0


def _level(node: GraphNode) -> int:
    """Tokens below all; of a layer features, then errors; logits on top, each on its own."""
    if node.layer is not None:
        return 1 + 2 * node.layer + (node.kind == "error")
    return 0 if node.kind == "token" else 10**6


def _boxes(nodes: list[GraphNode]) -> tuple[list[Box], list[str]]:
    """A box for each node, tokens side by side, and the rows' labels.

    Where a cell holds more than fit side by side, it takes several rows.
    """
    lanes = sorted({each.pos for each in nodes})
    boxes, rows = [], []
    for level in sorted(set(map(_level, nodes))):
        own = [each for each in nodes if _level(each) == level]
        across = 1 if own[0].kind == "logit" else _ABREAST if len(lanes) <= _FEW else 2
        inside = dict.fromkeys(lanes, 0)
        for node in own:
            row = len(rows) + inside[node.pos] // across
            boxes.append(Box(_name(node), _label(node), row, lanes.index(node.pos)))
            inside[node.pos] += 1
        rows += [_row_label(own[0]), *[""] * ((max(inside.values()) - 1) // across)]
    return boxes, rows


def _row_label(node: GraphNode) -> str:
    named = {"token": "tokens", "feature": f"L{node.layer}", "error": "errors", "logit": "answer"}
    return named[node.kind]


def _name(node: GraphNode) -> str:
    told = f" ({node.words})" if node.kind == "feature" and node.words else ""
    return f"{node.name}{told}"


def _label(node: GraphNode) -> str:
    if node.kind == "feature":
        return str(node.index)
    if node.kind == "error":
        return "err"
    words = node.words.replace("' - '", "−").replace("'", "").strip() or node.words
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"


def _targets(graph: Drawn) -> str:
    return ", ".join(each.words for each in graph.all_nodes if each.kind == "logit")


def _positions(graph: Drawn, edges: np.ndarray) -> list[int]:
    return sorted({graph.all_nodes[i].pos for i in edges.ravel().tolist()})


def _caption(graph: Drawn, edges: np.ndarray, first: int) -> str:
    whole, left, total = graph.scores, graph.pruned_scores, int(graph.kept_edges.sum())
    tokens = [graph.tokens[pos] for pos in _positions(graph, edges)]
    told = [
        f"Tokens from left to right ({', '.join(tokens[:_LISTED])}"
        f"{', …' if len(tokens) > _LISTED else ''}), layers from bottom to top; numbers: features,"
        " err: what that layer's transcoder does not rebuild at that token. Width: share of all"
        " paths to the answer that take the edge. Blue adds to what it leads to, orange and dashed"
        " takes away.",
        f"Whole graph: replacement {whole.replacement:.2f}, completeness {whole.completeness:.2f};"
        f" what pruning kept: {left.replacement:.2f} and {left.completeness:.2f}.",
    ]
    if total > first:
        told.append(f"Drawn at first: {first:,} of the {total:,} edges that pruning kept.")
    if total > len(edges):
        told.append(f"The picture holds {len(edges):,}.")
    return " ".join(told)
