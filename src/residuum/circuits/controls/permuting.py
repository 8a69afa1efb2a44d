"""A model whose weight matrices are shuffled: the same shape and the same numbers, no mechanism."""

from __future__ import annotations

import copy

import torch

from residuum.core import OptionError
from residuum.runs import Model, load, need_model, whole_number


def permuted_weights(model: Model, seed: int = 0) -> Model:
    """A copy of a model in which each weight matrix's entries are permuted.

    Embeddings, positions and every projection keep shape, mean and spread; what they compute is
    lost. Vectors (norms and biases) stay as they are; tied matrices stay tied.

    Args:
        model: which is left as it is.
        seed: of the permutations.

    Returns:
        The copy, loaded and self-checked as any other.

    Raises:
        OptionError: no model, or one whose weights are not floating-point numbers (quantised).
        CheckFailed: the shuffled model's parts do not add up in its own precision.

    Shows: what a chain of methods says of a model that has no mechanism. Does not show: what it
    says of a model that learned another one.

    >>> import residuum as rz
    >>> shuffled = permuted_weights(rz.load("handmade_induction"), seed=1)
    >>> shuffled.name
    'handmade_induction, weights permuted with seed 1'
    """
    need_model(model, "permuted_weights")
    whole_number(seed, "seed", 0)
    hf = copy.deepcopy(model.hf)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in hf.named_parameters():
            if weight.ndim < 2:
                continue
            if not weight.is_floating_point():
                raise OptionError(
                    f"{name} is {weight.dtype}: quantised weights cannot be permuted",
                    mend="load the model in float32",
                )
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    found = load(hf, tokenizer=model.tokenizer)
    found.adapted.model_id = f"{model.name}, weights permuted with seed {seed}"
    return found
