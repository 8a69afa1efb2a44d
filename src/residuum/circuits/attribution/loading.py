"""Reading an attribution graph from its file."""

from __future__ import annotations

from pathlib import Path

from residuum.circuits.attribution.attribution_graph import AttributionGraph
from residuum.circuits.graph.circuit_saving import read_json


def load_attribution_graph(path: str | Path) -> AttributionGraph:
    """Read a graph that ``graph.save("file.json")`` wrote.

    Raises:
        StoreError: no such file, another kind of one, or one that was edited.
    """
    return AttributionGraph.from_json(read_json(path, "an attribution graph"))
