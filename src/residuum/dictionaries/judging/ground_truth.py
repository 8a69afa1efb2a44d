"""A dictionary against features that are known: which latent is which, how pure, how complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from residuum.core import OptionError, Provenance
from residuum.dictionaries.judging.ground_truth_result import GroundTruth, Measured
from residuum.dictionaries.judging.pairing import pair_directions
from residuum.dictionaries.training.synthetic import SparseWorld
from residuum.runs.arguments import shown, whole_number
from residuum.runs.intervals import bootstrap_mean_interval

_ROWS = 4096
_CHUNKS = 64
_RESAMPLES = 1000


class Judged(Protocol):
    """What is judged: a :class:`Dictionary` of one site, or an oracle with the same face."""

    @property
    def W_dec(self) -> Tensor:
        """``[latent write d_model]``."""
        ...

    def encode(self, x: Tensor) -> Tensor:
        """``[n latent]`` of ``[n d_model]``."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """``[n d_model]`` of ``[n latent]``."""
        ...


def match_truth(
    dictionary: Judged,
    world: SparseWorld,
    *,
    samples: int = 32_768,
    level: float = 0.95,
    seed: int = 0,
    name: str = "dictionary",
) -> GroundTruth:
    """Compare a dictionary with the features that its samples were made of.

    Latents are matched with features one to one, so that the sum of the cosines between decoder
    rows and features is greatest (with more than 4,096 of both: as mutual nearest neighbours, and
    ``matching`` says so). *MCC* is the mean cosine over all features; one left without a
    latent counts 0. *F1* is of the activity: the latent is read as saying "active" from a
    threshold up, which is the one that is best on the first half of the samples; the second half
    is judged. *Shrinkage* is ``1 - Σ x̂·x̂ / Σ x̂·x``, what all reconstructions are too short by
    (0: right; a negative number: too long).

    Args:
        dictionary: of one site, of the world's width.
        world: what the samples come from.
        samples: held-out ones, half of them for the thresholds.
        level: of the intervals.
        seed: of the bootstrap.
        name: under which it is shown.

    Returns:
        Figures with intervals: of MCC and F1 over the features, of the rest over the samples.

    Raises:
        OptionError: another width, or too few samples.

    Shows: whether features that are known to be there were found, on samples of the same world.
    Does not show: that a dictionary trained on a model's activations finds what is there; those
    have features that are neither independent nor known.
    Source: Hungarian matching as in Sharkey et al. 2022, "Taking features out of superposition
    with sparse autoencoders"; shrinkage after Rajamanoharan et al. 2024, "Improving Dictionary
    Learning with Gated Sparse Autoencoders", equation 10 (there its complement, γ).
    """
    whole_number(samples, "samples", 2 * _CHUNKS)
    rows = dictionary.W_dec.detach()
    if rows.ndim != 3 or rows.shape[1] != 1 or rows.shape[2] != world.width:
        raise OptionError(
            f"a dictionary that writes {list(rows.shape[1:])} is none of this world of width "
            f"{world.width}",
            mend=f"train it on the world's own stream; got {shown(type(dictionary).__name__)}",
        )
    pairs = pair_directions(_unit(rows[:, 0].double().cpu()), world.features.double().numpy())
    latent_of, feature_of = pairs.first, pairs.second
    matched = np.full(world.n_features, -1)
    matched[feature_of] = latent_of
    found = np.zeros(world.n_features)
    found[feature_of] = pairs.cosines
    read = _read(dictionary, world, samples, torch.tensor(latent_of), torch.tensor(feature_of))
    f1, f1_any = _f1(read, world.n_features, feature_of)

    def over_features(values: np.ndarray) -> Measured:
        kept = values[~np.isnan(values)]
        low, high = bootstrap_mean_interval(kept.tolist(), level, seed=seed)
        return Measured(float(kept.mean()), low, high)

    def over_samples(ratio: Any) -> Measured:
        return _bootstrap(read.sums, ratio, level, seed)

    strategy = f"match_truth({samples} samples, level={level:g})"
    return GroundTruth(
        name=name,
        mcc=over_features(found),
        f1=over_features(f1),
        f1_any=over_features(f1_any),
        explained_variance=over_samples(lambda s: 1 - s["residual"] / s["variance"]),
        l0=over_samples(lambda s: s["active"] / s["rows"]),
        shrinkage=over_samples(lambda s: 1 - s["square"] / s["along"]),
        dead_share=float((~read.fired).double().mean()),
        cosines=found,
        f1_of=f1,
        latent_of=matched,
        matching=pairs.matching,
        frequencies=world.frequencies.numpy(),
        world=world.record,
        level=level,
        provenance=Provenance(model_id="SparseWorld", task_hash=world.hash, strategy=strategy,
                              seed=seed),
    )  # fmt: skip


@dataclass
class _Reading:
    """What the passes over the samples leave.

    ``values`` and ``truth`` are ``[n pair]``; ``sums`` holds one number a chunk of samples.
    """

    values: Tensor
    truth: Tensor
    fired: Tensor
    sums: dict[str, np.ndarray]


def _unit(rows: Tensor) -> np.ndarray:
    return (rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)).numpy()


@torch.no_grad()
def _read(
    dictionary: Judged, world: SparseWorld, samples: int, latents: Tensor, features: Tensor
) -> _Reading:
    x, codes = world.held_out(samples)
    mean = x.double().mean(0)
    values, per_sample = [], []
    fired = torch.zeros(len(dictionary.W_dec), dtype=torch.bool)
    for part in x.split(_ROWS):
        found = dictionary.encode(part)
        out = dictionary.decode(found).double()
        wide = part.double()
        values.append(found[:, latents])
        fired |= (found > 0).any(0)
        squares = ((wide - out) ** 2).sum(1), ((wide - mean) ** 2).sum(1)
        products = (out * out).sum(1), (out * wide).sum(1)
        active = (found > 0).sum(1).double()
        rows = [*squares, *products, active, torch.ones_like(active)]
        per_sample.append(torch.stack(rows))
    table = torch.cat(per_sample, 1).numpy()
    chunks = np.stack([part.sum(1) for part in np.array_split(table, _CHUNKS, axis=1)], 1)
    names: list[str] = ["residual", "variance", "square", "along", "active", "rows"]
    sums = dict(zip(names, chunks, strict=True))
    return _Reading(torch.cat(values), codes[:, features] > 0, fired, sums)


def _f1(read: _Reading, n_features: int, feature_of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """F1 of each feature at its best threshold and at zero; 0 without a latent, NaN unseen."""
    half = len(read.values) // 2
    bars = _best_thresholds(read.values[:half], read.truth[:half])
    held, truth = read.values[half:], read.truth[half:]
    found = []
    for said in (held >= bars, held > 0):
        both = (said & truth).sum(0).double()
        score = 2 * both / (said.sum(0) + truth.sum(0))
        score[truth.sum(0) == 0] = float("nan")
        whole = np.zeros(n_features)
        whole[feature_of] = score.numpy()
        found.append(whole)
    return found[0], found[1]


def _best_thresholds(values: Tensor, truth: Tensor) -> Tensor:
    """The value from which up "active" is said with the best F1, ``[pair]``; above zero."""
    order = values.argsort(0, descending=True)
    high = values.gather(0, order)
    both = truth.gather(0, order).double().cumsum(0)
    said = torch.arange(1, len(values) + 1, dtype=torch.float64)[:, None]
    score = 2 * both / (said + truth.sum(0))
    score[high <= 0] = -1.0
    best = score.argmax(0)
    bars = high.gather(0, best[None])[0]
    return torch.where(bars > 0, bars, torch.full_like(bars, torch.inf))


def _bootstrap(sums: dict[str, np.ndarray], ratio: Any, level: float, seed: int) -> Measured:
    """A ratio of sums, with the interval of drawing the chunks of samples again."""
    drawn = np.random.default_rng(seed).integers(0, _CHUNKS, (_RESAMPLES, _CHUNKS))
    again = ratio({name: each[drawn].sum(1) for name, each in sums.items()})
    low, high = np.quantile(again, [(1 - level) / 2, (1 + level) / 2])
    return Measured(float(ratio({k: v.sum() for k, v in sums.items()})), float(low), float(high))
