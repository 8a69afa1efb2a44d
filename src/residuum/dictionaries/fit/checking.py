"""Does a dictionary hang on the right tensor? ``rz.fit_dictionary(model, dictionary)``.

A dictionary on the wrong tensor does not fail, it gives wrong numbers. So it is measured: active
latents and explained variance (about the mean) on the model's own activations, against what was
declared, against the same vectors turned, and against every other place that it could hang on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from residuum.core import LoadError
from residuum.dictionaries.fit.measure import Sums, drawings, interval, measured, turned
from residuum.dictionaries.fit.result import Fit, Measured
from residuum.dictionaries.fit.sites import Pair, Spot, need_sites, places, rivals_of
from residuum.dictionaries.fit.text import Held, held_at, own_text, text_of
from residuum.runs import Model, need_model, whole_number

_BYTES = 2**30
"""What the captured vectors may take; fewer rows of text are run where sites are many and wide."""


def fit_dictionary(model: Model, dictionary: Any, *, text: Any = None, seed: int = 0) -> Fit:
    """Measure how well a dictionary fits its sites on a model, and whether others fit better.

    Args:
        model: a loaded model.
        dictionary: with its sites.
        text: texts, rows of token ids, or a path, of the kind that it was trained on; None takes
            text that the model writes itself (128 rows of at most 64 tokens).
        seed: of that text, of the intervals and of the turning.

    Returns:
        The fit; ``fit.reasons`` says why it would be refused, ``fit.need()`` refuses.

    Raises:
        LoadError: trained on other weights; vectors of another width.
        AddressError, SiteRefused: the model lacks the site.
        TokenError: too little text.

    Shows: whether the dictionary belongs to these tensors rather than to others of this model.
    Does not show: that two tensors which it fits equally well are told apart (a stream before and
    after a block that adds little), nor that its latents mean anything.

    Source: this project; the rule and its errors are measured in
    ``docs/howto/dictionary-formats.md``.

    >>> import torch, residuum as rz
    >>> from residuum.dictionaries import Dictionary, TopK
    >>> model = rz.load("microworld", check=False)
    >>> at, noise = ("L1.resid_post",), torch.randn(128, 256, generator=torch.manual_seed(0))
    >>> random = Dictionary(at, at, W_enc=noise[None], W_dec=noise.T[:, None] / 128,
    ...                     b_dec=torch.zeros(1, 128), activation=TopK(8), b_enc=torch.zeros(256))
    >>> fit_dictionary(model, random).fits
    False
    """
    need_model(model, "fit_dictionary")
    whole_number(seed, "seed", 0)
    need_sites(model, dictionary)
    _need_same_weights(model, dictionary)
    rows = own_text(model, seed) if text is None else text_of(model, text)
    own = (tuple(dictionary.reads), tuple(dictionary.writes))
    pairs = [own, *rivals_of(model, dictionary)]
    held = held_at(model, _affordable(rows, pairs, dictionary.width), places(pairs))
    draws = drawings(held.n_rows, seed)
    sums = {
        pair: _sums(dictionary, held, pair)
        for pair in pairs
        if pair == own or _new(held, pair, own)
    }
    return Fit(
        reads=own[0],
        writes=own[1],
        here=_measured(sums[own], draws),
        turned=_measured(_sums(dictionary, _turned(held, own, seed), own), draws),
        rivals={
            _name(pair): (_measured(each, draws), _ratio(sums[own], each, draws))
            for pair, each in sums.items()
            if pair != own
        },
        declared=_figures(getattr(dictionary, "declared", {})),
        n_latents=dictionary.n_latents,
        n_tokens=len(held.rows),
        left_out=held.left_out,
        own_text=text is None,
        provenance=model.provenance(strategy="fit of a dictionary", seed=seed),
    )


def _need_same_weights(model: Model, dictionary: Any) -> None:
    known = dictionary.weight_hash
    if known and known != model.adapted.weight_hash:
        raise LoadError(
            f"the dictionary was trained on {getattr(dictionary, 'model_name', '') or 'a model'} "
            f"({known[:8]}), this is {model.name} ({model.adapted.weight_hash[:8]})",
            mend="take that model, in the dtype that it was trained in; or train one for this",
            where=", ".join(map(str, dictionary.reads)),
        )


def _affordable(rows: list[list[int]], pairs: list[Pair], width: int) -> list[list[int]]:
    """As many rows as fit into memory at all places, two at least."""
    most = _BYTES // (4 * width * max(1, len(places(pairs))))
    kept, total = [], 0
    for row in rows:
        total += len(row)
        if total > most and len(kept) > 1:
            break
        kept.append(row)
    return kept


def _joined(held: Held, sites: tuple[Spot, ...]) -> Tensor:
    values = [held.values[at] for at in sites]
    return values[0] if len(values) == 1 else torch.stack(values, dim=1)


def _sums(dictionary: Any, held: Held, pair: Pair) -> Sums:
    x, target = (_joined(held, sites) for sites in pair)
    return measured(dictionary, x, target, held.rows, held.n_rows)


def _turned(held: Held, pair: Pair, seed: int) -> Held:
    values = {at: turned(held.values[at], seed + i) for i, at in enumerate(places([pair]))}
    return Held(values, held.rows, held.n_rows, held.left_out)


def _new(held: Held, pair: Pair, own: Pair) -> bool:
    """Whether a place holds other numbers than the dictionary's own (``resid_post`` of a layer is
    ``resid_pre`` of the next one)."""
    ends = zip(pair, own, strict=True)
    return any(not torch.equal(_joined(held, a), _joined(held, b)) for a, b in ends)


def _measured(sums: Sums, draws: Tensor) -> Measured:
    explained = 1 - sums.unexplained(draws)
    return Measured(interval(sums.l0(draws)), interval(explained))


def _ratio(own: Sums, other: Sums, draws: Tensor) -> tuple[float, float, float]:
    """Unexplained here over unexplained there, with its interval."""
    there = other.unexplained(draws).clamp_min(1e-12)
    return interval(own.unexplained(draws) / there)


def _name(pair: Pair) -> str:
    read, write = ", ".join(map(str, pair[0])), ", ".join(map(str, pair[1]))
    return read if read == write else f"{read} -> {write}"


def _figures(declared: Mapping[str, Any]) -> dict[str, float]:
    found = {name: declared.get(name) for name in ("l0", "explained_variance")}
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
