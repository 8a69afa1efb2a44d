"""Load and adapt: families, the attention door, the layer seam, weights and tokens by name."""

from residuum.models.attention import AttentionCall, Visitor, attend_explicitly
from residuum.models.door import open_door
from residuum.models.embedded import EMBEDDED, embedded_path
from residuum.models.family import FAMILIES, Family, family_of
from residuum.models.loading import Adapted, adapt
from residuum.models.parts import Dims, Layer, Parts, find_parts
from residuum.models.seam import LayerCall, Seam
from residuum.models.taps import DoorPoint, Flow, ModulePoint, Tap, build_taps
from residuum.models.tokens import Batch, Tokens
from residuum.models.unembedding import final_logits, logits_of
from residuum.models.weights import BY_LAYER_NAMES, WEIGHT_NAMES, ByLayer, Weights

__all__ = [
    "BY_LAYER_NAMES",
    "EMBEDDED",
    "FAMILIES",
    "WEIGHT_NAMES",
    "Adapted",
    "AttentionCall",
    "Batch",
    "ByLayer",
    "Dims",
    "DoorPoint",
    "Family",
    "Flow",
    "Layer",
    "LayerCall",
    "ModulePoint",
    "Parts",
    "Seam",
    "Tap",
    "Tokens",
    "Visitor",
    "Weights",
    "adapt",
    "attend_explicitly",
    "build_taps",
    "embedded_path",
    "family_of",
    "final_logits",
    "find_parts",
    "logits_of",
    "open_door",
]
