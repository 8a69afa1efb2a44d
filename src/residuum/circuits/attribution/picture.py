"""An attribution graph as a layered picture: layers × tokens."""

from __future__ import annotations

import numpy as np

from residuum.circuits.attribution.nodes import GraphNode
from residuum.circuits.attribution.tables import Drawn
from residuum.figures import HeatMap


def graph_picture(graph: Drawn) -> HeatMap:
    """Influence of what pruning kept in each layer at each token, targets on top.

    A cell names its strongest feature and how many more there are; ``e`` is an error.
    """
    layers = sorted({each.layer for each in graph.all_nodes if each.layer is not None})
    rows: dict[int | str, int] = {"logit": 0}
    rows |= {layer: i for i, layer in enumerate(reversed(layers), 1)}
    rows["token"] = len(layers) + 1
    values = np.full((len(rows), len(graph.tokens)), np.nan)
    cells: dict[tuple[int, int], list[int]] = {}
    for i in np.flatnonzero(graph.kept).tolist():
        node = graph.all_nodes[i]
        row = rows[node.kind] if node.layer is None else rows[node.layer]
        cells.setdefault((row, node.pos), []).append(int(i))
        own = node.share if node.kind == "logit" else graph.influence[i]
        values[row, node.pos] = np.nan_to_num(values[row, node.pos]) + own
    texts = [["" for _ in graph.tokens] for _ in rows]
    for (row, pos), members in cells.items():
        order = sorted(members, key=lambda i: -graph.influence[i])
        texts[row][pos] = _words([graph.all_nodes[i] for i in order])
    labels = ["logits", *(f"L{layer}" for layer in reversed(layers)), "tokens"]
    return HeatMap(
        values, row_labels=labels, col_labels=list(graph.tokens), scale="sequential",
        unit="share of paths", cell_text=texts, x="token", y="layer",
        title=f"What leads to {_targets(graph)}",
        caption="Share of all paths to the targets, by strength, through the kept nodes of a cell; "
        "F: strongest feature, e: error. A path crosses several layers, so cells do not sum to 1.",
        does_not_show="Edges and their signs (graph.edges); why heads attend where they do.",
    )  # fmt: skip


def _words(members: list[GraphNode]) -> str:
    features = [each for each in members if each.kind == "feature"]
    if not features:
        return "e" if members[0].kind == "error" else members[0].words
    more = f" +{len(features) - 1}" if len(features) > 1 else ""
    error = " e" if len(features) < len(members) else ""
    return f"F{features[0].index}{more}{error}"


def _targets(graph: Drawn) -> str:
    return ", ".join(each.words for each in graph.all_nodes if each.kind == "logit")
