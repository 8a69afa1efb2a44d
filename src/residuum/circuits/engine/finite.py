"""Refusing a model whose own run is not finite, before anything else is blamed for it."""

from __future__ import annotations

import torch
from torch import Tensor

from residuum.core import CheckFailed
from residuum.models import Adapted


def refuse_not_finite(adapted: Adapted, value: Tensor, noun: str, name: str) -> None:
    """Refuse NaN or infinite values of the model's own run, naming the weights that are so.

    Args:
        value: of the run.
        noun: what it is.
        name: of the model.

    Raises:
        CheckFailed: some value is not finite.
    """
    if bool(torch.isfinite(value).all()):
        return
    wrong = [key for key, each in adapted.hf.named_parameters() if not _finite(each)]
    if wrong:
        what = f"so are weights of {wrong[0]}" + f" and {len(wrong) - 1} more" * (len(wrong) > 1)
        mend = "the weights are broken: load the model again from its files"
    else:
        dtype = str(value.dtype).removeprefix("torch.")
        what, mend = (
            f"its weights are finite, so {dtype} is too narrow for it",
            ('load it in a wider dtype: rz.load(..., dtype="float32")'),
        )
    raise CheckFailed(f"{noun} of {name} itself are NaN or infinite: {what}", mend=mend)


def _finite(weights: Tensor) -> bool:
    return bool(torch.isfinite(weights).all())
