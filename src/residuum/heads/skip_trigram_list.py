"""Skip-trigrams of a one-layer attention-only model: ``A … B → C``, and whether it obeys them."""

from __future__ import annotations

from typing import Any

import torch

from residuum.core import AddressError, OptionError
from residuum.heads.reading import embedding, head_of, index_of
from residuum.heads.skip_trigram_search import Search, Triple, default_draws
from residuum.heads.skip_trigram_table import SkipTrigram, SkipTrigrams
from residuum.runs import (
    Model,
    bootstrap_mean_intervals,
    need_model,
    prove_weights,
    refuse_unknown,
    shown,
    whole_number,
)

_CONTROLS = 64
_MEASURED = ("moved", "interval", "rank", "chance")


def skip_trigrams(
    model: Model,
    n: int = 20,
    *,
    head: int | None = None,
    width: int = 8,
    checks: int = 32,
    length: int | None = None,
    draws: int | None = None,
    seed: int = 0,
    **unknown: Any,
) -> SkipTrigrams:
    """List the strongest ``A … B → C`` of a one-layer model from its weights, and check them.

    For each A the ``width`` tokens B that score it highest above their mean and the ``width``
    tokens C that it raises most are combined; the products ``score × raised`` are sorted over all A
    and heads. Each token's embedding goes through the norm at its own size (exact for a token at a
    position without position embedding); ``raised`` is at the final norm's size 1.

    Args:
        model: attention-only, one layer.
        n: how many triples.
        head: only this head's; all by default.
        width: B and C kept for each A.
        checks: random contexts for each triple; 0 skips the check.
        length: tokens before B in a context; by default at most 8 and what fits the context.
        draws: of the null: in each, the same search with the heads' circuits turned at random
            against the embedding; one search each. By default 20, in vocabularies above 4,096
            fewer, so that it costs no more.
        seed: of the contexts and the null.

    Returns:
        The triples of positive strength with ``moved``: put A, or another random token, at a
        random place before B among random tokens other than A; how much A changes C's logit at B.
        Every triple is checked, none is dropped.

    Raises:
        OptionError: no model, an unknown option, a number out of range, a length that does not fit.
        AddressError: more than one layer, MLPs, no such head, no linear embedding.
        CheckFailed: an adapter or a hook on the weights.
        ShapeError: NaN or infinity in them.

    Shows and does not show: see :class:`SkipTrigrams`. Listed triples are the largest of very many,
    by selection. One head cannot hold ``A … B → C`` and ``A … B' → C'`` without ``A … B → C'``:
    such "bugs" stand in the list beside what was learned; ``direct`` tells them apart where B
    alone decides between C and C'.

    Source: Elhage et al. (2021), "One-Layer Attention-Only Transformers", skip-trigrams; the check
    against behaviour and the null are added here.

    >>> import residuum as rz
    >>> from residuum import heads
    >>> from residuum.models.native import NativeConfig, NativeForCausalLM
    >>> one = rz.load(NativeForCausalLM(NativeConfig(n_layers=1, d_vocab=9, d_model=8, n_ctx=6)))
    >>> len(heads.skip_trigrams(one, 3, checks=4).found)
    3
    """
    refuse_unknown(unknown, "skip_trigrams", "n, head, width, checks, length, draws, seed")
    need_model(model, "skip_trigrams")
    for value, name, least in ((n, "n", 1), (width, "width", 1), (checks, "checks", 0)):
        whole_number(value, name, least)
    whole_number(seed, "seed", 0)
    if draws is not None:
        whole_number(draws, "draws", 1)
    part = head_of(model, 0, 0 if head is None else head, "skip_trigrams")[0]
    if model.n_layers != 1 or part.has_mlp:
        raise AddressError(
            f"skip-trigrams are the algorithm of one attention-only layer; this model has "
            f"{model.n_layers} layer{'s' if model.n_layers > 1 else ''}"
            f"{' with MLPs' if part.has_mlp else ''}",
            mend="read single heads with heads.qk(..., full=True) and heads.ov(..., full=True)",
        )
    length = _length(model, length)
    some = range(model.n_heads) if head is None else [index_of(head, model.n_heads, "head")]
    prove_weights(model, [part], "qkvo")
    search = Search.of(model)
    draws = default_draws(len(search.tokens)) if draws is None else draws
    null = search.by_chance(some, draws, seed)
    triples = tuple(_named(search, each, null) for each in search.strongest(some, n, width))
    if checks:
        triples = tuple(_checked(model, each, checks, length, seed + i)
                        for i, each in enumerate(triples))  # fmt: skip
    notes = (
        "Positions and biases are left out of the weights.",
        f"Were the weights noise, the strongest triple would be beyond it in 1 of {draws + 1} "
        "draws.",
    )
    strategy = (
        f"skip_trigrams(n={n}, width={width}, checks={checks}, length={length}, draws={draws})"
    )
    made = model.provenance(strategy=strategy, seed=seed)
    return SkipTrigrams(triples, checks, null, draws, notes, made)


def _length(model: Model, length: int | None) -> int:
    if model.n_ctx is not None and model.n_ctx < 2:
        raise OptionError(
            f"in a context of {model.n_ctx} token nothing stands before B",
            mend="skip-trigrams need a model with a context of 2 tokens or more",
        )
    most = 8 if model.n_ctx is None else model.n_ctx - 1
    if length is None:
        length = min(8, most)
    if type(length) is not int or length < 1 or (model.n_ctx is not None and length > most):
        raise OptionError(
            f"length={shown(length)} does not fit the context of {model.n_ctx}",
            mend=f"use 1 to {most} tokens before B",
        )
    return length


def _named(search: Search, found: Triple, null: float) -> SkipTrigram:
    model, c = search.model, found.predicted
    words = model.to_str_tokens(torch.tensor([found.source, found.here, c]))
    row = (embedding(model, torch.tensor([found.here])) @ search.unembed)[0]
    return SkipTrigram(
        head=f"L0H{found.head}",
        source=found.source,
        here=found.here,
        predicted=c,
        words=(words[0], words[1], words[2]),
        strength=found.strength,
        score=found.score,
        raised=found.raised,
        direct=float(row[c] - row.mean()),
        beyond=found.strength > null,
    )


def _checked(model: Model, triple: SkipTrigram, checks: int, length: int, seed: int) -> SkipTrigram:
    """The triple with how far the model's logits moved."""
    generator = torch.Generator().manual_seed(seed)
    vocabulary = embedding(model).shape[0]
    ids = torch.randint(0, vocabulary - 1, (checks, length + 1), generator=generator)
    ids += ids >= triple.source  # A stands nowhere else
    ids[:, -1] = triple.here
    place = torch.randint(0, length, (checks,), generator=generator)
    with_source = ids.clone()
    with_source[torch.arange(checks), place] = triple.source
    both = model.run(torch.cat([with_source, ids])).last.double().cpu()
    change = both[:checks] - both[checks:]
    change = change - change.mean(-1, keepdim=True)
    moved = change[:, triple.predicted]
    means = change.mean(0)
    others = torch.randperm(change.shape[-1], generator=generator)
    others = others[others != triple.predicted][:_CONTROLS]
    places = torch.cat([torch.tensor([triple.predicted]), others])
    low, high = bootstrap_mean_intervals(change[:, places].T.cpu().numpy(), seed=seed)
    rank = float((means < means[triple.predicted]).double().sum()) / max(1, len(means) - 1)
    return SkipTrigram(
        **{k: v for k, v in vars(triple).items() if k not in _MEASURED},
        moved=float(moved.mean()),
        interval=(float(low[0]), float(high[0])),
        rank=rank,
        chance=float((low[1:] > 0).mean()) if len(others) else float("nan"),
    )
