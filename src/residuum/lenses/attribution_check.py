"""Whether the terms of an attribution sum to what they should, and what is to blame if not."""

from __future__ import annotations

import numpy as np
import torch

from residuum.core import CheckFailed
from residuum.lenses.changed_block import changed_block
from residuum.lenses.logit_attribution import LogitAttribution
from residuum.models import Batch
from residuum.runs import Model
from residuum.runs.weight_proof import MEND

_FAILS = {torch.float64: 1e-5, torch.float32: 1e-4}
_FAILS_HALF = 0.1


def check_sum(model: Model, found: LogitAttribution, batch: Batch) -> None:
    """Refuse an attribution whose terms, neurons or sources miss their sum.

    Raises:
        CheckFailed: they do; a block that does more than its parts is named.
    """
    largest = max(1.0, found.largest_logit, float(np.abs(found.per_example.values).max()))
    bound = _FAILS.get(model.dtype, _FAILS_HALF) * largest
    missed = found.gap, *_missed_parts(found)
    if max(missed) <= bound:
        return
    changed = changed_block(model, batch)
    raise CheckFailed(
        f"the terms miss the logits by {max(missed):.1e}: "
        + (changed or "this model's stream is not the sum of its parts"),
        mend=MEND
        if changed
        else "residuum doctor MODEL shows which identity fails; report the family",
    )


def _missed_parts(found: LogitAttribution) -> list[float]:
    """How far neurons miss their MLP's term, and sources their head's."""
    gaps = []
    if found.neurons is not None and found.neuron_bias is not None:
        sums = found.neurons.sum("neuron").values + found.neuron_bias.values
        whole = [found.term(f"L{i}.mlp_out") for i in range(len(sums))]
        gaps += [_gap(own, term) for own, term in zip(sums, whole, strict=True)]
    if found.sources is not None:
        sums = found.sources.sum("k_pos").values
        for layer, head in np.ndindex(*sums.shape[:2]):
            gaps.append(_gap(sums[layer, head], found.term(f"L{layer}.head_out[H{head}]")))
    return gaps


def _gap(own: np.ndarray, term: np.ndarray | None) -> float:
    """Largest difference; 0 where a block has no such parts."""
    known = np.zeros(0) if term is None else (own - term)[np.isfinite(own)]
    return float(np.abs(known).max()) if known.size else 0.0
