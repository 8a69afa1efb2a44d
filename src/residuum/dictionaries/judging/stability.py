"""Are the same latents found again? ``rz.dictionary_stability([dictionaries], model, text)``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch

from residuum.core import SILENT, OptionError, Progress, Provenance
from residuum.dictionaries.judging.ground_truth_result import Measured
from residuum.dictionaries.judging.judged_rows import JudgedRows, need_judgeable
from residuum.dictionaries.judging.latent_effects import LatentEffects, latent_effects
from residuum.dictionaries.judging.stability_comparison import families_of, mattering
from residuum.dictionaries.judging.stability_match import Directions, Match, match_latents
from residuum.dictionaries.judging.stability_result import Stability
from residuum.runs import Model, need_model
from residuum.runs.arguments import need_progress, shown, whole_number
from residuum.runs.intervals import bootstrap_mean_interval


def dictionary_stability(
    dictionaries: Sequence[Any],
    model: Model | None = None,
    text: Any = None,
    *,
    threshold: float = 0.7,
    tokens: int | None = None,
    rows_each: int = 16,
    null_draws: int = 1,
    level: float = 0.95,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Stability:
    """Compare dictionaries of the same sites, trained with other seeds or in other ways.

    Latents of each two dictionaries are paired one to one (Hungarian; where both have more than
    4,096 latents, as mutual nearest neighbours), by their encoders and by their decoders. One is
    *found again* where both pairings give it the same partner and the mean of the two cosines
    reaches the threshold; beside it stand the shares of each pairing alone. With a model and text,
    each latent is also taken out of the text where it is active, and those found in all other
    dictionaries are compared with those found in none: as they are, in pairs of like frequency, in
    pairs of like frequency and strength.

    Args:
        dictionaries: two or more.
        model, text: to measure what latents matter; without them only the match is.
        threshold: least cosine.
        tokens: of text, at most.
        rows_each: rows of text on which each latent is taken out, at most.
        null_draws: dictionaries drawn for each pair and each null.
        level: of the intervals.
        seed: of nulls, draws and intervals.
        progress: who is told, in pairs and dictionaries.

    Returns:
        Shares found again beside two nulls: the second dictionary turned as a whole, and its
        coordinates dealt out anew.

    Raises:
        OptionError: fewer than two dictionaries, two that are identical, other sites or models, a
            text without a model.
        LoadError: the model is not theirs.

    Shows: as of :class:`Stability`. Does not show: as there.
    Source: Paulo and Belrose 2025, "Sparse Autoencoders Trained on the Same Data Learn Different
    Features"; nulls and the matched comparison are this project's.

    >>> import torch
    >>> from residuum.dictionaries import Dictionary, TopK, dictionary_stability
    >>> at, eye = ("L1.resid_post",), torch.eye(16)
    >>> one, two = (Dictionary(at, at, W_enc=w[None], W_dec=w.T[:, None], activation=TopK(2),
    ...                        b_dec=torch.zeros(1, 16), b_enc=torch.zeros(16))
    ...             for w in (eye, eye.flip(1)))
    >>> found = dictionary_stability([one, two])
    >>> found.found_share.value, found.null_rotated.value < 0.2
    (1.0, True)
    """
    _check(dictionaries, model, text, threshold, level)
    for value, name, least in ((null_draws, "null_draws", 1), (rows_each, "rows_each", 1)):
        whole_number(value, name, least)
    whole_number(seed, "seed", 0)
    need_progress(progress)
    _refuse_copies(dictionaries)
    directions = [Directions.of(each) for each in dictionaries]
    rng = np.random.default_rng(seed)
    matches: dict[tuple[int, int], Match] = {}
    nulls: dict[str, list[Match]] = {"rotated": [], "permuted": []}
    pairs = list(combinations(range(len(dictionaries)), 2))
    progress.start("stability", len(pairs))
    try:
        for a, b in pairs:
            matches[a, b] = match_latents(directions[a], directions[b])
            for _ in range(null_draws):
                for name, several in nulls.items():
                    drawn = getattr(directions[b], name)(rng)
                    several.append(match_latents(directions[a], drawn))
            progress.advance()
    finally:
        progress.finish()
    effects = _effects(dictionaries, model, text, tokens, rows_each, seed)
    return _result(dictionaries, matches, nulls, effects, threshold, level, seed, model)


def _effects(
    dictionaries: Sequence[Any], model: Model | None, text: Any, tokens: int | None,
    rows_each: int, seed: int,
) -> list[LatentEffects]:  # fmt: skip
    if model is None:
        return []
    rows = JudgedRows.of(model, dictionaries[0], text, tokens)
    return [latent_effects(each, rows, rows_each=rows_each, seed=seed) for each in dictionaries]


def _result(
    dictionaries: Sequence[Any], matches: dict[tuple[int, int], Match],
    nulls: dict[str, list[Match]], effects: list[LatentEffects], threshold: float, level: float,
    seed: int, model: Model | None,
) -> Stability:  # fmt: skip
    sizes = [each.n_latents for each in dictionaries]
    again = {pair: match.pairs(threshold) for pair, match in matches.items()}
    found = _found(again, sizes)
    shares = np.full((len(sizes), len(sizes)), np.nan)
    for (a, b), pairs in again.items():
        shares[a, b], shares[b, a] = len(pairs) / sizes[a], len(pairs) / sizes[b]
    families = families_of(again, sizes)
    curves = {"found": _curve(list(matches.values()))}
    curves |= {name: _curve(several) for name, several in nulls.items()}
    null = {name: _null(several, threshold) for name, several in nulls.items()}
    alone: dict[str, Measured] = {}
    for by in ("encoder", "decoder"):
        own = {pair: match.pairs(threshold, by) for pair, match in matches.items()}
        groups = families_of(own, sizes)
        alone[by] = _share(np.concatenate(_found(own, sizes)), groups, level, seed)
    alive = np.concatenate([each.frequency > 0 for each in effects]) if effects else None
    whole = np.concatenate(found)
    matters = mattering(found, effects, families, level, seed) if effects else {}
    ways = sorted({each.matching for each in matches.values()})
    strategy = (
        f"dictionary_stability(threshold={threshold:g}, level={level:g}, matching={'+'.join(ways)})"
    )
    provenance = Provenance(
        model_id=getattr(dictionaries[0], "model_name", ""),
        weight_hash=getattr(dictionaries[0], "weight_hash", "") or "", strategy=strategy, seed=seed,
    )  # fmt: skip
    return Stability(
        sites=tuple(dict.fromkeys(map(str, (*dictionaries[0].reads, *dictionaries[0].writes)))),
        n_latents=tuple(sizes),
        matching=tuple(ways),
        threshold=threshold,
        found_share=_share(whole, families, level, seed),
        found_share_alive=None if alive is None else _share(
            whole[alive], families[alive], level, seed),
        alone_share=alone,
        alone_null={
            by: _null([each for several in nulls.values() for each in several], threshold, by)
            for by in alone
        },
        share_of_pair=shares,
        null_rotated=null["rotated"],
        null_permuted=null["permuted"],
        found=tuple(found),
        effects=tuple(effects),
        matters={name: figure for name, (figure, _, _) in matters.items()},
        matters_n={name: n for name, (_, n, _) in matters.items()},
        matters_families={name: n for name, (_, _, n) in matters.items()},
        curves=curves,
        level=level,
        provenance=provenance if model is None else model.provenance(strategy=strategy, seed=seed),
    )  # fmt: skip


def _found(again: dict[tuple[int, int], np.ndarray], sizes: list[int]) -> list[np.ndarray]:
    """Of each dictionary, ``[latent]`` share of the others that have it."""
    found = [np.zeros(size) for size in sizes]
    for (a, b), pairs in again.items():
        found[a][pairs[:, 0]] += 1
        found[b][pairs[:, 1]] += 1
    return [each / (len(sizes) - 1) for each in found]


def _share(found: np.ndarray, families: np.ndarray, level: float, seed: int) -> Measured:
    low, high = bootstrap_mean_interval(
        found.tolist(), level, seed=seed, clusters=[str(each) for each in families]
    )
    return Measured(float(found.mean()), low, high)


def _null(matches: list[Match], threshold: float, by: str = "both") -> Measured:
    """Mean share over the drawings, and the least and the greatest."""
    shares = [float((each.cosine(by) >= threshold).mean()) for each in matches]
    return Measured(float(np.mean(shares)), min(shares), max(shares))


def _curve(matches: list[Match]) -> np.ndarray:
    """Mean of both cosines, falling, at each percent of the latents; mean over the pairs."""
    at = np.linspace(1, 0, 101)
    several = [np.quantile((each.encoder + each.decoder) / 2, at) for each in matches]
    return np.mean(several, axis=0)


def _check(
    dictionaries: Sequence[Any], model: Model | None, text: Any, threshold: float, level: float
) -> None:
    several = isinstance(dictionaries, (list, tuple))
    if not several or len(dictionaries) < 2:
        held = f"holds {len(dictionaries)}" if several else f"is {shown(dictionaries)}"
        raise OptionError(
            f"stability needs two dictionaries or more, dictionaries= {held}",
            mend="train with several seeds and give all of them in a list",
        )
    for value, name in ((threshold, "threshold"), (level, "level")):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
            raise OptionError(f"{name}={shown(value)} is out of range", mend="give 0 to 1, between")
    if (model is None) != (text is None):
        raise OptionError(
            "model and text belong together", mend="give both to take latents out, or neither"
        )
    first = dictionaries[0]
    for each in dictionaries:
        Directions.of(each)
        ends = (tuple(each.reads), tuple(each.writes), each.W_enc.shape[:2], each.W_dec.shape[1:])
        own = (tuple(first.reads), tuple(first.writes), first.W_enc.shape[:2],
               first.W_dec.shape[1:])  # fmt: skip
        known = {first.weight_hash, each.weight_hash} - {None}
        if ends != own or len(known) > 1:
            what = "sites" if ends != own else "models"
            raise OptionError(
                f"the dictionaries are of different {what}",
                mend="compare dictionaries of one model and the same sites",
                where=", ".join(map(str, each.reads)),
            )
        if model is not None:
            need_model(model, "dictionary_stability")
            need_judgeable(model, each)


def _refuse_copies(dictionaries: Sequence[Any]) -> None:
    """One dictionary given twice would be found again in full, which says nothing."""
    for a, b in combinations(range(len(dictionaries)), 2):
        first, second = dictionaries[a].tensors(), dictionaries[b].tensors()
        if first.keys() == second.keys() and all(
            torch.equal(first[name].cpu(), second[name].cpu()) for name in first
        ):
            raise OptionError(
                f"dictionaries {a} and {b} (counted from 0) are identical: nothing is compared",
                mend="give dictionaries of different trainings, such as other seeds",
            )
