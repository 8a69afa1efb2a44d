"""A logit as a sum over everything that writes into the stream, of a run with its edits.

The same split as :func:`residuum.direct_logit_attribution`, which runs a model without edits: the
final norm at the scale that it had in the run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from residuum.apps.workbench.views.site_layers import layers_with
from residuum.core import AddressError
from residuum.lenses.attribution_terms import reading_of
from residuum.lenses.final_norm import CONVENTION, freeze_norm, need_sum
from residuum.runs import Model, Run


@dataclass(frozen=True)
class DirectSum:
    """What each part adds to a logit, or to a difference of two.

    Attributes:
        added: ``[layer, heads + 2]``: the heads, the MLP, the attention's bias; NaN where a block
            has no such part, all NaN where the logit cannot be split.
        embed, bias, rest, total: as in the view's meta.
        logits: the model's own.
        reason: why it cannot be split, or empty.
    """

    answer: int
    wrong: int | None
    added: Tensor
    logits: float
    embed: float = 0.0
    bias: float = 0.0
    rest: float = 0.0
    total: float = 0.0
    convention: str = ""
    reason: str = ""

    def less(self, other: DirectSum) -> DirectSum:
        """The difference, part by part."""
        names = ("added", "logits", "embed", "bias", "rest", "total")
        return replace(self, **{name: getattr(self, name) - getattr(other, name) for name in names})


def why_no_sum(model: Model) -> str:
    """Why this model's logits are no sum over parts; empty if they are."""
    try:
        need_sum(model.adapted.parts, "splitting a logit")
    except AddressError as error:
        return error.what
    lacking = [i for i in range(model.n_layers) if i not in layers_with(model, "resid_post")]
    return f"no stream was found after block {lacking[0]}" if lacking else ""


def own_logits(run: Run, pos: int) -> Tensor:
    """The run's logits at one position, ``[d_vocab]``.

    Raises:
        AddressError: it stopped before them.
    """
    if run.logits is None:
        raise AddressError("this run stopped before the logits", mend="run with logits=True")
    return run.logits[0, pos]


def direct_sum(model: Model, run: Run, pos: int, answer: int, wrong: int | None) -> DirectSum:
    """Split the answer's logit (less the wrong one's) at one position of a run of one prompt.

    Args:
        run: has its logits, and captured the streams, ``attn_out``, ``mlp_out``, ``head_out`` and
            ``ln_final``.
    """
    own = own_logits(run, pos).double().cpu()
    logits = float(own[answer] - (0.0 if wrong is None else own[wrong]))
    added = torch.full((model.n_layers, model.n_heads + 2), torch.nan, dtype=torch.float64)
    reason = why_no_sum(model)
    if reason:
        return DirectSum(answer, wrong, added, logits, reason=reason)
    reading = reading_of(model, torch.tensor([[answer]]), _column(wrong))
    norm = freeze_norm(model.adapted.parts.final_norm, _at(run, _last(model), pos))
    back = norm.pull_back(reading.vector[0])
    for layer in range(model.n_layers):
        _fill(added[layer], run, layer, pos, back)
    embed = float(_at(run, "L0.resid_pre", pos).double().cpu() @ back)
    bias = float(reading.vector[0] @ norm.bias + reading.bias[0])
    after = "ln_final" if model.adapted.parts.final_norm is not None else _last(model)
    total = float(_at(run, after, pos).double().cpu() @ reading.vector[0] + reading.bias[0])
    rest = total - embed - bias - float(added.nan_to_num().sum())
    return DirectSum(answer, wrong, added, logits, embed, bias, rest, total, CONVENTION)


def _fill(row: Tensor, run: Run, layer: int, pos: int, back: Tensor) -> None:
    """What one block's parts add, into ``[heads + 2]``."""
    heads = 0.0
    if f"L{layer}.head_out@{pos}" in run:
        row[:-2] = _at(run, f"L{layer}.head_out", pos).double().cpu() @ back
        heads = row[:-2].sum()
    if f"L{layer}.mlp_out" in run:
        row[-2] = _at(run, f"L{layer}.mlp_out", pos).double().cpu() @ back
    if f"L{layer}.attn_out" in run:
        row[-1] = _at(run, f"L{layer}.attn_out", pos).double().cpu() @ back - heads


def _at(run: Run, site: str, pos: int) -> Tensor:
    return run[f"{site}@{pos}"][0]


def _last(model: Model) -> str:
    return f"L{model.n_layers - 1}.resid_post"


def _column(token: int | None) -> Tensor:
    return torch.zeros(1, 0, dtype=torch.long) if token is None else torch.tensor([[token]])
