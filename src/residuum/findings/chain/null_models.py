"""Models of the same shape that learned nothing: permuted weights, and weights drawn afresh."""

from __future__ import annotations

import copy

import torch

from residuum.circuits import permuted_weights
from residuum.core import OptionError
from residuum.findings.record.controls_evidence import Weights
from residuum.runs import Model, load


def null_model(model: Model, kind: Weights, seed: int) -> Model:
    """A model of the same shape without a mechanism.

    Raises:
        OptionError, CheckFailed: it cannot be made of this model.
    """
    return permuted_weights(model, seed) if kind == "permuted" else fresh_weights(model, seed)


def fresh_weights(model: Model, seed: int = 0) -> Model:
    """The same architecture with new weights, as the model's own code draws them before training.

    Args:
        model: which is left as it is.
        seed: of the weights; the caller's random state is left as it is.

    Raises:
        OptionError: its class cannot be built from its configuration.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> fresh_weights(model, 1).provenance().weight_hash == model.provenance().weight_hash
    False
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            hf = type(model.hf)(copy.deepcopy(model.hf.config))
        except (TypeError, ValueError, AttributeError) as error:
            raise OptionError(
                f"{type(model.hf).__name__} cannot be built anew: {error}",
                mend="use permuted weights alone",
            ) from error
    made = load(hf.to(device=model.device, dtype=model.dtype).eval(), tokenizer=model.tokenizer)
    made.adapted.model_id = f"{model.name}, fresh weights with seed {seed}"
    return made
