"""Directions: find a concept in the activations, prove it, erase it, steer with it."""

from residuum.directions.alignment import AlignmentSearch
from residuum.directions.beliefs import Statements
from residuum.directions.direction import Direction
from residuum.directions.erasure import Erasure, erase
from residuum.directions.erasure_methods import Leace, Projection, Subspace
from residuum.directions.examples import Examples
from residuum.directions.facts.edit import FactEdit
from residuum.directions.facts.editing import edit_facts
from residuum.directions.facts.fact import Fact
from residuum.directions.facts.methods import Memit, Rome
from residuum.directions.facts.trace import FactTrace
from residuum.directions.facts.tracing import trace_fact
from residuum.directions.finding import direction
from residuum.directions.harvesting import Activations, harvest
from residuum.directions.methods.contrast_svd import ContrastSVD
from residuum.directions.methods.difference_of_means import DifferenceOfMeans
from residuum.directions.methods.from_probe import FromProbe
from residuum.directions.methods.from_weights import Given, MlpWrite, TokenDirection, WeightSVD
from residuum.directions.methods.principal_components import PrincipalComponents
from residuum.directions.monitor import MonitorReport, TruthMonitor, monitor
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
from residuum.directions.splitting import Split
from residuum.directions.steering import steer
from residuum.directions.steering_result import Steering

__all__ = [
    "Activations",
    "AlignmentSearch",
    "ContrastSVD",
    "DifferenceOfMeans",
    "Direction",
    "Erasure",
    "Examples",
    "Fact",
    "FactEdit",
    "FactTrace",
    "FromProbe",
    "Given",
    "Leace",
    "Logistic",
    "MassMean",
    "Memit",
    "MlpWrite",
    "MonitorReport",
    "MultiClass",
    "Origin",
    "PrincipalComponents",
    "Probes",
    "Projection",
    "Proof",
    "Ridge",
    "Rome",
    "SparseProbe",
    "Split",
    "Statements",
    "Steering",
    "Subspace",
    "TokenDirection",
    "TruthMonitor",
    "WeightSVD",
    "direction",
    "edit_facts",
    "erase",
    "harvest",
    "monitor",
    "oriented",
    "probe",
    "prove",
    "steer",
    "trace_fact",
]
