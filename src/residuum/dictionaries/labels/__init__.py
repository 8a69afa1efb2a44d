"""Labels: what latents are active at, in words, and how far that is true."""

from residuum.dictionaries.labels.cost import Cost, Estimate, Price
from residuum.dictionaries.labels.endpoint import Endpoint
from residuum.dictionaries.labels.gathering import latent_examples
from residuum.dictionaries.labels.label import Label
from residuum.dictionaries.labels.labelling import label_features
from residuum.dictionaries.labels.labels import Labels, load_labels
from residuum.dictionaries.labels.latent_examples import Entries, LatentExamples
from residuum.dictionaries.labels.rules import Rule
from residuum.dictionaries.labels.score import Score
from residuum.dictionaries.labels.token_statistics import TokenStatistics
from residuum.dictionaries.labels.trials import TrialSizes

__all__ = [
    "Cost",
    "Endpoint",
    "Entries",
    "Estimate",
    "Label",
    "Labels",
    "LatentExamples",
    "Price",
    "Rule",
    "Score",
    "TokenStatistics",
    "TrialSizes",
    "label_features",
    "latent_examples",
    "load_labels",
]
