"""What the units write: which tokens they promote and suppress, and which units write alike."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from residuum.lenses.final_norm import freeze_norm
from residuum.runs import Model

_AT_ONCE = 256


def logit_effects(model: Model, written: Tensor, k: int) -> dict[str, np.ndarray] | None:
    """The tokens whose logits one unit of each raises and lowers most, on the direct path.

    Later blocks are passed over. The final norm's gain (and, in a LayerNorm, its mean) is applied
    to the vector; its divisor is taken as 1, so figures compare tokens of one unit, and units with
    each other, but are no logits of a prompt. The mean over the vocabulary is taken off, which
    leaves probabilities as they are.

    Args:
        written: ``[latent d]``.
        k: tokens each way.

    Returns:
        ``up``, ``down`` token ids and ``up_values``, ``down_values``, ``[latent k]``; None where
        the vectors do not go to the stream, or the model has no unembedding.
    """
    parts = model.adapted.parts
    if parts.unembed is None:
        return None
    matrix = model.W_U
    assert isinstance(matrix, Tensor)
    width = matrix.shape[0]
    if written.shape[1] != width:
        return None
    gain, centred = _norm(model, width)
    vectors = (written - written.mean(-1, keepdim=True) if centred else written) * gain
    weights = matrix.float().cpu()
    weights = weights - weights.mean(-1, keepdim=True)
    k = min(k, weights.shape[1])
    found: dict[str, list[Tensor]] = {"up": [], "up_values": [], "down": [], "down_values": []}
    for some in vectors.split(_AT_ONCE):
        logits = some @ weights
        for name, largest in (("up", True), ("down", False)):
            values, ids = logits.topk(k, dim=-1, largest=largest)
            found[name].append(ids.int())
            found[f"{name}_values"].append(values)
    return {name: torch.cat(each).numpy() for name, each in found.items()}


def _norm(model: Model, width: int) -> tuple[Tensor, bool]:
    """Gain ``[d]`` of the final norm, and whether it takes off the mean."""
    norm = model.adapted.parts.final_norm
    stream = torch.randn(1, 2, width, generator=torch.Generator().manual_seed(0))
    frozen = freeze_norm(norm, stream.to(device=model.device, dtype=model.dtype))
    return frozen.gain.float(), frozen.centred


def neighbours(written: Tensor, k: int) -> dict[str, np.ndarray]:
    """The units whose vectors point most alike: ``latents`` and ``cosines``, ``[latent k]``.

    Latent -1 where there are fewer others.
    """
    n = len(written)
    unit = written / written.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    some = min(k, n - 1)
    ids, cosines = torch.full((n, k), -1), torch.zeros(n, k)
    for start in range(0, n, _AT_ONCE) if some else ():
        cosine = unit[start : start + _AT_ONCE] @ unit.T
        here = torch.arange(len(cosine))
        cosine[here, start + here] = -torch.inf
        best, which = cosine.topk(some, dim=1)
        ids[start : start + _AT_ONCE, :some] = which
        cosines[start : start + _AT_ONCE, :some] = best
    return {"latents": ids.int().numpy(), "cosines": cosines.numpy()}
