"""Random circuits of an exact size, connected from the embedding to the logits."""

from __future__ import annotations

import numpy as np

from residuum.circuits.graph.graph import Graph
from residuum.circuits.trial.graph_paths import GraphPaths
from residuum.core import OptionError
from residuum.runs import whole_number

_STARTS, _ROUNDS = 50, 6


def random_circuits(
    graph: Graph,
    n_edges: int,
    n: int,
    *,
    seed: int = 0,
    among: np.ndarray | None = None,
) -> np.ndarray:
    """Circuits of exactly ``n_edges`` edges, each edge on a path from the embedding to the logits.

    The distribution: edges are taken in random order. Each that is not in yet joins together with a
    random way back to what is already reached from the embedding, and a random way on to what
    already reaches the logits (every step equally probable among the edges there); if all of that
    does not fit into the size any more, the edge is left out for the moment. Small circuits are
    so a few random paths; large ones come near to edges drawn at random.

    Args:
        graph: of a model.
        n_edges: of each circuit.
        n: how many circuits.
        seed: the same seed gives the same circuits.
        among: bool ``[edge]``: only of these edges; by default of all.

    Returns:
        bool ``[circuit edge]``; circuits may be the same where there are few.

    Raises:
        OptionError: a number that is none, or no connected circuit of this size.

    Shows: what circuits of the size do that were chosen without looking. Does not show: what
    circuits do that are like the found one in other ways (its heads, its path lengths).
    Source: Shi et al. 2024, "Hypothesis testing the circuit hypothesis in LLMs", §3 (random paths);
    deviation: of exactly the size, and connected.

    >>> graph = Graph.of(["embed", "L0.mlp_out"], ["L0.mlp_in", "logits"])
    >>> random_circuits(graph, 2, 3).tolist() == [[True, False, True]] * 3
    True
    """
    whole_number(n_edges, "n_edges", 1)
    whole_number(n, "n", 1)
    paths = GraphPaths(graph, among)
    generator = np.random.default_rng(whole_number(seed, "seed", 0))
    return np.stack([random_circuit(paths, n_edges, generator) for _ in range(n)])


def random_circuit(paths: GraphPaths, n_edges: int, generator: np.random.Generator) -> np.ndarray:
    """One circuit as of :func:`random_circuits`, bool ``[edge]``."""
    if n_edges <= len(paths.live):
        for _ in range(_STARTS):
            found = _grown(paths, n_edges, generator)
            if len(found) == n_edges:
                kept = np.zeros(paths.graph.n_edges, dtype=bool)
                kept[list(found)] = True
                return kept
    raise OptionError(
        f"no connected circuit of {n_edges} edges was found among {len(paths.live)} on paths from "
        "the embedding to the logits",
        mend="try a circuit of another size",
    )


def _grown(paths: GraphPaths, n_edges: int, generator: np.random.Generator) -> set[int]:
    kept: set[int] = set()
    fed, read = set(paths.embeds), {paths.logits}
    for _ in range(_ROUNDS):
        for edge in generator.permutation(paths.live).tolist():
            if len(kept) == n_edges:
                return kept
            if edge in kept:
                continue
            new = set(paths.through(edge, fed, read, generator)) - kept
            if len(kept) + len(new) <= n_edges:
                kept |= new
                paths.join(new, fed, read)
    return kept


def random_additions(
    graph: Graph, kept: np.ndarray, n: int, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """A circuit inflated by random paths, and one edge of each path.

    The edge is drawn from all outside the circuit that lie on a path from embedding to logits, each
    equally probable; its path joins it to what the circuit feeds and reads, as in
    :func:`random_circuits`.

    Args:
        kept: bool ``[edge]``, the circuit.
        n: how many.
        seed: of the draws.

    Returns:
        bool ``[draw edge]`` inflated circuits, and int64 ``[draw]`` the edges; none of either if
        the circuit holds every edge that could be added.

    Source: Shi et al. 2024, the inflated circuits of its minimality test.
    """
    paths = GraphPaths(graph)
    outside = paths.live[~kept[paths.live]]
    if not len(outside):
        return np.zeros((0, graph.n_edges), dtype=bool), np.zeros(0, dtype=np.int64)
    generator = np.random.default_rng(seed)
    fed, read = paths.fed(kept), paths.read(kept)
    edges = generator.choice(outside, size=n)
    inflated = np.repeat(kept[None], n, axis=0)
    for row, edge in enumerate(edges.tolist()):
        inflated[row, paths.through(edge, fed, read, generator)] = True
    return inflated, edges
