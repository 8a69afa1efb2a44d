"""Circuits: which edges carry a behaviour, found and put on trial."""

from residuum.circuits.attribution.attribution_graph import AttributionGraph
from residuum.circuits.attribution.building import attribution_graph
from residuum.circuits.attribution.edge_test import EdgeAgreement, EdgeTest
from residuum.circuits.attribution.influence import GraphScores
from residuum.circuits.attribution.loading import load_attribution_graph
from residuum.circuits.attribution.nodes import GraphEdge, GraphNode
from residuum.circuits.controls.damage import damage_matrix
from residuum.circuits.controls.damage_dissociation import Dissociation
from residuum.circuits.controls.damage_result import Damage, DamageMatrix, RandomDamage
from residuum.circuits.controls.joint_mask import JointMask
from residuum.circuits.controls.permuted_control import permuted_control
from residuum.circuits.controls.permuted_result import ChainScores, PermutedControl
from residuum.circuits.controls.permuting import permuted_weights
from residuum.circuits.controls.pruning import Pruned, prune_circuit
from residuum.circuits.controls.rival_result import Candidate, RivalCircuits
from residuum.circuits.controls.rivals import rival_circuits
from residuum.circuits.controls.stability import circuit_stability
from residuum.circuits.controls.stability_result import CircuitStability, Overlap, Refound
from residuum.circuits.controls.text_task import text_task
from residuum.circuits.discovery.acdc import ACDC
from residuum.circuits.discovery.atp_star import AtPStar
from residuum.circuits.discovery.discovering import Discovery, discover
from residuum.circuits.discovery.eap import EAP, EAPIG
from residuum.circuits.discovery.exact import ExactEdges
from residuum.circuits.discovery.flow import InformationFlow
from residuum.circuits.discovery.learned_mask import LearnedMask
from residuum.circuits.discovery.path_search import PathSearch
from residuum.circuits.discovery.problem import DiscoveryProblem
from residuum.circuits.discovery.verifying import Verification
from residuum.circuits.engine.masked import MaskedRuns
from residuum.circuits.engine.work import MaskedWork
from residuum.circuits.graph.building import graph_of
from residuum.circuits.graph.choosing import circuit_from_edges, circuit_of
from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.graph import Graph
from residuum.circuits.graph.positions import position_masks
from residuum.circuits.graph.reading import (
    circuit_from_mib,
    circuit_from_networkx,
    load_circuit,
)
from residuum.circuits.graph.scores import REFERENCES, EdgeScores, ScoredEdge
from residuum.circuits.graph.seen_prompts import SeenPrompts, SharedPrompts, shared_prompts
from residuum.circuits.graph.selection import keep, pruned, select
from residuum.circuits.graph.shape import GraphShape
from residuum.circuits.judging.evaluating import evaluate
from residuum.circuits.judging.scores import CircuitScores, load_circuit_scores
from residuum.circuits.roles.naming import name_roles
from residuum.circuits.roles.part_role import HeadAttention, PartEffect, PartRole
from residuum.circuits.roles.roles import Roles, load_roles
from residuum.circuits.trial.non_inferiority import NonInferiority, non_inferiority
from residuum.circuits.trial.random_circuits import random_circuits
from residuum.circuits.trial.trial_record import EdgeVerdict, Trial, TrialLevels, load_trial
from residuum.circuits.trial.trying import trial
from residuum.circuits.trial.verdict import Verdict

__all__ = [
    "ACDC",
    "EAP",
    "EAPIG",
    "REFERENCES",
    "AtPStar",
    "AttributionGraph",
    "Candidate",
    "ChainScores",
    "Circuit",
    "CircuitScores",
    "CircuitStability",
    "Damage",
    "DamageMatrix",
    "Discovery",
    "DiscoveryProblem",
    "Dissociation",
    "EdgeAgreement",
    "EdgeScores",
    "EdgeTest",
    "EdgeVerdict",
    "ExactEdges",
    "Graph",
    "GraphEdge",
    "GraphNode",
    "GraphScores",
    "GraphShape",
    "HeadAttention",
    "InformationFlow",
    "JointMask",
    "LearnedMask",
    "MaskedRuns",
    "MaskedWork",
    "NonInferiority",
    "Overlap",
    "PartEffect",
    "PartRole",
    "PathSearch",
    "PermutedControl",
    "Pruned",
    "RandomDamage",
    "Refound",
    "RivalCircuits",
    "Roles",
    "ScoredEdge",
    "SeenPrompts",
    "SharedPrompts",
    "Trial",
    "TrialLevels",
    "Verdict",
    "Verification",
    "attribution_graph",
    "circuit_from_edges",
    "circuit_from_mib",
    "circuit_from_networkx",
    "circuit_of",
    "circuit_stability",
    "damage_matrix",
    "discover",
    "evaluate",
    "graph_of",
    "keep",
    "load_attribution_graph",
    "load_circuit",
    "load_circuit_scores",
    "load_roles",
    "load_trial",
    "name_roles",
    "non_inferiority",
    "permuted_control",
    "permuted_weights",
    "position_masks",
    "prune_circuit",
    "pruned",
    "random_circuits",
    "rival_circuits",
    "select",
    "shared_prompts",
    "text_task",
    "trial",
]
