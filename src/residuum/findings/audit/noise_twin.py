"""A control for comparing twins: the clean twin with noise as large as the real difference."""

from __future__ import annotations

import copy

import torch

from residuum.core import LoadError
from residuum.runs import Model, load


def check_twins(model: Model, against: Model) -> None:
    """Refuse two models that are no twins: other tokenizers or other shapes.

    Raises:
        LoadError: says which.
    """
    mend = "give the model that it was fine-tuned from"
    if model.adapted.tokens.hash() != against.adapted.tokens.hash():
        raise LoadError(f"{against.name} has another tokenizer than {model.name}", mend=mend)
    own, other = (dict(each.hf.named_parameters()) for each in (model, against))
    if set(own) != set(other) or any(own[name].shape != other[name].shape for name in own):
        raise LoadError(f"{against.name} has weights of other shapes than {model.name}", mend=mend)


def changed_weights(model: Model, against: Model) -> float:
    """Norm of the difference of all weights, over the norm of ``against``'s."""
    gone, whole = 0.0, 0.0
    pairs = zip(model.hf.parameters(), against.hf.parameters(), strict=True)
    for own, other in pairs:
        gone += float((own.detach().double() - other.detach().double()).square().sum())
        whole += float(other.detach().double().square().sum())
    return (gone / whole) ** 0.5 if whole else 0.0


def noise_twin(model: Model, against: Model, seed: int) -> Model:
    """A copy of ``against`` with Gaussian noise in every weight tensor.

    Args:
        model: whose difference from ``against`` gives each tensor's noise its norm.
        against: left as it is.
        seed: of the noise.
    """
    hf = copy.deepcopy(against.hf)
    generator = torch.Generator().manual_seed(seed)
    pairs = zip(hf.parameters(), model.hf.parameters(), strict=True)
    with torch.no_grad():
        for weight, other in pairs:
            size = (other.detach().to(weight) - weight).float().norm()
            noise = torch.randn(weight.shape, generator=generator).to(weight.device)
            weight.add_((noise * (size / noise.norm())).to(weight.dtype))
    found = load(hf, tokenizer=against.tokenizer)
    found.adapted.model_id = f"{against.name}, noise with seed {seed}"
    return found
