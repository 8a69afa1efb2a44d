"""Composition scores: how much of what one head writes another would read, from the weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from residuum.core import OptionError
from residuum.heads.composition_table import Composition
from residuum.heads.reading import (
    layer_of,
    norm_map,
    output_of,
    projection,
    write_gain,
)
from residuum.runs import Model, need_model, refuse_unknown, shown, whole_number
from residuum.runs.arguments import yes_or_no

Kind = Literal["Q", "K", "V"]
Null = Literal["spectrum", "gaussian"]
KINDS = ("Q", "K", "V")
NULLS = ("spectrum", "gaussian")


def composition(
    model: Model,
    kind: Kind = "K",
    *,
    fold: bool = True,
    null: Null = "spectrum",
    draws: int = 200,
    seed: int = 0,
    **unknown: Any,
) -> Composition:
    """Q-, K- or V-composition scores of every pair of heads, beside random baselines.

    With row vectors, a writer's ``W_OV = W_V W_O`` and a reader's ``W_QK`` and ``W_OV``, the score
    is ``‖A B‖ / (‖A‖ ‖B‖)`` in the Frobenius norm: ``W_OV W_QK`` for Q, ``W_OV W_QKᵀ`` for K,
    ``W_OV W_OV`` for V. Matrices are never multiplied out.

    Args:
        model: a loaded model; all blocks must have attention whose weights are known.
        kind: which input of the later head.
        fold: multiply norms' gains and centring into the readers.
        null: ``"spectrum"``: each pair's own matrices, turned against each other at random (their
            singular values kept); ``"gaussian"``: products of random normal factors of the heads'
            shapes, the same law for all pairs of a size.
        draws: random draws, shared by all pairs.
        seed: of the draws.

    Returns:
        The table, its baseline and p for each pair. Rotary embedding is left out (offset 0), as
        are biases and norms on queries and keys.

    Raises:
        OptionError: no model, an unknown kind, null or option; a model of one layer.
        AddressError: a block without known attention weights.
        CheckFailed: an adapter or a hook on them.
        ShapeError: NaN or infinity in these weights.

    Shows: which heads' outputs lie in what a later head reads. Does not show: that either head is
    active, or that the path matters: path-patch it.

    Source: Elhage et al., "A Mathematical Framework for Transformer Circuits" (2021), section
    "Two-Layer Attention-Only Transformers", the Frobenius-norm ratio. The baseline there is random
    matrices of the same shape (``null="gaussian"``); keeping the singular values is added here,
    since a matrix with a few large ones scatters more.

    >>> import residuum as rz
    >>> from residuum import heads
    >>> table = heads.composition(rz.load("microworld", check=False), "K", draws=50)
    >>> table.effects.shape, bool((table.effects.max() <= 1.0).item())
    ((32, 32), True)
    """
    refuse_unknown(unknown, "composition", "fold, null, draws, seed")
    need_model(model, "composition")
    _check(kind, KINDS, "kind")
    _check(null, NULLS, "null")
    yes_or_no(fold, "fold")
    whole_number(draws, "draws", 20)
    whole_number(seed, "seed", 0)
    if model.n_layers < 2:
        raise OptionError(
            "a model of one layer has no head after another",
            mend="heads compose from two layers on",
        )
    all_heads = _all_heads(model, kind, fold)
    rank = max(each.writes.spectrum.numel() for each in all_heads)
    frames = _overlaps(model.dims.d_model, rank, draws, seed)
    scores, baseline = _score_all(all_heads, frames, _null_of(null, model, draws, seed))
    labels = [f"L{each.layer}H{each.head}" for each in all_heads]

    def grid(values: np.ndarray) -> xr.DataArray:
        return xr.DataArray(
            values, dims=("writer", "reader"), coords={"writer": labels, "reader": labels}
        )

    reached = (baseline >= scores[..., None] * (1 - 1e-12)).sum(-1)
    p = np.where(np.isnan(scores), np.nan, (1 + reached) / (1 + draws))
    low, high = np.quantile(baseline, [0.025, 0.975], axis=-1)
    strategy = f"composition({kind}, fold={fold}, null={null}, draws={draws})"
    return Composition(
        kind=kind,
        effects=grid(scores),
        mean=grid(baseline.mean(-1)),
        low=grid(low),
        high=grid(high),
        p=grid(p),
        null=null,
        draws=draws,
        folded=fold,
        provenance=model.provenance(strategy=strategy, seed=seed),
    )


def _check(value: Any, allowed: Iterable[str], name: str) -> None:
    if value not in tuple(allowed):
        raise OptionError(f"{name}={shown(value)}", mend=f"use one of {', '.join(allowed)}")


@dataclass(frozen=True)
class _Side:
    """One matrix as the side that faces the other: ``[d_model r]`` frame and singular values."""

    frame: Tensor
    spectrum: Tensor

    @staticmethod
    def of(facing: Tensor, far: Tensor) -> _Side:
        """Of ``far @ facingᵀ``: the singular directions in the stream that both heads share."""
        q_near, r_near = torch.linalg.qr(facing.double())
        r_far = torch.linalg.qr(far.double())[1]
        u, s, _ = torch.linalg.svd(r_near @ r_far.T, full_matrices=False)
        return _Side((q_near @ u).cpu(), s.cpu())


@dataclass(frozen=True)
class _Head:
    layer: int
    head: int
    writes: _Side
    reads: _Side


def _all_heads(model: Model, kind: str, fold: bool) -> list[_Head]:
    found = []
    for layer in range(model.n_layers):
        part = layer_of(model, layer, "composition", "vo" if kind == "V" else "qkvo")
        d_model = model.dims.d_model
        norm = norm_map(part.ln1, d_model) if fold else None
        after = write_gain(part, d_model) if fold else None
        group = part.projections.n_heads // part.projections.n_kv_heads
        for head in range(part.projections.n_heads):
            q, k, v = (
                projection(part, slot, head if slot == "q" else head // group) for slot in "qkv"
            )
            q, k, v = (each if norm is None else norm.fold(each) for each in (q, k, v))
            out = output_of(part, head)
            out = (out if after is None else after.apply(out)).T
            facing, far = {"Q": (q, k), "K": (k, q), "V": (v, out)}[kind]
            found.append(_Head(layer, head, _Side.of(out, v), _Side.of(facing, far)))
    return found


def _overlaps(d_model: int, rank: int, draws: int, seed: int) -> Tensor:
    """Squared overlaps of two random frames of the stream, ``[draw rank rank]``."""
    generator = torch.Generator().manual_seed(seed)
    rank = min(rank, d_model)
    found = torch.empty(draws, rank, rank, dtype=torch.float64)
    for draw in range(draws):
        normal = torch.randn(d_model, rank, generator=generator, dtype=torch.float64)
        found[draw] = torch.linalg.qr(normal)[0][:rank].square()
    return found


def _null_of(null: str, model: Model, draws: int, seed: int) -> Tensor | None:
    """The gaussian null ``[draw]``, or None where each pair has its own."""
    if null == "spectrum":
        return None
    generator = torch.Generator().manual_seed(seed)
    d_model, d_head = model.dims.d_model, model.dims.d_head
    found = torch.empty(draws, dtype=torch.float64)
    for draw in range(draws):
        factors = torch.randn(4, d_model, d_head, generator=generator, dtype=torch.float64)
        one, two = _Side.of(factors[0], factors[1]), _Side.of(factors[2], factors[3])
        found[draw] = _score(one, two)
    return found


def _score(writer: _Side, reader: _Side) -> float:
    overlap = (writer.frame.T @ reader.frame).square()
    one, two = writer.spectrum.square(), reader.spectrum.square()
    total = one.sum() * two.sum()
    return float((one @ overlap @ two / total).sqrt()) if float(total) > 0 else 0.0


def _score_all(
    heads: list[_Head], overlaps: Tensor, shared: Tensor | None
) -> tuple[np.ndarray, np.ndarray]:
    """Scores ``[writer reader]`` and baselines ``[writer reader draw]``."""
    draws = len(overlaps)
    scores = np.full((len(heads), len(heads)), np.nan)
    baseline = np.full((len(heads), len(heads), draws), np.nan)
    for i, writer in enumerate(heads):
        one = _share(writer.writes.spectrum)
        for j, reader in enumerate(heads):
            if reader.layer <= writer.layer:
                continue
            scores[i, j] = _score(writer.writes, reader.reads)
            if shared is not None:
                baseline[i, j] = shared.numpy()
                continue
            two = _share(reader.reads.spectrum)
            drawn = torch.einsum("i,sij,j->s", one, overlaps[:, : len(one), : len(two)], two)
            baseline[i, j] = drawn.sqrt().numpy()
    return scores, baseline


def _share(spectrum: Tensor) -> Tensor:
    square = spectrum.square()
    return square / square.sum().clamp_min(torch.finfo(square.dtype).tiny)
