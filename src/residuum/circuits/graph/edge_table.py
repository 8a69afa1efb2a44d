"""Edges as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from residuum.circuits.graph.graph import Graph

if TYPE_CHECKING:
    import pandas as pd


def edge_table(
    graph: Graph, edges: np.ndarray, values: np.ndarray | None, se: np.ndarray | None
) -> pd.DataFrame:
    """One row per edge: ``edge, sender, receiver, position``, and ``score, se`` if known.

    Args:
        graph: whose edges.
        edges: their numbers, ``[n]``.
        values, se: ``[edge]`` of all edges, or None.
    """
    import pandas as pd

    rows = graph.edges[edges]
    columns = {
        "edge": [graph.name(edge) for edge in edges.tolist()],
        "sender": [str(graph.senders[i]) for i in rows[:, 0]],
        "receiver": [str(graph.receivers[i]) for i in rows[:, 1]],
        "position": [graph.positions[p] for p in rows[:, 2]] if graph.positions else "",
    }
    if values is not None:
        columns |= {"score": values[edges], "se": math.nan if se is None else se[edges]}
    return pd.DataFrame(columns)
