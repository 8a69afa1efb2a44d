"""Directions: find a concept in the activations, prove it, erase it, steer with it."""

from residuum.directions.direction import Direction
from residuum.directions.examples import Examples
from residuum.directions.finding import direction
from residuum.directions.harvesting import Activations, harvest
from residuum.directions.methods.contrast_svd import ContrastSVD
from residuum.directions.methods.difference_of_means import DifferenceOfMeans
from residuum.directions.methods.from_probe import FromProbe
from residuum.directions.methods.from_weights import Given, MlpWrite, TokenDirection, WeightSVD
from residuum.directions.methods.principal_components import PrincipalComponents
from residuum.directions.origin import Origin
from residuum.directions.probes.logistic import Logistic, MultiClass
from residuum.directions.probes.mass_mean import MassMean
from residuum.directions.probes.probing import probe
from residuum.directions.probes.result import Probes
from residuum.directions.probes.ridge import Ridge
from residuum.directions.probes.sparse import SparseProbe
from residuum.directions.splitting import Split

__all__ = [
    "Activations",
    "ContrastSVD",
    "DifferenceOfMeans",
    "Direction",
    "Examples",
    "FromProbe",
    "Given",
    "Logistic",
    "MassMean",
    "MlpWrite",
    "MultiClass",
    "Origin",
    "PrincipalComponents",
    "Probes",
    "Ridge",
    "SparseProbe",
    "Split",
    "TokenDirection",
    "WeightSVD",
    "direction",
    "harvest",
    "probe",
]
