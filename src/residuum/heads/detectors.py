"""The detectors: numbers for each head and prompt, reduced batch by batch from one pass each.

What asks for a match of tokens has its null beside it: the same places on the same prompts, run
again with the repeats exchanged for other tokens; a head that goes by position scores alike there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from residuum.core import Progress, ShapeError
from residuum.core.progress import track
from residuum.heads.logit_directions import LogitDirections
from residuum.heads.match_scores import MATCHES, WithoutRepeats, match_attention
from residuum.heads.matches import Matches, find_matches
from residuum.runs import Model

_AT_ONCE = 16
_BYTES = 256 * 2**20
_NEAR_UNIFORM = 1e-4
"""Squared distance from uniform attention, a row, below which there is no pattern to explain."""


@dataclass
class Measured:
    """Numbers of every head on every prompt.

    Attributes:
        scores, nulls: name -> ``[layer head prompt]``; NaN where a prompt has no place to look at.
        mean_pattern: ``[layer head q_pos k_pos]`` over prompts.
        example: the same of the first prompt.
        mean_z: layer -> ``[head d_head]`` over prompts and positions.
        passes: forward passes over the prompts.
    """

    scores: dict[str, Tensor]
    nulls: dict[str, Tensor]
    mean_pattern: Tensor
    example: Tensor
    mean_z: dict[int, Tensor]
    passes: float = 1.0


@dataclass
class _Sums:
    pattern: Tensor | None = None
    example: Tensor | None = None
    z: dict[int, Tensor] = field(default_factory=dict)


def measure(
    model: Model,
    ids: Tensor,
    directions: LogitDirections,
    progress: Progress,
    batch_size: int | None = None,
    exchanged: Tensor | None = None,
    every: int = 1,
) -> Measured:
    """Run prompts ``[prompt pos]`` once and reduce every head's attention to numbers.

    Args:
        exchanged: the same prompts without their repeats, for the nulls of matches; NaN without.
        every: the null is taken on one in so many prompts.
    """
    sums, batches = _Sums(), list(_batches(model, ids, batch_size))
    others = [None] * len(batches) if exchanged is None else exchanged.split([*map(len, batches)])
    parts: list[list[dict[str, tuple[Tensor, Tensor]]]] = []
    pairs = list(zip(batches, others, strict=True))
    for rows, other in track(pairs, progress, "detectors", len(pairs)):
        null = None if other is None else WithoutRepeats.of(model, rows, other, every)
        parts.append(_batch(model, rows, directions, sums, null))
    assert sums.pattern is not None and sums.example is not None
    names = parts[0][0]
    both = [
        {
            name: torch.stack(
                [
                    torch.cat([batch[layer][name][which] for batch in parts])
                    for layer in range(model.n_layers)
                ]
            ).transpose(1, 2)
            for name in names
        }
        for which in (0, 1)
    ]
    mean_z = {layer: total / ids.numel() for layer, total in sums.z.items()}
    passes = 1.0 if exchanged is None else 1 + sum(-(-len(b) // every) for b in batches) / len(ids)
    return Measured(both[0], both[1], sums.pattern / len(ids), sums.example, mean_z, passes)


def _batches(model: Model, ids: Tensor, batch_size: int | None) -> Iterator[Tensor]:
    """Prompts in batches of nearly one size, two at least."""
    width = ids.shape[1]
    one = 4 * model.n_layers * model.n_heads * width * width
    most = batch_size or min(_AT_ONCE, max(2, _BYTES // one))
    count = min(-(-len(ids) // max(most, 2)), len(ids) // 2)
    yield from torch.tensor_split(ids, count)


def _batch(
    model: Model, ids: Tensor, directions: LogitDirections, sums: _Sums, null: WithoutRepeats | None
) -> list[dict[str, tuple[Tensor, Tensor]]]:
    """One batch: for each layer name -> score and null, both ``[batch head]``."""
    last = f"L{model.n_layers - 1}.resid_post"
    run = model.run(ids, capture=["pattern", "z", "v", last], logits=False)
    ids = run.ids.to(run["pattern", 0].device)
    find = find_matches(ids)
    size = directions.size(run[last]).to(ids.device)
    if not bool(torch.isfinite(run[last]).all()):
        raise ShapeError(
            f"{last} holds NaN or infinity",
            mend="look at the weights: training, conversion or loading made them so",
        )
    tokens = directions.of_tokens(ids).to(ids.device)
    found, patterns = [], []
    for layer in range(model.n_layers):
        pattern, z = run["pattern", layer].to(directions.mean), run["z", layer]
        writes = _writes(directions, layer, tokens, z, run["v", layer], size, find)
        repeats = match_attention(pattern, find)
        flat = torch.full_like(repeats, torch.nan)
        nulls = flat if null is None else null.of_layer(layer, repeats)
        found.append(
            _attention(pattern, find)
            | dict(
                zip(MATCHES, zip(repeats.unbind(-1), nulls.unbind(-1), strict=True), strict=True)
            )
            | _copying(pattern, find, writes)
        )
        patterns.append(pattern.sum(0).cpu())
        summed = z.to(directions.mean).sum((0, 1))
        sums.z[layer] = summed + sums.z.get(layer, torch.zeros_like(summed))
    if sums.example is None:
        sums.example = torch.stack([run["pattern", i][0].cpu() for i in range(len(found))])
    total = torch.stack(patterns)
    sums.pattern = total if sums.pattern is None else sums.pattern + total
    return [
        {name: (score.cpu().double(), null.cpu().double()) for name, (score, null) in each.items()}
        for each in found
    ]


# -- attention -------------------------------------------------------------------------------


def _attention(pattern: Tensor, find: Matches) -> dict[str, tuple[Tensor, Tensor]]:
    width = pattern.shape[2]
    places = torch.arange(width, device=pattern.device)
    uniform = 1.0 / (places + 1)
    flat = torch.ones_like(pattern[:, :, 0, 0])
    kept = pattern.sum(3)
    first = (pattern[..., 0] + (1 - kept))[..., 1:].mean(2)
    found = {
        "previous_token": (
            pattern.diagonal(-1, 2, 3)[..., 1:].mean(2), flat * uniform[2:].mean()
        ),
        "first_token": (first, flat * uniform[1:].mean()),
        "entropy": (
            torch.special.entr(pattern).sum(3)[..., 1:].mean(2),
            flat * (places[1:] + 1).log().mean(),
        ),
    }  # fmt: skip
    return found | _content(pattern, find)


def _content(pattern: Tensor, find: Matches) -> dict[str, tuple[Tensor, Tensor]]:
    """What the other prompts of the batch, at the same positions, do not explain."""
    many, width = len(pattern), pattern.shape[2]
    mean = pattern.mean(0)
    places = torch.arange(width, device=pattern.device)
    uniform = (places[:, None] >= places).to(pattern) / (places[:, None] + 1)
    squared = pattern.square().sum((2, 3))
    dots = torch.einsum("bhn,hnm->bhm", pattern.flatten(2), _two(mean, uniform))
    of_mean = squared - 2 * dots[..., 0] + mean.square().sum((1, 2))
    of_uniform = squared - 2 * dots[..., 1] + uniform.square().sum()
    share = 1 - of_mean.clamp_min(0) * many / (many - 1) / of_uniform.clamp_min(1e-12)
    share = torch.where(of_uniform > _NEAR_UNIFORM * width, share, torch.ones_like(share))
    far = (places[:, None] > places + 1) & (places > 0)
    far = far & ~find.duplicate & ~find.induction
    above = (pattern - mean).clamp_min_(0)
    skipped = torch.einsum("bhqk,bqk->bh", above, far.to(pattern)) * many / (many - 1)
    zero = torch.zeros_like(share)
    return {
        "positional_share": (share, zero),
        "skip_trigram": (skipped / max(width - 3, 1), zero),
    }


def _two(mean: Tensor, uniform: Tensor) -> Tensor:
    return torch.stack([mean.flatten(1), uniform.flatten().expand(len(mean), -1)], 2)


# -- copying ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Writes:
    """What a layer's heads add to logits.

    Attributes:
        own, other: ``[batch k_pos head]`` what a source's value adds to its own token's logit, and
            to the token at its place in another prompt; before the final norm's size.
        direct, direct_null: ``[batch head]`` what heads add to the logit of the predicted token.
        size: ``[batch pos]`` what it is all divided by.
    """

    own: Tensor
    other: Tensor
    direct: Tensor
    direct_null: Tensor
    size: Tensor


def _writes(
    directions: LogitDirections,
    layer: int,
    tokens: Tensor,
    z: Tensor,
    v: Tensor,
    size: Tensor,
    find: Matches,
) -> _Writes:
    size = size * directions.post_size(layer, z)
    seen = directions.through_heads(layer, tokens).to(size)
    z, v = z.to(seen), v.to(seen)
    v = v.repeat_interleave(seen.shape[2] // v.shape[2], dim=2)
    rows = torch.arange(len(seen), device=seen.device)[:, None]
    aimed = (z * seen[rows, find.predicted]).sum(3) / size[..., None]
    shifted = (z * seen.roll(1, 0)[rows, find.predicted.roll(1, 0)]).sum(3) / size[..., None]
    return _Writes(
        own=(v * seen).sum(3),
        other=(v * seen.roll(1, 0)).sum(3),
        direct=_over(aimed, find.has),
        direct_null=_over(shifted, find.has.roll(1, 0)),
        size=size,
    )


def _over(values: Tensor, rows: Tensor) -> Tensor:
    """Mean of ``[batch pos head]`` over the rows ``[batch pos]`` that are meant."""
    count = rows.sum(1)[:, None]
    total = (values * rows[..., None]).sum(1)
    return torch.where(count > 0, total / count, torch.nan)


def _copying(pattern: Tensor, find: Matches, writes: _Writes) -> dict[str, tuple[Tensor, Tensor]]:
    """What attention carries to the logits of the tokens that it attends to."""
    sources = torch.stack([writes.own, writes.other], 3).transpose(1, 2).clone()
    sources[:, :, 0] = 0  # a first token holds no word
    carried = pattern @ sources
    itself = pattern.diagonal(0, 2, 3)[..., None] * sources
    mean = ((carried - itself) / writes.size[:, None, :, None])[:, :, 2:].mean(2)
    return {
        "copying": (mean[..., 0], mean[..., 1]),
        "direct": (writes.direct, writes.direct_null),
    }
