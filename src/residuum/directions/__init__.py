"""Directions: find a concept in the activations, prove it, erase it, steer with it."""

from residuum.directions.alignment import AlignmentSearch, align, template_halves
from residuum.directions.alignment_report import Alignment
from residuum.directions.beliefs import Statements, microworld_beliefs
from residuum.directions.conditional import When
from residuum.directions.direction import Direction
from residuum.directions.erasure import Erasure, erase
from residuum.directions.erasure_methods import Leace, Projection, Subspace
from residuum.directions.examples import Examples
from residuum.directions.facts.capacity import FactCapacity, fact_capacity
from residuum.directions.facts.corruption import Noise, OtherSubject
from residuum.directions.facts.edit import FactEdit
from residuum.directions.facts.editing import edit_facts
from residuum.directions.facts.fact import Fact, microworld_facts
from residuum.directions.facts.methods import Memit, Rome
from residuum.directions.facts.scores import FactScores
from residuum.directions.facts.trace import FactTrace
from residuum.directions.facts.tracing import trace_fact
from residuum.directions.facts.values import ValueSearch
from residuum.directions.finding import direction
from residuum.directions.harvesting import Activations, harvest_examples
from residuum.directions.layer_proofs import LayerProofs, prove_layers
from residuum.directions.methods.contrast_svd import ContrastSVD
from residuum.directions.methods.dedicated import Dedicated
from residuum.directions.methods.difference_of_means import DifferenceOfMeans
from residuum.directions.methods.from_probe import FromProbe
from residuum.directions.methods.from_weights import Given, MlpWrite, TokenDirection, WeightSVD
from residuum.directions.methods.principal_components import PrincipalComponents
from residuum.directions.methods.sparing import Sparing
from residuum.directions.monitor_map import probe_map
from residuum.directions.monitor_report import MonitorReport
from residuum.directions.monitoring import monitor
from residuum.directions.orientation import oriented
from residuum.directions.origin import Origin
from residuum.directions.probes.logistic import Logistic, MultiClass
from residuum.directions.probes.mass_mean import MassMean
from residuum.directions.probes.probing import probe
from residuum.directions.probes.result import Probes
from residuum.directions.probes.ridge import Ridge
from residuum.directions.probes.sparse import SparseProbe
from residuum.directions.proof import Proof
from residuum.directions.proving import prove
from residuum.directions.splitting import Split, by_template
from residuum.directions.steering import steer
from residuum.directions.steering_result import Steering
from residuum.directions.truth_monitor import TruthMonitor

__all__ = [
    "Activations",
    "Alignment",
    "AlignmentSearch",
    "ContrastSVD",
    "Dedicated",
    "DifferenceOfMeans",
    "Direction",
    "Erasure",
    "Examples",
    "Fact",
    "FactCapacity",
    "FactEdit",
    "FactScores",
    "FactTrace",
    "FromProbe",
    "Given",
    "LayerProofs",
    "Leace",
    "Logistic",
    "MassMean",
    "Memit",
    "MlpWrite",
    "MonitorReport",
    "MultiClass",
    "Noise",
    "Origin",
    "OtherSubject",
    "PrincipalComponents",
    "Probes",
    "Projection",
    "Proof",
    "Ridge",
    "Rome",
    "Sparing",
    "SparseProbe",
    "Split",
    "Statements",
    "Steering",
    "Subspace",
    "TokenDirection",
    "TruthMonitor",
    "ValueSearch",
    "WeightSVD",
    "When",
    "align",
    "by_template",
    "direction",
    "edit_facts",
    "erase",
    "fact_capacity",
    "harvest_examples",
    "microworld_beliefs",
    "microworld_facts",
    "monitor",
    "oriented",
    "probe",
    "probe_map",
    "prove",
    "prove_layers",
    "steer",
    "template_halves",
    "trace_fact",
]
