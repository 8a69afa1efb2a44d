"""Reading an attribution graph from its file."""

from __future__ import annotations

import json
from pathlib import Path

from residuum.circuits.attribution.attribution_graph import AttributionGraph
from residuum.core import StoreError


def load_attribution_graph(path: str | Path) -> AttributionGraph:
    """Read a graph that ``graph.save("file.json")`` wrote.

    Raises:
        StoreError: no such file, or another kind of one.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        data = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(
            f"cannot read an attribution graph: {str(error).splitlines()[0]}",
            mend="give the .json file that graph.save(...) wrote",
            where=str(path),
        ) from error
    return AttributionGraph.from_json(data)
