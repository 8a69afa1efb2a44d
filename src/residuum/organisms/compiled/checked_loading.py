"""A compiled model as ``rz.load`` gives it, idle heads included."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch

from residuum.core import CheckFailed
from residuum.models import adapt
from residuum.runs import Model, load


def loaded(hf: Any) -> Model:
    """The model, with every site that its architecture has.

    The self-check asks of every site that a change of it reaches the logits. A head or MLP that a
    program leaves idle has weights of zero, and no change of what it reads can. Where that is all
    that fails, sites are proven on a twin of the same shape with random weights; ``report`` is then
    the twin's.

    Raises:
        CheckFailed: more than that fails.
    """
    model = load(hf)
    assert model.report is not None
    if model.report.passed:
        return model
    failed = [check for check in model.report.checks if not check.passed]
    twin = load(_twin(hf))
    assert twin.report is not None
    if not twin.report.passed or any(not check.name.startswith("changing ") for check in failed):
        raise CheckFailed(
            f"a compiled model does not pass its self-check: {failed[0].name}",
            mend="report it; rz.load(hf, check=False) takes every site on trust",
        )
    adapted = adapt(hf)
    adapted.seam_proven = model.report.seam_proven
    return Model(adapted, twin.report)


def _twin(hf: Any) -> Any:
    """The same shape with random weights."""
    twin = deepcopy(hf)
    dice = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.normal_(std=0.5 * hf.config.d_model**-0.5, generator=dice)
    return twin
