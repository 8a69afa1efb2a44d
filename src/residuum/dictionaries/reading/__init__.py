"""Reading: one pass over text shows what every latent, neuron or direction does."""

from residuum.dictionaries.reading.accumulator import Accumulator, Sizes
from residuum.dictionaries.reading.bases import FeatureBasis, Latents, Neurons, RandomDirections
from residuum.dictionaries.reading.comparison import FeatureComparison, compare_features
from residuum.dictionaries.reading.feature_reading import FeatureReading
from residuum.dictionaries.reading.latent_reading import Example, LatentReading
from residuum.dictionaries.reading.reading_features import (
    load_reading,
    merge_readings,
    read_features,
)

__all__ = [
    "Accumulator",
    "Example",
    "FeatureBasis",
    "FeatureComparison",
    "FeatureReading",
    "LatentReading",
    "Latents",
    "Neurons",
    "RandomDirections",
    "Sizes",
    "compare_features",
    "load_reading",
    "merge_readings",
    "read_features",
]
