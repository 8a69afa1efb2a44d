"""What a trained lens belongs to: the unembedding it was trained for, by hash."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from residuum.core import LoadError
from residuum.lenses.final_norm import logit_factor, soft_cap
from residuum.runs import Model


def unembedding_hash(model: Model) -> str:
    """SHA-256 over the final norm, the unembedding, and the family's scale and soft cap."""
    parts = model.adapted.parts
    found = hashlib.sha256()
    for name, module in (("norm", parts.final_norm), ("unembed", parts.unembed)):
        tensors = {} if module is None else module.state_dict()
        for key, value in sorted(tensors.items()):
            if isinstance(value, Tensor):
                found.update(f"{name}.{key} {value.dtype} {tuple(value.shape)}".encode())
                found.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    found.update(f"{logit_factor(parts)} {soft_cap(parts)}".encode())
    return found.hexdigest()


def need_same_model(unembedding: str, weights: str, trained_on: str, model: Model) -> None:
    """Refuse a model that the lens was not trained on.

    Raises:
        LoadError: another unembedding, or other weights.
    """
    mend = "train one for this model: rz.TunedLens.train(model, texts)"
    if unembedding_hash(model) != unembedding:
        raise LoadError(
            f"this lens was trained on another model ({trained_on}): the final norm or the "
            f"unembedding of {model.name} differs",
            mend=mend,
        )
    if model.adapted.weight_hash != weights:
        raise LoadError(
            f"this lens was trained on other weights of {trained_on}: the unembedding is the same, "
            "but layers differ",
            mend=mend,
        )
