"""How good is a dictionary? ``rz.evaluate_dictionary(dictionary, model, text)``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import SILENT, OptionError, Progress, TokenError
from residuum.dictionaries.fit.checking import fit_dictionary
from residuum.dictionaries.harvests.token_masks import SKIPPED_BY_DEFAULT, HighNorm
from residuum.dictionaries.judging.document_sums import (
    DocumentSums,
    Totals,
    measured,
    ratio,
    share_without_groups,
)
from residuum.dictionaries.judging.evaluation_result import DictionaryScores
from residuum.dictionaries.judging.judged_rows import (
    JudgedBatch,
    JudgedRows,
    need_judgeable,
    through,
)
from residuum.dictionaries.judging.recovered import losses_with
from residuum.runs import Model, need_model
from residuum.runs.arguments import need_progress, whole_number, yes_or_no

DENSE = 0.1
"""A latent that is active in more than this share of the tokens is called dense."""
_GROUPS = 20
_FIT_ROWS = 64


@torch.no_grad()
def evaluate_dictionary(
    dictionary: Any,
    model: Model,
    text: Any,
    *,
    tokens: int | None = None,
    context: int | None = None,
    skip: Sequence[str | HighNorm] = SKIPPED_BY_DEFAULT,
    check: bool = True,
    level: float = 0.95,
    seed: int = 0,
    progress: Progress = SILENT,
) -> DictionaryScores:
    """Measure a dictionary on its own model and site: how sparse, how exact, what it costs.

    The model runs the text four times: as it is, with the reconstruction in the written sites'
    place, with zeros there, and with their mean over the text. What training leaves out
    (``skip``) is neither judged nor replaced.

    Args:
        dictionary: of one model; transcoders and crosscoders replace all sites that they write.
        model: the one that it was trained on.
        text: as :func:`harvest` takes it; not the text that it was trained on.
        tokens: of text, at most; None takes all.
        context: tokens in a row at most; None means the model's, at most 1024.
        skip: as of :func:`harvest`.
        check: first make sure that it hangs on the right tensor (``fit_dictionary``, 64 rows).
        level: of the intervals.
        seed: of the intervals and of the check.
        progress: who is told, in rows of text.

    Returns:
        Figures, each with an interval from drawing whole documents again.

    Raises:
        LoadError: other weights than those it was trained on; another width.
        CheckFailed: it fits another site better, or this one no better than any (see
            :func:`fit_dictionary`).
        AddressError, SiteRefused, OptionError, TokenError: no such site; options out of range; no
            text, or fewer than two documents.

    Shows: as of :class:`DictionaryScores`. Does not show: as there.
    Source: recovered loss as in Cunningham et al. 2023, "Sparse Autoencoders Find Highly
    Interpretable Features", and Karvonen et al. 2025, "SAEBench"; variance about the mean.

    >>> import torch, residuum as rz
    >>> from residuum.dictionaries import Dictionary, ReLU, evaluate_dictionary
    >>> model, at = rz.load("microworld", check=False), ("L1.resid_post",)
    >>> eye = torch.eye(128)
    >>> both = Dictionary(at, at, W_enc=torch.cat([eye, -eye], 1)[None],
    ...     W_dec=torch.cat([eye, -eye])[:, None], b_dec=torch.zeros(1, 128), activation=ReLU(),
    ...     b_enc=torch.zeros(256))
    >>> text = ["Mary went to the store .", "John gave a drink to Mary ."]
    >>> scores = evaluate_dictionary(both, model, text, check=False)
    >>> round(scores.explained_variance.value, 3), scores.l0.value
    (1.0, 128.0)
    """
    need_model(model, "evaluate_dictionary")
    need_judgeable(model, dictionary)
    need_progress(progress)
    whole_number(seed, "seed", 0)
    yes_or_no(check, "check")
    if not 0 < level < 1:
        raise OptionError(f"level={level}", mend="give a level between 0 and 1, such as 0.95")
    rows = JudgedRows.of(model, dictionary, text, tokens, context, skip)
    if len(rows.documents) < 2:
        raise TokenError(
            f"{len(rows.documents)} document gives no interval", mend="give two texts or more"
        )
    if check:
        ids = (rows.table.row(i).tolist() for i in range(len(rows.table)))
        some = list(islice((each for each in ids if len(each) > 2), _FIT_ROWS))
        fit_dictionary(model, dictionary, text=some, seed=seed).need()
    work = _Judging(rows, dictionary, mean_at(rows, dictionary))
    progress.start("evaluate", len(rows.table))
    try:
        for read in rows.batches(logits=True):
            work.add(read)
            progress.advance(len(read.keep))
    finally:
        progress.finish()
    return work.scores(level, seed)


def mean_at(rows: JudgedRows, dictionary: Any) -> Tensor:
    """The mean of the written sites over the tokens that count, ``[write d]`` float32.

    Raises:
        TokenError: no token counts.
    """
    whole, n = torch.zeros(()), 0
    for read in rows.batches():
        values = read.values(dictionary.writes)[read.keep]
        whole = whole.to(values.device) + values.double().sum(0)
        n += len(values)
    if not n:
        raise TokenError("every token of the text was left out", mend="give skip=() or more text")
    mean = (whole / n).float()
    return mean if mean.ndim == 2 else mean[None]


class _Judging:
    """Adds up over the passes."""

    def __init__(self, rows: JudgedRows, dictionary: Any, mean: Tensor) -> None:
        self.rows, self.dictionary, self.mean = rows, dictionary, mean
        self.sums = DocumentSums(len(rows.documents))
        self.active = torch.zeros(_GROUPS, dictionary.n_latents + 1, dtype=torch.float64)

    def add(self, read: JudgedBatch) -> None:
        """One pass: reconstruction, activity, losses."""
        documents = read.documents[read.keep]
        x = read.values(self.dictionary.reads)[read.keep]
        target = read.values(self.dictionary.writes)[read.keep].flatten(1)
        made = through(self.dictionary, x, "reconstruct").flatten(1)
        active = (through(self.dictionary, x, "encode") != 0).flatten(1)
        self.sums.add(documents, **_reconstruction(target, made, self.mean), active=active.sum(1))
        group = documents % _GROUPS
        counts = torch.cat([active, torch.ones_like(active[:, :1])], 1).double().cpu()
        self.active.index_add_(0, group, counts)
        found = losses_with(self.rows.model, self.dictionary, read, self.mean)
        where = found.pop("documents")
        self.sums.add(where, predicted=torch.ones(len(where)), **found)

    def scores(self, level: float, seed: int) -> DictionaryScores:
        """The figures with their intervals."""
        totals, active = self.sums.totals(seed), self.active.numpy()
        width = float(self.mean.numel())
        shares = {
            "dead_share": share_without_groups(active, lambda f: f == 0, level),
            "dense_share": share_without_groups(active, lambda f: f > DENSE, level),
        }
        strategy = f"evaluate_dictionary({self.rows.table.hash[:12]}, level={level:g})"
        rules = _rules(width).items()
        return DictionaryScores(
            **{name: measured(totals, rule, level) for name, rule in rules},
            **shares,
            sites=tuple(map(str, self.dictionary.writes)),
            n_latents=self.dictionary.n_latents,
            n_tokens=int(totals["tokens"][0]),
            n_documents=len(self.rows.documents),
            frequencies=active.sum(0)[:-1] / totals["tokens"][0],
            level=level,
            provenance=self.rows.model.provenance(strategy=strategy, seed=seed),
        )


def _reconstruction(target: Tensor, made: Tensor, mean: Tensor) -> dict[str, Tensor]:
    """Sums' terms ``[token]``; deviations are from the target's mean."""
    x, y = target.double(), made.double()
    centre = mean.flatten().double()
    from_mean, made_from_mean = x - centre, y - centre
    return {
        "tokens": torch.ones(len(x)),
        "error": (x - y).pow(2).sum(1),
        "variance": from_mean.pow(2).sum(1),
        "along": (made_from_mean * from_mean).sum(1),
        "length": made_from_mean.pow(2).sum(1),
        "cosine": torch.cosine_similarity(x, y, dim=1),
    }


def _rules(width: float) -> dict[str, Any]:
    """From sums over documents to figures."""

    def mean_of(name: str, over: str = "tokens", unit: float = 1.0) -> Any:
        return lambda s: ratio(s[name], s[over] * unit)

    def recovered(way: str) -> Any:
        return lambda s: ratio(
            s[f"loss_{way}"] - s["loss_spliced"], s[f"loss_{way}"] - s["loss_model"]
        )

    def shrinkage(s: Totals) -> np.ndarray:
        return 1 - ratio(s["length"], s["along"])

    bits = math.log(2)
    ways = ("spliced", "zero", "mean")
    return {
        "l0": mean_of("active"),
        "explained_variance": lambda s: 1 - ratio(s["error"], s["variance"]),
        "mse": mean_of("error", unit=width),
        "cosine": mean_of("cosine"),
        "shrinkage": shrinkage,
        **{f"loss_{w}_nats": mean_of(f"loss_{w}", "predicted") for w in ("model", *ways)},
        **{f"kl_{w}_bits": mean_of(f"kl_{w}", "predicted", bits) for w in ways},
        **{f"loss_recovered_{w}_frac": recovered(w) for w in ("zero", "mean")},
        "kl_recovered_zero_frac": lambda s: 1 - ratio(s["kl_spliced"], s["kl_zero"]),
        "kl_recovered_mean_frac": lambda s: 1 - ratio(s["kl_spliced"], s["kl_mean"]),
    }
