"""Circuits: which edges carry a behaviour, found and put on trial."""

from residuum.circuits.graph.building import graph_of
from residuum.circuits.graph.circuit import Circuit, circuit_of, load_circuit
from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.positions import position_masks
from residuum.circuits.graph.scores import REFERENCES, EdgeScores, ScoredEdge
from residuum.circuits.graph.selection import keep, pruned, select

__all__ = [
    "REFERENCES",
    "Circuit",
    "EdgeScores",
    "Graph",
    "ScoredEdge",
    "circuit_of",
    "graph_of",
    "keep",
    "load_circuit",
    "position_masks",
    "pruned",
    "select",
]
