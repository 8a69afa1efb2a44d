"""The softmax taken exactly: what another query or key does to where a head looks.

Attribution patching takes the whole way from a query or key to the metric as linear. Where a head
attends to one token with nearly all its mass the softmax is flat, the gradient is near zero, and a
large effect is predicted as none. Here the new pattern is computed and only the way from the
pattern on is linear.

Source: Kramár, Lieberum, Shah, Nanda 2024, "AtP*: An efficient and scalable method for localizing
LLM behaviour to components", §3.1 (the QK fix). Deviation: the patch of one key alone is written in
closed form instead of a softmax for each key.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from residuum.core import Address
from residuum.models import open_door
from residuum.patching.gradients.problem import Problem

CORRECTED = ("q", "k")
"""Sites whose softmax is taken exactly. Not those before a norm on queries and keys, which may go
over all heads together (OLMo 2): one head's input then changes every head's query."""


def through_exact_softmax(problem: Problem) -> np.ndarray:
    """Attributions of queries or keys, ``[...by example]``: exact up to the pattern.

    Both runs' queries or keys are put, at every layer at once, beside the base run's keys or
    queries; so the model itself makes the patterns, with its scaling, masks, caps and sinks.
    """
    grid = problem.grid
    keys = grid.site == "k"
    other = "q" if keys else "k"
    beside = problem.run(problem.target, problem.sites(other), logits=False).values
    alone = keys and "pos" in grid.by
    want = problem.sites("scores" if alone else "pattern")
    before, after = (
        problem.run(problem.target, want, beside | values, logits=False).values
        for values in (problem.base.values, problem.given.values)
    )
    slopes = problem.gradients(problem.sites("pattern"))
    sinks = _sinks(problem) if alone else {}
    found = []
    for layer, at in zip(grid.layers, want, strict=True):
        slope = slopes[Address("pattern", layer)]
        if alone:
            by_key = key_by_key(before[at], after[at], slope, sinks.get(layer))
            found.append(problem.cells(_grouped(problem, by_key, 1), ("batch", "head", "pos")))
            continue
        work = torch.promote_types(slope.dtype, torch.float32)
        terms = (slope.to(work) * (after[at].to(work) - before[at].to(work))).sum(dim=-1)
        if keys:
            terms = _grouped(problem, terms, 1)
        found.append(problem.cells(terms, ("batch", "head", "pos")))
    return problem.assemble(found)


def key_by_key(before: Tensor, after: Tensor, slope: Tensor, sink: Tensor | None) -> Tensor:
    """Linear effect of the pattern's change when one key alone is another, ``[batch head k_pos]``.

    With p its own probability (p' after), g the slopes and h the mean slope of the other keys under
    the pattern without it, the effect in one row is (p' - p)(g - h): the others keep their shares
    among themselves. Everything is computed without subtracting near-equal masses, so that a
    saturated head keeps its digits.

    Args:
        before, after: scores ``[batch head q_pos k_pos]`` with the base's, with the donor's keys.
        slope: gradient at the pattern, same shape.
        sink: one more logit for each head ``[head]``, whose slope is zero; None for none.
    """
    scores, new, slope = (each.to(_widest(before)) for each in (before, after, slope))
    top = scores.amax(dim=-1, keepdim=True)
    extra = torch.zeros_like(top)
    if sink is not None:
        logit = sink.to(scores).reshape(1, -1, 1, 1)
        top = torch.maximum(top, logit)
        extra = (logit - top).exp()
    mass = (scores - top).exp()
    others = _all_but_one(mass) + extra
    mean = torch.where(others > 0, _all_but_one(slope * mass) / others, torch.zeros_like(mass))
    log_others = others.log()
    old_share, new_share = (torch.sigmoid(each - top - log_others) for each in (scores, new))
    return ((new_share - old_share) * (slope - mean)).sum(dim=-2)


def _widest(tensor: Tensor) -> torch.dtype:
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def _all_but_one(terms: Tensor) -> Tensor:
    """Sum over the last axis without each place itself, by adding alone."""
    before = terms.cumsum(dim=-1).roll(1, dims=-1)
    after = terms.flip(-1).cumsum(dim=-1).flip(-1).roll(-1, dims=-1)
    before[..., 0], after[..., -1] = 0.0, 0.0
    return before + after


def _grouped(problem: Problem, terms: Tensor, axis: int) -> Tensor:
    """Query heads that share a key head, summed."""
    return terms.unflatten(axis, (problem.model.dims.n_kv_heads, -1)).sum(dim=axis + 1)


class _Passer:
    """A visitor that asks for nothing; the door still notes how attention was called."""

    def wants(self, layer: int) -> bool:
        return False

    def explicit(self, layer: int) -> bool:
        return False

    def visit(self, layer: int, slot: str, value: Tensor) -> Tensor:
        return value


def _sinks(problem: Problem) -> dict[int, Tensor]:
    """Layer -> sink logits ``[head]`` of models that have them, from a pass over one token."""
    adapted = problem.model.adapted
    with adapted.passing(), open_door(adapted.parts, _Passer()) as calls:
        problem.model.run(problem.target.ids[:1, :1])
    found = {layer: call.options.get("s_aux") for layer, call in calls.items()}
    return {layer: sink.detach() for layer, sink in found.items() if sink is not None}
